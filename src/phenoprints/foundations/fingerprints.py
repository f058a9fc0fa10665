"""Content keys: the same content gives the same key on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TIME_STAMP = ".snakemake_timestamp"
"""The empty file that Snakemake leaves in a folder that is an output of a rule."""


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal values give equal bytes.

    NaN and infinities are refused (ValueError), since JSON has no form for them.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def fingerprint(value: Any) -> str:
    """Return the sha256 of the canonical JSON of `value`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def own_sha256(content: Mapping[str, Any]) -> str:
    """Return the sha256 of a JSON document but for its key `own_sha256`; "" of no such document."""
    rest = {key: value for key, value in content.items() if key != "own_sha256"}
    try:
        return fingerprint(json.loads(canonical_json(rest)))
    except (ValueError, RecursionError):  # infinite numbers: no document that was written by us
        return ""


def file_sha256(path: str | Path) -> str:
    """Return the sha256 of a file's bytes."""
    with open(path, "rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digests(path: str | Path) -> list[tuple[str, str]]:
    """Return the relative name and the sha256 of every file below a folder, sorted by name.

    Snakemake's time stamp, which comes after the folder is finished, is left out.
    """
    root = Path(path)
    files = sorted(
        entry.relative_to(root).as_posix()
        for entry in root.rglob("*")
        if entry.is_file() and entry.name != TIME_STAMP
    )
    return [(name, file_sha256(root / name)) for name in files]


def tree_sha256(path: str | Path) -> str:
    """Return the sha256 of a folder: of the sorted relative names and digests of all files below
    it.
    """
    return fingerprint(tree_digests(path))


def content_sha256(path: str | Path) -> str:
    """Return the sha256 of a file or of a whole folder."""
    return tree_sha256(path) if Path(path).is_dir() else file_sha256(path)
