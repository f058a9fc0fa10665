"""Plates of OME-NGFF 0.4 (Zarr v2), 0.5 and 0.6 (Zarr v3)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from phenoprints.foundations.errors import (
    ImageError,
    MissingInputError,
    PhenoprintsError,
    TableError,
    UnsafeInputError,
)
from phenoprints.foundations.finding import composed, find
from phenoprints.foundations.names import below, inside
from phenoprints.foundations.remote import find_remote, is_remote, read_remote
from phenoprints.foundations.running_job import note_input
from phenoprints.screens.imaged import named_channels, table_with_sites
from phenoprints.screens.images.headers import MAX_SIDE_PX
from phenoprints.screens.images.locators import OmeZarrLocator
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.problems import FILE
from phenoprints.screens.selection import SITE_KEY, Selection, choose, usual_channels
from phenoprints.screens.sources.files import IMAGE_SETTINGS
from phenoprints.screens.welltable import WellTable, well_table_settings
from phenoprints.wells.plates import parse_well, well_name

SETTINGS = (*well_table_settings(), "images", "image_root", *IMAGE_SETTINGS)
MAX_JSON_BYTES = 64 << 20
SUFFIXES = (".ome.zarr", ".zarr")
AXES = ("t", "c", "z", "y", "x")
PIXELS = ("uint8", "uint16", "|u1", "<u2", ">u2")
"""Types of pixels that are read, as Zarr v3 and v2 name them."""


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
    acquisition: str
    folder: str


def read_listing(
    *,
    images: str | Sequence[str] = "*.zarr",
    image_root: str | None = None,
    channels: Mapping[str, str] | None = None,
    channel_names: Sequence[str] = (),
    acquisition: str | int | None = None,
    plane: str | int | None = None,
    time: str | int | None = None,
    **table: Any,
) -> Listing:
    """Return the wells of a user's table with the fields of OME-Zarr plates.

    Parameters
    ----------
    images
        Glob of the plates below `image_root`. A plate has the name of its metadata, else of its
        folder.
    image_root
        Folder or address of the plates, by default `root`.
    channels
        Labels of the channels (`omero`) and what they show; a channel without a label is `0`,
        `1`, ….
    channel_names
        The channels wanted, in order; those that most fields have when empty.
    acquisition
        The acquisition that is read; the first of each plate by default.
    plane, time
        The index of the plane and of the time point that are read, from 0 (the default).
    table
        The fields of `WellTable`. Without `wells` every perturbation is unknown.

    Absent chunks are the array's fill value, as the format has it: a lost chunk cannot be told
    from an empty one.
    """
    source, notes = WellTable(**table), Notes()
    root = image_root or source.root
    plates = _plates(root, images)
    fields = [field for plate in plates for field in _fields(root, plate, notes)]
    if not fields:
        raise TableError(f"{root}: the plates contain no field.")
    moments = {"t": int(time or 0), "z": int(plane or 0)}
    chosen = _chosen_fields(fields, Selection(acquisition), notes, root)
    sites = _sites(chosen, channels or {}, channel_names, moments, notes)
    listing = table_with_sites(source, sites, notes)
    files = [Path(root) / plate / name for plate in plates for name in METADATA]
    metadata = [str(file) for file in files if file.is_file()]
    return replace(listing, inputs=(*listing.inputs, *metadata))


def _plates(root: str, images: str | Sequence[str]) -> list[str]:
    """Return the paths of plates below a folder or address."""
    patterns = [images] if isinstance(images, str) else list(images)
    if is_remote(root):
        return [path.rstrip("/") for path in find_remote(root, patterns)]
    plates = [below(root, path) for path in find(root, patterns) if path.is_dir()]
    if not plates:
        where = Path(root) / patterns[0]
        raise MissingInputError(f"{where}: no plate matches.\n  To fix: correct `images`.")
    return plates


def _chosen_fields(
    fields: Sequence[Field], selection: Selection, notes: Notes, where: str
) -> list[Field]:
    rows = [(i, f.plate, f.acquisition, "any") for i, f in enumerate(fields)]
    table = pd.DataFrame(rows, columns=["field", "plate", "acquisition", "channel"])
    return [fields[i] for i in choose(table, selection, notes, where)["field"]]


def _sites(
    fields: Sequence[Field],
    channels: Mapping[str, str],
    channel_names: Sequence[str],
    moments: Mapping[str, int],
    notes: Notes,
) -> pd.DataFrame:
    if channels or channel_names:
        labels = list(dict.fromkeys(label for field in fields for label in field.labels))
        names = named_channels(labels, channels, channel_names, "ome-zarr")
    else:
        names = _usual_labels(fields)
    rows = []
    for field in fields:
        shown = [channels.get(label, "") if channels else label for label in field.labels]
        sides = dict(zip(field.axes, field.shape, strict=True))
        is_there = all(sides.get(axis, 1) > at for axis, at in moments.items())
        if any(shown.count(name) != 1 for name in names) or not is_there:
            notes.count("sites_incomplete", 1)
            continue
        wanted = {**moments, "c": tuple(shown.index(name) for name in names), "y": None, "x": None}
        if any(sides.get(axis, 1) > 1 for axis in "tz"):
            notes.count("sites_with_other_planes", 1)
        locator = str(OmeZarrLocator(field.path, tuple(wanted[axis] for axis in field.axes)))
        place = (field.plate, field.well, field.site)
        rows.append((*place, locator, *field.shape[-2:], list(names), field.folder))
    for name, text in (
        ("sites_incomplete", "sites lack a channel, plane or time and are left out"),
        ("sites_with_other_planes", "sites have further planes or time points, which are not used"),
        ("sites_without_images", "sites have no readable image (a partial copy) and are left out"),
        ("wells_without_folders", "wells of the plates have no folder (a partial copy)"),
    ):
        if notes.counts.get(name):
            notes.warn(f"{notes.counts[name]} {text}.")
    columns = ["plate", "well", "site", "locator", "height", "width", "channels", FILE]
    return pd.DataFrame(rows, columns=columns)


def _usual_labels(fields: Sequence[Field]) -> list[str]:
    """Return the channels that most fields of most plates have, in the files' order."""
    rows = [(f.plate, f.well, f.site, label) for f in fields for label in f.labels]
    usual = usual_channels(pd.DataFrame(rows, columns=[*SITE_KEY, "shown"]))
    order = dict.fromkeys(label for field in fields for label in field.labels)
    return [label for label in order if label in usual]


