"""Open the images of a screen: every site as uint8, wherever and however it is stored."""

# C channel · H W pixels

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.errors import (
    CorruptionError,
    DataError,
    ImageError,
    MissingInputError,
)
from phenoprints.foundations.names import inside
from phenoprints.screens.images.locators import ZarrLocator, parse_locator
from phenoprints.screens.images.sites import read_planes
from phenoprints.screens.images.stores import opened, read_regions
from phenoprints.screens.images.windows import look_up_tables, to_uint8

FORMAT = 1


@dataclass(frozen=True)
class ScreenImages:
    """The images of a screen; cheap to send to another process.

    Attributes
    ----------
    root
        The folder that locators lie below.
    windows
        Per experiment and channel the 16-bit values that become 0 and 255; needed only where
        images have 16 bits.
    """

    root: str
    windows: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)

    def read(
        self,
        locator: str,
        channels: Sequence[str],
        *,
        experiment: str = "",
        shape: tuple[int, int] | None = None,
    ) -> NDArray[np.uint8]:
        """Return the pixels (C, H, W) of a site as uint8.

        Parameters
        ----------
        locator, channels, shape
            As the sites table states them; a header that disagrees is refused before decoding.
        experiment
            Whose windows are applied: its images have 16 bits where it has windows, else 8. One
            of another depth is refused before decoding.

        Raises
        ------
        ImageError, CorruptionError, MissingInputError, UnsafeInputError
            See `phenoprints.screens.images.read_site`.
        """
        bits = 16 if experiment in self.windows else 8
        planes = read_planes(self.root, locator, channels, shape=shape, bits=bits)
        if planes[0].dtype == np.uint16:
            return to_uint8(planes, self._tables(experiment, tuple(channels)))
        return planes if isinstance(planes, np.ndarray) else np.stack(planes)

    def crops(
        self,
        locators: Sequence[str],
        corners: Sequence[tuple[int, int]],
        size_px: int,
        *,
        channels: Sequence[str],
        experiments: Sequence[str] | None = None,
        shapes: Sequence[tuple[int, int]] | None = None,
    ) -> NDArray[np.uint8]:
        """Square crops (n, C, size, size) uint8, all read at once where they lie in a store.

        Parameters
        ----------
        locators, corners
            For each crop its site, and its upper left corner (y, x).
        size_px
            Side of a crop in pixels.
        channels
            The channels that all these sites have.
        experiments
            The experiment of each crop, for 16-bit images.
        shapes
            The declared height and width of each crop's site.
        """
        places = [parse_locator(locator) for locator in locators]
        if places and all(isinstance(place, ZarrLocator) for place in places):
            return self._stored_crops(places, corners, size_px, len(channels))
        names = experiments if experiments is not None else [""] * len(locators)
        declared = shapes if shapes is not None else [None] * len(locators)
        crops = np.empty((len(locators), len(channels), size_px, size_px), dtype=np.uint8)
        wanted = zip(locators, corners, names, declared, strict=True)
        for i, (locator, (y, x), name, shape) in enumerate(wanted):
            site = _last_sites(self, locator, tuple(channels), name, shape)
            if y < 0 or x < 0 or y + size_px > site.shape[1] or x + size_px > site.shape[2]:
                raise DataError(f"{locator[:200]}: a crop at ({y}, {x}) leaves the image.")
            crops[i] = site[:, y : y + size_px, x : x + size_px]
        return crops

    def _stored_crops(
        self,
        places: Sequence[Any],
        corners: Sequence[tuple[int, int]],
        size_px: int,
        num_channels: int,
    ) -> NDArray[np.uint8]:
        paths = {path: inside(self.root, path) for path in {place.path for place in places}}
        for path in paths.values():
            if opened(path).shape[1] != num_channels:
                found = opened(path).shape[1]
                raise ImageError(f"{path}: it has {found} channels, expected {num_channels}.")
        requests = [
            (paths[place.path], place.index, int(y), int(x), size_px, size_px)
            for place, (y, x) in zip(places, corners, strict=True)
        ]
        crops = np.empty((len(requests), num_channels, size_px, size_px), np.uint8)
        read_regions(requests, targets=crops)
        return crops

    def _tables(self, experiment: str, channels: tuple[str, ...]) -> NDArray[np.uint8]:
        limits = self.windows.get(experiment, {})
        missing = [name for name in channels if name not in limits]
        if missing:
            raise ImageError(
                f'experiment "{experiment}": its images have 16 bits and no window is known for '
                f"{', '.join(missing)}. Run the target `screens`."
            )
        return _tables(tuple(tuple(limits[name]) for name in channels))


@lru_cache(maxsize=64)
def _tables(limits: tuple[tuple[int, int], ...]) -> NDArray[np.uint8]:
    return look_up_tables(limits)


def _last_sites(
    images: ScreenImages,
    locator: str,
    channels: tuple[str, ...],
    experiment: str,
    shape: tuple[int, int] | None,
) -> NDArray[np.uint8]:
    """Return a site as `read` gives it; the last few stay in memory, since crops of one come
    together.
    """
    key = (images.root, locator, channels, experiment, shape)
    with _RECENT_LOCK:
        found = _RECENT.get(key)
    if found is None:
        found = images.read(locator, channels, experiment=experiment, shape=shape)
        with _RECENT_LOCK:
            _RECENT[key] = found
            while len(_RECENT) > MAX_RECENT:
                _RECENT.pop(next(iter(_RECENT)))
    return found


MAX_RECENT = 4
_RECENT_LOCK = Lock()
_RECENT: dict[tuple[Any, ...], NDArray[np.uint8]] = {}


def open_images(path: str | Path) -> ScreenImages:
    """Return the images of the screen whose `images.json` lies at `path`.

    Raises
    ------
    MissingInputError, CorruptionError
        The file is not there, or is not what the target `screens` writes.
    """
    place = Path(path)
    if not place.is_file():
        raise MissingInputError(f"{path}: the file is not there. Run the target `screens`.")
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        root = content["root"]
        windows = {
            str(experiment): {str(c): (int(low), int(high)) for c, (low, high) in limits.items()}
            for experiment, limits in content["windows"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptionError(f"{path}: not the file of a screen's images ({error}).") from error
    return ScreenImages(str(place.parent) if root is None else str(root), windows)


def images_content(
    root: str | None, windows: Mapping[str, Mapping[str, Sequence[int]]]
) -> dict[str, Any]:
    """Return the content of `images.json`: `root` is None where images lie beside
    the file itself.
    """
    return {
        "format": FORMAT,
        "root": root,
        "windows": {e: {c: list(w) for c, w in limits.items()} for e, limits in windows.items()},
    }
