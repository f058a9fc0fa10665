"""Files that a configuration names, and which of them are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from phenoprints.foundations.errors import Problem
from phenoprints.foundations.finding import find
from phenoprints.foundations.remote import is_remote

_METADATA_SOURCES = ("rxrx1", "rxrx3", "rxrx3-core", "jump-cp")
_FREE_SOURCES = ("simulated", "planned")


def found_files(root: str | Path, patterns: str | list[str]) -> list[str]:
    """Return the paths below `root` that exist, globs expanded and sorted."""
    return [str(path) for path in find(root, patterns)]


def missing_inputs(config: Mapping[str, Any]) -> list[Problem]:
    """List every file, folder or glob that is named and does not exist, by its key."""
    return [
        Problem(f"{key}: {Path(root) / pattern}", "there is no such file", fix=_fix(key))
        for key, root, pattern in named_paths(config)
        if not found_files(root, pattern)
    ]


def named_paths(config: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield every path that must exist, as (key, root, path or glob below it)."""
    for name, screen in config["screens"].items():
        yield from _of_screen(f"screens.{name}", screen)
    for name, encoder in config["encoders"].items():
        key = f"encoders.{name}"
        if encoder.get("weights"):
            yield f"{key}.weights", ".", encoder["weights"]
        for kind in ("profiles", "row_tables"):
            for screen, patterns in (encoder.get(kind) or {}).items():
                owner = config["screens"][screen]
                if owner["source"] != "planned":
                    yield from ((f"{key}.{kind}", owner["root"], path) for path in patterns)
    if config["annotation"]["folder"]:
        yield "annotation.folder", ".", config["annotation"]["folder"]


def _of_screen(key: str, screen: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if screen["source"] in _FREE_SOURCES:
        return
    root = screen["root"]
    if not Path(root).expanduser().is_dir():
        yield f"{key}.root", ".", root
        return
    wells = screen.get("wells") or []
    yield from ((f"{key}.wells", root, path) for path in listed(wells))
    for index, join in enumerate(screen.get("join", [])):
        yield from ((f"{key}.join[{index}].table", root, path) for path in listed(join["table"]))
    if screen["source"] in _METADATA_SOURCES:
        yield f"{key}.metadata", root, screen["metadata"]
    own = screen.get("image_root")
    for name in ("barcode_platemap", "platemap_folder", "load_data", "images", "exports"):
        if name == "images" and own:
            yield from () if is_remote(own) else ((f"{key}.image_root", ".", own),)
        elif screen.get(name):
            yield from ((f"{key}.{name}", root, path) for path in listed(screen[name]))


def listed(paths: str | list[str]) -> list[str]:
    """Return one path as a list of one, several as they are."""
    return [paths] if isinstance(paths, str) else list(paths)


def _fix(key: str) -> str:
    return f"put the file there, or correct {key}"
