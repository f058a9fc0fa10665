"""CellVoyager CV7000 and CV8000 exports, read by file name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phenoprints.screens.imaged import FileNames, listing_by_names
from phenoprints.screens.listing import Listing
from phenoprints.screens.welltable import well_table_settings
from phenoprints.wells.plates import parse_well, well_name

SETTINGS = (*well_table_settings(), "images", "channels", "channel_names")

FILE_NAME = re.compile(
    r"(?P<plate>.+)_(?P<well>[A-Za-z]{1,2}\d{1,2})_T(?P<time>\d{4})F(?P<site>\d{3})L\d{2}A\d{2}"
    r"Z(?P<plane>\d{2})(?P<channel>C\d{2})\.tiff?",
    re.ASCII,
)
"""`110000293081_A01_T0001F001L01A04Z01C06.tif`: plate, well, time, field, plane, channel."""

EXAMPLE = "110000293081_A01_T0001F001L01A04Z01C06.tif"


def read_listing(
    *,
    images: str | Sequence[str] = "**/*_T*F*L*A*Z*C*.tif",
    channels: Mapping[str, str] | None = None,
    channel_names: Sequence[str] = (),
    **table: Any,
) -> Listing:
    """Return the wells of a user's table with the images of a CellVoyager.

    Parameters
    ----------
    images
        Glob of the images below `root`. The plate is the one in the file's name: folders may be
        called otherwise (`P01_ADMJUM001`).
    channels
        Names in the files and what they show: `C01: DNA`.
    channel_names
        The channels wanted, in order; those of the files when empty.
    table
        The fields of `WellTable`. Without `wells` every perturbation is unknown.
    """
    names = FileNames(parse_name, EXAMPLE)
    return listing_by_names(names, table, images, channels=channels, channel_names=channel_names)


def parse_name(path: Path) -> dict[str, Any] | None:
    """Parse an image name; None for a name of another form."""
    found = FILE_NAME.fullmatch(path.name)
    position = parse_well(found["well"], 1536) if found else None
    if not found or position is None:
        return None
    return {
        "plate": found["plate"],
        "well": well_name(*position),
        "site": int(found["site"]),
        "channel": found["channel"],
        "plane": int(found["plane"]),
        "time": int(found["time"]),
    }
