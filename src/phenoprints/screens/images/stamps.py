"""Size and time of the files behind sites, by which changed images are noticed without a read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from phenoprints.foundations.errors import UnsafeInputError
from phenoprints.foundations.names import inside
from phenoprints.foundations.remote import is_remote
from phenoprints.screens.images.locators import (
    FilesLocator,
    ParquetLocator,
    ZarrLocator,
    parse_locator,
)
from phenoprints.screens.images.stores import shard_path

State = list[int]
"""Size in bytes and time of change in nanoseconds; empty where the file is not there."""


def file_states(root: str, locators: Iterable[str]) -> list[tuple[str, State]]:
    """Return the state of every file behind some sites, by path below the root, sorted.

    Of an OME-Zarr plate only the description of the array counts; files behind an address have no
    state.
    """
    if is_remote(root):
        return []
    found: dict[str, State] = {}
    for locator in locators:
        for path in _files(root, locator):
            if str(path) not in found:
                found[str(path)] = _state(path)
    # Names relative to the root: a screen may be moved with its times kept.
    top = f"{Path(root).resolve()}/"
    return sorted((path.removeprefix(top), state) for path, state in found.items())


def _files(root: str, locator: str) -> list[Path]:
    try:
        place = parse_locator(locator)
        if isinstance(place, ZarrLocator):
            return [shard_path(inside(root, place.path), place.index)]
        if isinstance(place, FilesLocator):
            return [inside(root, path) for path in (*place.paths, *place.illumination)]
        if isinstance(place, ParquetLocator):
            return [inside(root, path) for path in dict.fromkeys(path for path, _ in place.rows)]
        return [inside(root, place.path) / "zarr.json"]
    except UnsafeInputError:
        return []


def _state(path: Path) -> State:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
