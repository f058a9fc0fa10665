"""Locators: where the pixels of a site lie, as `<reader>:<payload>` below a screen's root."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phenoprints.foundations.errors import Problem, UnsafeInputError

MAX_LOCATOR_CHARS = 20_000


@dataclass(frozen=True)
class ZarrLocator:
    """One site of an image store: the array's path and the site's index in it."""

    path: str
    index: int

    def __str__(self) -> str:
        return f"zarr:{self.path}#{self.index}"


@dataclass(frozen=True)
class FilesLocator:
    """One image file for each channel, and the illumination functions to divide them by."""

    paths: tuple[str, ...]
    illumination: tuple[str, ...] = ()

    def __str__(self) -> str:
        payload: Any = list(self.paths)
        if self.illumination:
            payload = {"files": payload, "illumination": list(self.illumination)}
        return "files:" + json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class ParquetLocator:
    """One encoded image for each channel in rows of Parquet files: (path, row) per channel."""

    rows: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        grouped: list[list[Any]] = []
        for path, row in self.rows:
            if not grouped or grouped[-1][0] != path:
                grouped.append([path])
            grouped[-1].append(row)
        return "parquet:" + json.dumps(grouped, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class OmeZarrLocator:
    """One field of an OME-Zarr plate: its full-resolution array and an index for each axis.

    `index` holds an integer for t and z, a list of channel indices for c, null for y and x.
    """

    path: str
    index: tuple[Any, ...]

    def __str__(self) -> str:
        payload = [self.path, *self.index]
        return "ome-zarr:" + json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


Locator = ZarrLocator | FilesLocator | ParquetLocator | OmeZarrLocator


def parse_locator(text: str) -> Locator:
    """Return the locator that a text means.

    Raises
    ------
    UnsafeInputError
        An unknown reader or a payload of another form. (Whether paths stay inside of the root is
        checked when they are opened.)
    """
    reader, _, payload = text.partition(":")
    if reader == "planned":
        raise _refused(text, "a planned screen has no images; it only stands for one")
    if len(text) > MAX_LOCATOR_CHARS or reader not in _PARSERS:
        raise _refused(text, f"the reader {reader[:40]!r} is not known")
    try:
        return _PARSERS[reader](payload)
    except (ValueError, TypeError, IndexError, KeyError, RecursionError) as error:
        raise _refused(text, "its payload has another form") from error


def _refused(text: str, why: str) -> UnsafeInputError:
    expected = "zarr:<path>#<index>, files:[…], parquet:[…] or ome-zarr:[…]"
    return UnsafeInputError(str(Problem(f"locator {text[:200]!r}", why, expected)))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
        raise ValueError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(value)
    return value


def _zarr(payload: str) -> ZarrLocator:
    path, _, index = payload.rpartition("#")
    if not (index.isascii() and index.isdigit()):
        raise ValueError(index)
    return ZarrLocator(_text(path), _whole(int(index)))


def _files(payload: str) -> FilesLocator:
    value = json.loads(payload)
    illumination: Any = []
    if isinstance(value, dict):
        value, illumination = value["files"], value.get("illumination", [])
    if not isinstance(value, list) or not isinstance(illumination, list) or not value:
        raise ValueError(payload)
    if illumination and len(illumination) != len(value):
        raise ValueError(payload)
    return FilesLocator(tuple(map(_text, value)), tuple(map(_text, illumination)))


def _parquet(payload: str) -> ParquetLocator:
    rows = [(_text(path), _whole(row)) for path, *listed in json.loads(payload) for row in listed]
    if not rows:
        raise ValueError(payload)
    return ParquetLocator(tuple(rows))


def _ome_zarr(payload: str) -> OmeZarrLocator:
    path, *index = json.loads(payload)
    axes = tuple(
        i if i is None else tuple(map(_whole, i)) if isinstance(i, list) else _whole(i)
        for i in index
    )
    return OmeZarrLocator(_text(path), axes)


_PARSERS: dict[str, Callable[[str], Locator]] = {
    "zarr": _zarr,
    "files": _files,
    "parquet": _parquet,
    "ome-zarr": _ome_zarr,
}


def locator_files(text: str) -> tuple[str, ...]:
    """Return the paths below the root that a locator of files, Parquet or OME-Zarr names."""
    place = parse_locator(text)
    if isinstance(place, FilesLocator):
        return (*place.paths, *place.illumination)
    if isinstance(place, ParquetLocator):
        return tuple(dict.fromkeys(path for path, _ in place.rows))
    return (place.path,)
