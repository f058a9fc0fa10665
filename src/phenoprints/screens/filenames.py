"""What the names of image files mean: patterns with named groups, applied below a screen's root."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from phenoprints.foundations.errors import ConfigurationError, Problem, TableError, raise_problems
from phenoprints.foundations.finding import IMAGE_SUFFIXES, composed, find
from phenoprints.foundations.names import below
from phenoprints.foundations.pattern_search import search_limit
from phenoprints.foundations.remote import find_remote, is_remote
from phenoprints.screens.imaged import imaged_listing
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.selection import FIRST, Selection, natural
from phenoprints.screens.tables import find_files
from phenoprints.screens.welltable import WellTable
from phenoprints.wells.plates import parse_well, well_name

GROUPS = ("plate", "well", "row", "column", "site", "channel", "plane", "time", "acquisition")
"""Named groups that a pattern may have; of the place, either `well` or `row` and `column`."""

GENERIC_FOLDER = re.compile(r"images|timepoint_\d+|zstep_-?\d+", re.IGNORECASE)
"""Folders that do not name the plate."""

SHOWN_NAMES = 3


@dataclass(frozen=True)
class NamePattern:
    """A regular expression with named groups (`GROUPS`) that the names of a screen's images match.

    Attributes
    ----------
    pattern
        Matched in whole and without regard to case: with the file's name, or, where it contains
        `/`, with the end of the path below the root.
    absent
        What a group means that the pattern does not have or that matches nothing. Without a plate
        it is the nearest folder whose name is not generic (`Images`, `TimePoint_1`, `ZStep_1`).
    example
        A name that matches, for messages.
    """

    pattern: str
    absent: Mapping[str, str] = field(default_factory=dict)
    example: str = ""

    def compiled(self) -> re.Pattern[str]:
        """Return the compiled expression; ConfigurationError where it cannot name wells."""
        try:
            prefix = "(?:.*?/)??" if "/" in self.pattern else ""
            regex = re.compile(f"{prefix}(?:{self.pattern})", re.IGNORECASE | re.ASCII)
        except re.error as error:
            raise ConfigurationError(f"pattern: {self.pattern!r} is not valid. {error}") from error
        groups, expected = set(regex.groupindex), ", ".join(GROUPS)
        unknown = sorted(groups - set(GROUPS))
        problems = [Problem("pattern", f"no meaning for (?P<{n}>)", expected) for n in unknown]
        if "well" not in groups and not {"row", "column"} <= groups:
            what = "no group names the well"
            problems.append(
                Problem("pattern", what, "(?P<well>…), or (?P<row>…) and (?P<column>…)")
            )
        raise_problems(problems, ConfigurationError)
        return regex

    def parse(self, regex: re.Pattern[str], path: str, root_name: str) -> dict[str, str] | None:
        """Return plate, well, site, channel, plane, time and acquisition of a path below the root.

        None where the path does not match or its place is no well of any plate.
        """
        name = composed(path)
        found = regex.fullmatch(name if "/" in self.pattern else PurePosixPath(name).name)
        if found is None:
            return None
        texts = {key: text for key, text in found.groupdict().items() if text}
        well = _well(texts)
        if well is None:
            return None
        plate = texts.get("plate") or self.absent.get("plate") or _folder(name) or root_name
        rest = {key: texts.get(key) or self.absent.get(key, "1") for key in GROUPS[4:]}
        return {**rest, "plate": plate, "well": well, "path": path}


def _well(texts: Mapping[str, str]) -> str | None:
    if "well" in texts:
        position = parse_well(texts["well"], 1536)
        return well_name(*position) if position else None
    row, column = texts.get("row", ""), texts.get("column", "")
    if row.isdigit():
        is_well = 1 <= int(row) <= 32 and column.isdigit() and 1 <= int(column) <= 48
        return well_name(int(row), int(column)) if is_well else None
    position = parse_well(row + column, 1536)
    return well_name(*position) if position else None


def _folder(path: str) -> str:
    names = [parent.name for parent in PurePosixPath(path).parents if parent.name]
    return next((name for name in names if not GENERIC_FOLDER.fullmatch(name)), "")


def listing_by_names(
    names: NamePattern,
    table: Mapping[str, Any],
    *,
    images: str | Sequence[str] | None = None,
    image_root: str | None = None,
    channels: Mapping[str, str] | None = None,
    channel_names: Sequence[str] = (),
    selection: Selection = FIRST,
) -> Listing:
    """Return the listing of a user's table with the images whose names match a pattern.

    `table` contains the fields of `WellTable`, `images` is a glob below the root of the images
    (that of the table, if not `image_root`); None takes every file with the suffix of an image.
    """
    source, notes = WellTable(**table), Notes()
    root = image_root or source.root
    files = files_by_name(root, image_files(root, images), names, notes)
    return imaged_listing(source, files, (channels or {}, channel_names, selection), notes, root)


def image_files(root: str, images: str | Sequence[str] | None = None) -> list[str]:
    """Return the paths below a root, a folder or an address, of images that globs name.

    Without globs they are all files that have the suffix of an image.
    """
    if is_remote(root):
        wanted = [images] if isinstance(images, str) else list(images or ["**/*.*"])
        found = list(find_remote(root, wanted))
    elif images is None:
        found = [below(root, path) for path in find(root, "**/*.*")]
    else:
        return [below(root, path) for path in find_files(root, images)]
    return [path for path in found if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES]


def files_by_name(
    root: str | Path, paths: Iterable[str], names: NamePattern, notes: Notes
) -> pd.DataFrame:
    """Return a row per file below a root whose name matches; the others are counted.

    Columns: `GROUPS` without row and column, all texts but `site` (a number), and `path`. Sites
    with names are numbered in their natural order.
    """
    root_name = (
        str(root).rstrip("/").rpartition("/")[2] if is_remote(root) else Path(root).resolve().name
    )
    regex, others, rows = names.compiled(), [], []
    listed = list(paths)
    with search_limit(regex, len(listed), "pattern") as searched:
        for path in listed:
            searched[:] = [path]
            row = names.parse(regex, path, root_name)
            others.append(PurePosixPath(path).name) if row is None else rows.append(row)
    like = names.example or names.pattern
    if not rows:
        some = f"; it contains {', '.join(others[:SHOWN_NAMES])}" if others else ""
        fix = "use `source: files` with a `pattern` of your own (docs/how-to/own-microscope.md)"
        raise_problems(
            [Problem(str(root), f"no image is named like {like}{some}", "", fix)], TableError
        )
    if others:
        some = ", ".join(others[:SHOWN_NAMES])
        notes.count("files_of_other_names", len(others))
        notes.warn(f"{len(others)} files have other names than {like} and are not used ({some}).")
    files = pd.DataFrame(rows)
    return files.assign(site=_site_numbers(files["site"], notes))


def _site_numbers(sites: pd.Series[Any], notes: Notes) -> pd.Series[Any]:
    distinct = sites.unique()
    if all(text.isdigit() for text in distinct):
        return sites.astype("int64")
    order = sorted(distinct, key=natural)
    notes.warn(f"Sites have names and are numbered: 1 is {order[0]}, {len(order)} is {order[-1]}.")
    return sites.map({text: number for number, text in enumerate(order, start=1)})
