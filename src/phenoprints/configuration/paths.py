"""Paths that a configuration holds: none has characters that Snakemake reads as wildcards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from phenoprints.configuration.reading import KeyPath, Source, dotted
from phenoprints.configuration.validation import quoted
from phenoprints.foundations.errors import Problem

READ_BY_SNAKEMAKE = re.compile(r"[{}<>\x00-\x1f]")
"""Of wildcards, of path variables, and what no log line should hold."""
KEYS = frozenset(
    {"root", "wells", "table", "metadata", "barcode_platemap", "platemap_folder", "load_data",
     "exports", "images", "image_root", "weights", "profiles", "row_tables", "arm_expression",
     "truth", "groups", "folder", "cache", "reference"}
)  # fmt: skip
OF_SCREENS = frozenset({"profiles", "row_tables"})
"""Keys that may hold a mapping from screen to paths."""


def wrong_paths(config: Mapping[str, Any], source: Source) -> list[Problem]:
    """Every path that Snakemake would read as another one."""
    expected = "a path without { } < > and control characters, which Snakemake reads as its own"
    return [
        Problem(
            f"{source.where(path)}: {dotted(path)}",
            f"{quoted(text)} is not allowed; expected {expected}",
        )
        for path, text in _texts(config, ())
        if _is_path(path) and READ_BY_SNAKEMAKE.search(text)
    ]


def _is_path(path: KeyPath) -> bool:
    names = [part for part in path if isinstance(part, str)]
    if "columns" in names[2:]:
        return False
    return bool(names) and (names[-1] in KEYS or (len(names) > 3 and names[-2] in OF_SCREENS))


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every text in nested data with its place."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in items:
            yield from _texts(part, (*path, key))