METADATA = ("zarr.json", ".zattrs", ".zarray")


def _metadata(root: str, folder: str, names: Sequence[str] = METADATA) -> dict[str, Any] | None:
    """Return the first metadata of a Zarr group or array that are there; None where none are."""
    for name in names:
        path = f"{folder}/{name}"
        try:
            content = _content(root, path)
            found = None if content is None else json.loads(content)
        except (OSError, ValueError, RecursionError) as error:
            if isinstance(error, PhenoprintsError):
                raise
            raise TableError(f"{root}/{path}: the metadata cannot be read. {error}") from error
        if isinstance(found, dict):
            return found
        if found is not None:
            raise TableError(f"{root}/{path}: the metadata are not an object.")
    return None


def _content(root: str, path: str) -> bytes | None:
    """Return the content of a file below a root; None where it is not there."""
    if is_remote(root):
        try:
            return read_remote(root, path)
        except MissingInputError:
            return None
    file = inside(root, path)
    if not file.is_file():
        return None
    note_input(file)
    if file.stat().st_size > MAX_JSON_BYTES:
        raise TableError(f"{file}: the metadata are larger than {MAX_JSON_BYTES:,} bytes.")
    return file.read_bytes()


def _child(folder: str, path: object) -> str:
    """Return the path of a child that metadata name; it must not leave its folder."""
    parts = PurePosixPath(str(path)).parts
    if str(path).startswith("/") or ".." in parts or not parts:
        raise UnsafeInputError(f"{folder}: {str(path)[:200]!r} does not stay inside of it.")
    return f"{folder}/{'/'.join(parts)}"


def _attributes(root: str, folder: str) -> dict[str, Any]:
    """Return the OME attributes of a group: in `zarr.json` since 0.5, in `.zattrs` before."""
    found = _metadata(root, folder, METADATA[:2])
    if found is None:
        raise TableError(f"{root}/{folder}: its metadata are not there.")
    if "zarr_format" in found:
        found = found.get("attributes", {})
        found = found.get("ome", found) if isinstance(found, dict) else {}
    if not isinstance(found, dict):
        raise TableError(f"{root}/{folder}: its OME metadata are not an object.")
    return found


