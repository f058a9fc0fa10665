"""Files that a configuration names, and which of them are missing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from phenoprints.configuration.references import has_images
from phenoprints.foundations.errors import Problem
from phenoprints.foundations.finding import IMAGE_SUFFIXES, find
from phenoprints.foundations.fingerprints import fingerprint
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


MAX_STATED_FILES = 200_000
"""Image files whose size and time are looked at whenever a workflow starts; of more, the number."""
OWN_FOLDERS = ("results", "slurm-logs")
"""Folders that a run writes, in case a root contains them."""


def image_state(screen: Mapping[str, Any]) -> str:
    """Return a key of the files that a screen's images are in, so that changed ones are read again.

    The key is of path, size and time of every image below the root (of OME-Zarr plates every
    file); of more than 200,000 files those of the first in order, and the number. "" for screens
    without image files, and behind an address.
    """
    root = str(screen.get("image_root") or screen.get("root", "."))
    if screen["source"] in (*_FREE_SOURCES, "profiles-table") or not has_images(screen):
        return ""
    if is_remote(root):
        return ""
    is_whole = screen["source"] in ("ome-zarr", "rxrx3-core")
    places = found_files(root, screen["images"]) if is_whole else [root]
    return _state_of(tuple(places), () if is_whole else IMAGE_SUFFIXES)


@lru_cache(maxsize=64)
def _state_of(places: tuple[str, ...], suffixes: tuple[str, ...]) -> str:
    states, number = [], 0
    for path in (path for place in places for path in _walk(place)):
        if not suffixes or path.lower().endswith(suffixes):
            number += 1
            if number <= MAX_STATED_FILES:
                states.append(_file_state(path))
    return fingerprint([number, states]) if number else ""


def _walk(place: str) -> Iterator[str]:
    if os.path.isfile(place):  # noqa: PTH113
        yield place
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if name not in OWN_FOLDERS)
        yield from (f"{folder}/{name}" for name in sorted(names))


def _file_state(path: str) -> list[Any]:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return [path]
    return [path, found.st_size, found.st_mtime_ns]


def listed(paths: str | list[str]) -> list[str]:
    """Return one path as a list of one, several as they are."""
    return [paths] if isinstance(paths, str) else list(paths)


def _fix(key: str) -> str:
    return f"put the file there, or correct {key}"
