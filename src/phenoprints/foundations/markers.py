"""Markers say that a unit of work is done and of what content; a damaged marker says nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phenoprints.foundations.fingerprints import own_sha256
from phenoprints.foundations.publishing import publish_json


def publish_marker(path: str | Path, content: Mapping[str, Any]) -> None:
    """Publish a marker together with the sha256 of its content."""
    publish_json(path, {**content, "own_sha256": own_sha256(content)})


def read_marker(path: str | Path) -> dict[str, Any] | None:
    """The content of a marker; None when it is not there, or not as it was written."""
    try:
        content = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    own = content.pop("own_sha256", None)
    return content if own == own_sha256(content) else None