def _fields(root: str, folder: str, notes: Notes) -> list[Field]:
    """Return the fields of one plate; a broken plate is an error that names it.

    Wells and fields whose folders are not there, as in a partial copy, are counted.
    """
    try:
        plate = _attributes(root, folder)["plate"]
        name = composed(str(plate.get("name") or _stem(PurePosixPath(folder).name)))
        fields = []
        for well in plate["wells"]:
            well_folder = _child(folder, well["path"])
            if _metadata(root, well_folder) is None:
                notes.count("wells_without_folders", 1)
                continue
            place = (name, _well(well, plate), folder)
            fields += list(_fields_of_well(root, well_folder, place, notes))
    except PhenoprintsError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = f"{folder}: not a plate of OME-NGFF 0.4, 0.5 or 0.6 ({error})."
        raise TableError(what) from error
    return fields


def _well(well: Mapping[str, Any], plate: Mapping[str, Any]) -> str:
    """Return the name of a well, by its path; rows with numbers count from 1, or from 0 if one is
    called 0.
    """
    row, _, column = str(well["path"]).strip("/").partition("/")
    named = [str(entry.get("name", "")) for entry in plate.get("rows", [])]
    if row.isdigit():
        columns = [str(entry.get("name", "")) for entry in plate.get("columns", [])]
        return well_name(int(row) + ("0" in named), int(column) + ("0" in columns))
    position = parse_well(row + column, 1536)
    if position is None:
        raise ValueError(f"{well['path']!r} is not a well")
    return well_name(*position)


def _fields_of_well(
    root: str, folder: str, place: tuple[str, str, str], notes: Notes
) -> Iterator[Field]:
    """Yield the fields of a well; a site is the place of a field in its acquisition's list."""
    counts: dict[str, int] = {}
    for image in _attributes(root, folder)["well"]["images"]:
        acquisition = str(image.get("acquisition", 0))
        site = counts[acquisition] = counts.get(acquisition, 0) + 1
        own = _child(folder, image["path"])
        if _metadata(root, own) is None:
            notes.count("sites_without_images", 1)
            continue
        yield _field(root, own, (*place, acquisition), site)


def _field(root: str, folder: str, place: tuple[str, str, str, str], site: int) -> Field:
    attributes = _attributes(root, folder)
    multiscale = attributes["multiscales"][0]
    array = _child(folder, multiscale["datasets"][0]["path"])
    axes = _axes(multiscale)
    metadata = _metadata(root, array, ("zarr.json", ".zarray")) or {}
    shape, kind = tuple(int(n) for n in metadata["shape"]), _pixel_type(metadata)
    if len(axes) != len(shape) or axes[-2:] != ("y", "x") or not set(axes) <= set(AXES):
        raise ValueError(f"{array}: axes {axes} of shape {shape}")
    if min(shape) < 1 or max(shape[-2:]) > MAX_SIDE_PX:
        raise ValueError(f"{array}: shape {shape}")
    if kind not in PIXELS:
        raise ImageError(f"{array}: pixels of {kind}.\n  Expected uint8 or uint16.")
    num_channels = shape[axes.index("c")] if "c" in axes else 1
    if num_channels > 64:
        raise ValueError(f"{array}: {num_channels} channels")
    omero = attributes.get("omero", {}).get("channels", [])
    labels = [str(c.get("label", i)) for i, c in enumerate(omero)][:num_channels]
    labels += [str(i) for i in range(len(labels), num_channels)]
    plate, well, plate_folder, acquisition = place
    key = (plate, well, site, array, axes, shape)
    return Field(*key, tuple(labels), acquisition, plate_folder)


def _axes(multiscale: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the axes of a multiscale: its own, or since 0.6 those of its coordinate system.

    That is the one named `intrinsic`, else the first.
    """
    if "axes" in multiscale:
        listed = multiscale["axes"]
    else:
        systems = multiscale["coordinateSystems"]
        intrinsic = [system for system in systems if system.get("name") == "intrinsic"]
        listed = [*intrinsic, *systems][0]["axes"]
    return tuple(str(a["name"] if isinstance(a, dict) else a) for a in listed)


def _pixel_type(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("data_type", metadata.get("dtype")))


def _stem(name: str) -> str:
    return next((name.removesuffix(s) for s in SUFFIXES if name.endswith(s)), name)
