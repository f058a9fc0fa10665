"""Plates of OME-NGFF 0.4 (Zarr v2) and 0.5 (Zarr v3)."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from phenoprints.foundations.errors import MissingInputError, PhenoprintsError, TableError
from phenoprints.foundations.names import below, inside
from phenoprints.screens.imaged import named_channels, table_with_sites
from phenoprints.screens.images.headers import MAX_SIDE_PX
from phenoprints.screens.images.locators import OmeZarrLocator
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.problems import FILE
from phenoprints.screens.welltable import WellTable, well_table_settings
from phenoprints.wells.plates import parse_well, well_name

SETTINGS = (*well_table_settings(), "images", "channels", "channel_names")
MAX_JSON_BYTES = 64 << 20
SUFFIXES = (".ome.zarr", ".zarr")
AXES = ("t", "c", "z", "y", "x")


@dataclass(frozen=True)
class Field:
    """One field of a well: its array's path, axes, shape, channels, and the folder of its plate."""

    plate: str
    well: str
    site: int
    path: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    folder: str = ""


def read_listing(
    *,
    images: str = "*.zarr",
    channels: Mapping[str, str] | None = None,
    channel_names: Sequence[str] = (),
    **table: Any,
) -> Listing:
    """Return the wells of a user's table with the fields of OME-Zarr plates.

    Parameters
    ----------
    images
        Glob of the plates below `root`. A plate is called as its metadata say, else as its folder.
    channels
        Labels of the channels (`omero`) and what they show; a channel without a label is `0`,
        `1`, ….
    channel_names
        The channels wanted, in order; those of the first field when empty.
    table
        The fields of `WellTable`. Without `wells` every perturbation is unknown.

    The first time point and plane are read. Absent chunks are the array's fill value, as the
    format has it: a lost chunk cannot be told from an empty one.
    """
    source, notes = WellTable(**table), Notes()
    pattern = str(Path(source.root) / images)
    plates = [path for path in sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207
              if path.is_dir()]  # fmt: skip
    if not plates:
        raise MissingInputError(f"{pattern}: no plate matches.\n  To fix: correct `images`.")
    fields = [field for plate in plates for field in _fields(Path(source.root), plate, notes)]
    if not fields:
        raise TableError(f"{pattern}: the plates hold no field.")
    sites = _sites(fields, channels or {}, channel_names, notes)
    listing = table_with_sites(source, sites, notes)
    metadata = [str(file) for file in map(_metadata_file, plates) if file is not None]
    return replace(listing, inputs=(*listing.inputs, *metadata))


def _sites(
    fields: Sequence[Field],
    channels: Mapping[str, str],
    channel_names: Sequence[str],
    notes: Notes,
) -> pd.DataFrame:
    labels = list(dict.fromkeys(label for field in fields for label in field.labels))
    names = named_channels(labels, channels, channel_names, "ome-zarr")
    rows = []
    for field in fields:
        shown = [channels.get(label, "") if channels else label for label in field.labels]
        if any(shown.count(name) != 1 for name in names):
            notes.count("sites_incomplete", 1)
            continue
        wanted = tuple(shown.index(name) for name in names)
        index = tuple(wanted if axis == "c" else None if axis in "yx" else 0 for axis in field.axes)
        if any(n > 1 for axis, n in zip(field.axes, field.shape, strict=True) if axis in "tz"):
            notes.count("sites_with_other_planes", 1)
        height, width = field.shape[-2:]
        locator = str(OmeZarrLocator(field.path, index))
        place = (field.plate, field.well, field.site)
        rows.append((*place, locator, height, width, list(names), field.folder))
    for name, text in (
        ("sites_incomplete", "sites lack a channel and are left out"),
        ("sites_with_other_planes", "sites have further planes or time points, which are not used"),
    ):
        if notes.counts.get(name):
            notes.warn(f"{notes.counts[name]} {text}.")
    columns = ["plate", "well", "site", "locator", "height", "width", "channels", FILE]
    return pd.DataFrame(rows, columns=columns)


def _metadata_file(folder: Path) -> Path | None:
    candidates = (folder / "zarr.json", folder / ".zattrs", folder / ".zarray")
    return next((file for file in candidates if file.is_file()), None)


def _json(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_JSON_BYTES:
            raise TableError(f"{file}: the metadata are larger than {MAX_JSON_BYTES:,} bytes.")
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TableError(f"{file}: the metadata cannot be read. {error}") from error
    if not isinstance(content, dict):
        raise TableError(f"{file}: the metadata are not an object.")
    return content


def _attributes(folder: Path) -> dict[str, Any]:
    """Return the OME attributes of a group: those of 0.5 stand in `zarr.json`, of
    0.4 in `.zattrs`.
    """
    if (folder / "zarr.json").is_file():
        found = _json(folder / "zarr.json").get("attributes", {})
        found = found.get("ome", found) if isinstance(found, dict) else {}
    else:
        found = _json(folder / ".zattrs")
    if not isinstance(found, dict):
        raise TableError(f"{folder}: its OME metadata are not an object.")
    return found


def _fields(root: Path, folder: Path, notes: Notes) -> list[Field]:
    """Return the fields of one plate; a broken plate is an error that names it."""
    try:
        plate = _attributes(folder)["plate"]
        name = str(plate.get("name") or _stem(folder.name))
        wells = [str(well["path"]) for well in plate["wells"]]
        fields = []
        for path in wells:
            well_folder = inside(folder, path)
            if not well_folder.is_dir():
                notes.count("wells_without_folders", 1)
                continue
            position = parse_well(path.replace("/", ""), 1536)
            if position is None:
                raise ValueError(f"{path!r} is not a well")
            for site, image in enumerate(_attributes(well_folder)["well"]["images"], start=1):
                place = inside(well_folder, str(image["path"]))
                fields.append(_field(root, name, well_name(*position), site, place))
    except PhenoprintsError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise TableError(f"{folder}: not a plate of OME-NGFF 0.4 or 0.5 ({error}).") from error
    return [replace(field, folder=str(folder)) for field in fields]


def _field(root: Path, plate: str, well: str, site: int, folder: Path) -> Field:
    attributes = _attributes(folder)
    multiscale = attributes["multiscales"][0]
    array = inside(folder, str(multiscale["datasets"][0]["path"]))
    axes = tuple(str(a["name"] if isinstance(a, dict) else a) for a in multiscale["axes"])
    metadata = array / "zarr.json" if (array / "zarr.json").is_file() else array / ".zarray"
    shape = tuple(int(n) for n in _json(metadata)["shape"])
    if len(axes) != len(shape) or axes[-2:] != ("y", "x") or not set(axes) <= set(AXES):
        raise ValueError(f"{array}: axes {axes} of shape {shape}")
    if min(shape) < 1 or max(shape[-2:]) > MAX_SIDE_PX:
        raise ValueError(f"{array}: shape {shape}")
    num_channels = shape[axes.index("c")] if "c" in axes else 1
    if num_channels > 64:
        raise ValueError(f"{array}: {num_channels} channels")
    omero = attributes.get("omero", {}).get("channels", [])
    labels = [str(c.get("label", i)) for i, c in enumerate(omero)][:num_channels]
    labels += [str(i) for i in range(len(labels), num_channels)]
    return Field(plate, well, site, below(root, array), axes, shape, tuple(labels))


def _stem(name: str) -> str:
    return next((name.removesuffix(s) for s in SUFFIXES if name.endswith(s)), name)
