"""What is known of image files without reading them, so that changed ones are looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phenoprints.embeddings.forward import Site
from phenoprints.foundations.errors import UnsafeInputError
from phenoprints.foundations.fingerprints import fingerprint
from phenoprints.foundations.names import inside
from phenoprints.screens.images.locators import (
    FilesLocator,
    ParquetLocator,
    ZarrLocator,
    parse_locator,
)
from phenoprints.screens.images.opening import ScreenImages
from phenoprints.screens.images.stores import shard_path


def image_stamp(images: ScreenImages, sites: Sequence[Site]) -> str:
    """Return a key of the size and time of every file behind the sites, and of their 8-bit windows.

    A file that is not there counts as such; whether that is a failure is found when it is read.
    Of an OME-Zarr plate only the description of the array counts.
    """
    states: dict[str, Any] = {}
    for site in sites:
        for path in _files(images.root, site.locator):
            if str(path) not in states:
                states[str(path)] = _state(path)
    # Names relative to the root: a screen may be moved with its times kept.
    root = f"{Path(images.root).resolve()}/"
    listed = sorted((path.removeprefix(root), state) for path, state in states.items())
    windows = {name: images.windows.get(name, {}) for name in {site.experiment for site in sites}}
    return fingerprint(
        [listed, {e: {c: list(w) for c, w in v.items()} for e, v in windows.items()}]
    )


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


def _state(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
