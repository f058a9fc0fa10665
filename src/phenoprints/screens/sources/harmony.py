"""Opera Phenix and Operetta exports: Index.xml of Harmony V5 to V7, or file names without it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import pandas as pd
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from phenoprints.foundations.errors import Problem, TableError, UnsafeInputError, raise_problems
from phenoprints.foundations.finding import composed
from phenoprints.foundations.names import below, inside
from phenoprints.foundations.running_job import note_input
from phenoprints.foundations.size_limits import regular_size
from phenoprints.screens.filenames import NamePattern, files_by_name
from phenoprints.screens.imaged import imaged_listing
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.selection import Selection
from phenoprints.screens.sources.files import IMAGE_SETTINGS
from phenoprints.screens.tables import find_files
from phenoprints.screens.welltable import WellTable, well_table_settings
from phenoprints.wells.plates import well_name

SETTINGS = (*well_table_settings(), "exports", *IMAGE_SETTINGS)

NAMES = NamePattern(
    r"(?:(?P<plate>[^/]+?)(?:__\d{4}-\d\d-\d\dT\d\d_\d\d_\d\d-Measurement ?"
    r"(?P<acquisition>\d+))?/)?(?:Images/)?(?:r\d+c\d+/)?"
    r"r(?P<row>\d{2})c(?P<column>\d{2})f(?P<site>\d{2,3})p(?P<plane>\d{2,3})-"
    r"(?P<channel>ch\d{1,2})(?:sk|t)?(?P<time>\d+)?(?:fk\d+)?(?:fl\d+)?\.tiff?",
    absent={"time": "0"},
    example="r04c14f05p01-ch1sk1fk1fl1.tiff",
)
"""`r04c14f05p01-ch1sk1fk1fl1.tiff`: row, column, field, plane, channel, time point; of V7
`r01c01f01p01-ch1t01.tiff`, in folders of wells. The plate is the folder of the measurement."""

MEASUREMENT = re.compile(r".+__\d{4}-\d\d-\d\dT\d\d_\d\d_\d\d-Measurement ?(?P<number>\d+)")
"""`BR00117035__2021-05-02T16_02_51-Measurement 1` (the blank before the number is optional)."""

EXPORTS = "**/[Ii]ndex*.xml"


def read_listing(
    *,
    exports: str | Sequence[str] = EXPORTS,
    channels: Mapping[str, str] | None = None,
    channel_names: Sequence[str] = (),
    acquisition: str | int | None = None,
    plane: str | int | None = None,
    time: str | int | None = None,
    **table: Any,
) -> Listing:
    """Return the wells of a user's table with the images of Harmony exports.

    Parameters
    ----------
    exports
        Glob of the index files below `root`, beside their images or above them; or of the images
        themselves (`*.tiff`) where there is no index: then the plate is the measurement's folder,
        and a channel is `ch1`, `ch2`, ….
    channels
        Names in the index and what they show: `"HOECHST 33342": DNA`.
    channel_names
        The channels wanted, in order; those that most sites have when empty.
    acquisition, plane, time
        The measurement of a plate, the plane and the time point that are read; the first by
        default.
    table
        The fields of `WellTable`. Without `wells` every perturbation is unknown.
    """
    source, notes = WellTable(**table), Notes()
    paths = find_files(source.root, exports)
    indexes = [path for path in paths if path.suffix.lower() == ".xml"]
    if indexes:
        files = pd.concat([read_index(path, source.root) for path in _newest(indexes)])
        files = files.drop_duplicates("path", ignore_index=True)
    else:
        names = [below(source.root, path) for path in paths]
        files = files_by_name(source.root, names, NAMES, notes)
    chosen = (channels or {}, channel_names, Selection(acquisition, plane, time))
    listing = imaged_listing(source, files, chosen, notes, source.root)
    return replace(listing, inputs=(*listing.inputs, *map(str, indexes)))


INDEX_ORDER = ("index.idx.xml", "index.xml", "index.ref.xml")


def _newest(paths: Sequence[Path]) -> list[Path]:
    """One index of each folder: the first of `INDEX_ORDER`, since they list the same images."""
    chosen: dict[Path, Path] = {}
    for path in paths:
        other = chosen.get(path.parent)
        if other is None or _rank(path) < _rank(other):
            chosen[path.parent] = path
    return sorted(chosen.values())


def _rank(path: Path) -> int:
    name = path.name.lower()
    return INDEX_ORDER.index(name) if name in INDEX_ORDER else len(INDEX_ORDER)


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
    plate, maps, images = "", dict[str, dict[str, str]](), list[dict[str, str]]()
    try:
        for tag, fields in _elements(path):
            if tag == "Plate":
                plate = fields.get("PlateID", plate)
            elif tag == "Entry":
                entry = maps.setdefault(fields.get("ChannelID", ""), {})
                maps[fields.get("ChannelID", "")] = {**fields, **entry}
            elif tag == "Image" and "URL" in fields:
                images.append(fields)
    except DefusedXmlException as error:
        raise UnsafeInputError(f"{path}: an index declares no entities ({error}).") from error
    except (ParseError, ValueError, OSError) as error:
        raise TableError(f"{path}: not a readable index of Harmony. {error}") from error
    if not plate or not images:
        what = "it names no plate" if not plate else "it lists no image"
        raise TableError(f"{path}: {what}. Expected an index of Harmony V5 to V7.")
    stated = [{**maps.get(image.get("ChannelID", ""), {}), **image} for image in images]
    return _index_rows(path, Path(root), plate, stated)


def _elements(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the tag and the texts of the children (and attributes) of plates,
    entries and images.
    """
    wanted = {"Plate", "Entry", "Image"}
    regular_size(path)
    note_input(path)
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
    path: Path, root: Path, plate: str, images: Sequence[Mapping[str, str]]
) -> pd.DataFrame:
    top, folder = root.resolve(), path.parent.resolve()
    place_of = _place_rule(folder, images[0]["URL"])
    number_of = MEASUREMENT.fullmatch((folder.parent if _is_images(folder) else folder).name)
    common = {"plate": composed(plate), "acquisition": number_of["number"] if number_of else "1"}
    rows, problems = [], list[Problem]()
    for number, image in enumerate(images, start=1):
        try:
            place = inside(root, str(place_of(image["URL"]).relative_to(top)))
            row = _index_row(image, place.relative_to(top).as_posix())
            rows.append({**common, **row})
        except UnsafeInputError:
            raise
        except (KeyError, ValueError) as error:
            what = f"image {number} ({image.get('URL', '')[:80]}): {error} is missing or no number"
            problems.append(Problem(str(path), what, "an index of Harmony V5 to V7"))
    raise_problems(problems)
    return pd.DataFrame(rows)


def _is_images(folder: Path) -> bool:
    return folder.name.lower() == "images"


def _place_rule(folder: Path, first: str) -> Callable[[str], Path]:
    """Return where the images of an index are: as stated, below `Images`, or all in one folder.

    The first image decides. A backslash in a path is a slash, as Windows writes it.
    """
    images = folder / "Images"

    def stated(url: str, start: Path = folder) -> Path:
        return start / url.replace("\\", "/")

    def alone(url: str, start: Path = folder) -> Path:
        return start / url.replace("\\", "/").rpartition("/")[2]

    rules = (stated, partial(stated, start=images), alone, partial(alone, start=images))
    return next((rule for rule in rules if rule(first).is_file()), stated)


def _index_row(image: Mapping[str, str], path: str) -> dict[str, Any]:
    height, width = (image.get(f"ImageSize{axis}") or "0" for axis in "YX")
    return {
        "well": well_name(int(image["Row"]), int(image["Col"])),
        "site": int(image["FieldID"]),
        "channel": image.get("ChannelName") or f"ch{image['ChannelID']}",
        "path": path,
        "plane": str(int(image.get("PlaneID", "1"))),
        "time": str(int(image.get("TimepointID", "0"))),
        "height": int(height),
        "width": int(width),
    }
