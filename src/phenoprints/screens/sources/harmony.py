"""Opera Phenix and Operetta exports: Index.xml of Harmony V5 to V7, or file names without it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import pandas as pd
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from phenoprints.foundations.errors import Problem, TableError, UnsafeInputError, raise_problems
from phenoprints.foundations.names import inside
from phenoprints.screens.imaged import (
    FileNames,
    files_by_name,
    first_planes,
    imaged_listing,
)
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.tables import find_files
from phenoprints.screens.welltable import WellTable, well_table_settings
from phenoprints.wells.plates import well_name

SETTINGS = (*well_table_settings(), "exports", "channels", "channel_names")

FILE_NAME = re.compile(
    r"r(?P<row>\d{2})c(?P<column>\d{2})f(?P<site>\d{2,3})p(?P<plane>\d{2,3})-ch(?P<channel>\d{1,2})"
    r"(?:sk(?P<time>\d+))?(?:fk\d+)?(?:fl\d+)?\.tiff?",
    re.ASCII,
)
"""`r04c14f05p01-ch1sk1fk1fl1.tiff`: row, column, field, plane, channel, time point."""

EXAMPLE = "r04c14f05p01-ch1sk1fk1fl1.tiff"

PLATE_FOLDER = re.compile(r"(?P<plate>.+?)__\d{4}-\d\d-\d\dT\d\d_\d\d_\d\d-Measurement ?\d+")
"""`BR00117035__2021-05-02T16_02_51-Measurement 1` (the blank before the number is optional)."""


def read_listing(
    *,
    exports: str = "*/Images/Index*.xml",
    channels: Mapping[str, str] | None = None,
    channel_names: Sequence[str] = (),
    **table: Any,
) -> Listing:
    """Return the wells of a user's table with the images of Harmony exports.

    Parameters
    ----------
    exports
        Glob of the index files below `root`; or of the images themselves (`*.tiff`) where there
        is no index: then the plate is the measurement's folder, and a channel is `ch1`, `ch2`, ….
    channels
        Names in the index and what they show: `"HOECHST 33342": DNA`.
    channel_names
        The channels wanted, in order; the index' own when empty.
    table
        The fields of `WellTable`. Without `wells` every perturbation is unknown.
    """
    source, notes = WellTable(**table), Notes()
    paths = find_files(source.root, exports)
    if paths[0].suffix.lower() == ".xml":
        files = pd.concat([read_index(path, source.root) for path in _newest(paths)])
    else:
        files = files_by_name(source.root, paths, FileNames(parse_name, EXAMPLE), notes)
    files = first_planes(files, notes)
    listing = imaged_listing(source, files, channels, channel_names, notes)
    inputs = [str(path) for path in paths if path.suffix.lower() == ".xml"]
    return replace(listing, inputs=(*listing.inputs, *inputs))


INDEX_ORDER = ("Index.idx.xml", "Index.xml", "Index.ref.xml")


def _newest(paths: Sequence[Path]) -> list[Path]:
    """One index of each folder: the first of `INDEX_ORDER`, since they list the same images."""
    chosen: dict[Path, Path] = {}
    for path in paths:
        other = chosen.get(path.parent)
        if other is None or _rank(path) < _rank(other):
            chosen[path.parent] = path
    return sorted(chosen.values())


def _rank(path: Path) -> int:
    return INDEX_ORDER.index(path.name) if path.name in INDEX_ORDER else len(INDEX_ORDER)


def read_index(path: Path, root: str | Path) -> pd.DataFrame:
    """One row per image of an index: plate, well, site, channel, path, plane, time, sizes.

    Tags are matched by local name: the namespace differs between V5, V6 and V7. V5 states a
    channel's name with each image, V6 and V7 once in the maps.

    Raises
    ------
    TableError
        Not an index, a field of an image is missing or no number; all problems in one message.
    UnsafeInputError
        It declares entities, or names a file outside of the root.
    """
    plate, names, images = "", dict[str, str](), list[dict[str, str]]()
    try:
        for tag, fields in _elements(path):
            if tag == "Plate":
                plate = fields.get("PlateID", plate)
            elif tag == "Entry" and "ChannelName" in fields:
                names.setdefault(fields.get("ChannelID", ""), fields["ChannelName"])
            elif tag == "Image" and "URL" in fields:
                images.append(fields)
    except DefusedXmlException as error:
        raise UnsafeInputError(f"{path}: an index declares no entities ({error}).") from error
    except (ParseError, ValueError, OSError) as error:
        raise TableError(f"{path}: not a readable index of Harmony. {error}") from error
    if not plate or not images:
        what = "it names no plate" if not plate else "it lists no image"
        raise TableError(f"{path}: {what}. Expected an index of Harmony V5 to V7.")
    return _index_rows(path, Path(root), plate, names, images)


def _elements(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the tag and the texts of the children (and attributes) of plates,
    entries and images.
    """
    wanted = {"Plate", "Entry", "Image"}
    for _, element in iterparse(path, events=("end",)):
        tag = _local(element.tag)
        if tag not in wanted:
            continue
        fields = {_local(child.tag): (child.text or "").strip() for child in element.iter()}
        fields.update({_local(key): value for key, value in element.attrib.items()})
        yield tag, fields
        element.clear()


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _index_rows(
    path: Path,
    root: Path,
    plate: str,
    names: Mapping[str, str],
    images: Sequence[Mapping[str, str]],
) -> pd.DataFrame:
    folder, rows, problems = path.parent.resolve(), [], list[Problem]()
    top = root.resolve()
    for number, image in enumerate(images, start=1):
        try:
            place = inside(root, str((folder / image["URL"]).relative_to(top)))
            rows.append(_index_row(plate, names, image, place.relative_to(top).as_posix()))
        except UnsafeInputError:
            raise
        except (KeyError, ValueError) as error:
            what = f"image {number} ({image.get('URL', '')[:80]}): {error} is missing or no number"
            problems.append(Problem(str(path), what, "an index of Harmony V5 to V7"))
    raise_problems(problems)
    return pd.DataFrame(rows)


def _index_row(
    plate: str, names: Mapping[str, str], image: Mapping[str, str], path: str
) -> dict[str, Any]:
    channel = image.get("ChannelName") or names.get(image["ChannelID"]) or f"ch{image['ChannelID']}"
    row = {
        "plate": plate,
        "well": well_name(int(image["Row"]), int(image["Col"])),
        "site": int(image["FieldID"]),
        "channel": channel,
        "path": path,
        "plane": int(image.get("PlaneID", "1")),
        "time": int(image.get("TimepointID", "0")),
    }
    if image.get("ImageSizeX") and image.get("ImageSizeY"):
        row.update(height=int(image["ImageSizeY"]), width=int(image["ImageSizeX"]))
    return row


def parse_name(path: Path) -> dict[str, Any] | None:
    """Parse an image name, for exports moved without their index."""
    found = FILE_NAME.fullmatch(path.name)
    if not found or int(found["row"]) < 1 or int(found["column"]) < 1:
        return None
    return {
        "plate": plate_of(path),
        "well": well_name(int(found["row"]), int(found["column"])),
        "site": int(found["site"]),
        "channel": f"ch{int(found['channel'])}",
        "plane": int(found["plane"]),
        "time": int(found["time"] or 0),
    }


def plate_of(path: Path) -> str:
    """Return the plate in the name of a measurement's folder, else the folder's own name."""
    folder = path.parent.parent if path.parent.name == "Images" else path.parent
    found = PLATE_FOLDER.fullmatch(folder.name)
    return found["plate"] if found else folder.name
