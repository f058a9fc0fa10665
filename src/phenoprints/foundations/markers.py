"""Markers say that a unit of work is done and of what content; a damaged marker says nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phenoprints.foundations.fingerprints import own_sha256
from phenoprints.foundations.publishing import publish_json


def publish_marker(path: str | Path, content: Mapping[str, Any], *, is_placed: bool = True) -> None:
    """Publish a marker together with the sha256 of its content and, if placed, where it lies."""
    whole = {**content, **({"place": _place(path)} if is_placed else {})}
    publish_json(path, {**whole, "own_sha256": own_sha256(whole)})


def _place(path: str | Path) -> str:
    """Return the end of a path, which stays when a run is moved and tells markers of
    one run apart.
    """
    return "/".join(Path(path).absolute().parts[-3:])


def read_marker(path: str | Path, *, is_placed: bool = True) -> dict[str, Any] | None:
    """Return the content of a marker; None when it is not there, or not as or where it was written.

    `is_placed` as it was published: a placed marker that names no place is no marker, such as a
    provenance file, which is sealed alike.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    own = content.pop("own_sha256", None)
    is_whole = own == own_sha256(content)
    is_here = content.pop("place", None) == (_place(path) if is_placed else None)
    return content if is_whole and is_here else None
