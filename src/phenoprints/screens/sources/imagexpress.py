"""ImageXpress exports, read by file name."""

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
    r"(?:(?P<prefix>.+)_)?(?P<well>[A-Za-z]{1,2}\d{1,2})_s(?P<site>\d{1,3})_(?P<channel>w\d)"
    r"(?P<guid>[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?\.tiff?",
    re.ASCII,
)
"""`HTS_A01_s1_w33EFC51B3-6F57-4273-AFE3-BAA0781C8ACF.tif`: prefix, well, site, channel, GUID.

The channel is the one digit after `w`; a second one would belong to the GUID."""

EXAMPLE = "HTS_A01_s1_w1.tif"
GENERIC_FOLDERS = ("images", "timepoint_1", "zstep_1", "zstep_0")
"""Folders that do not name the plate, in lower case."""


def read_listing(
    *,
    images: str | Sequence[str] = "**/*_s*_w*.tif",
    channels: Mapping[str, str] | None = None,
    channel_names: Sequence[str] = (),
    **table: Any,
) -> Listing:
    """Return the wells of a user's table with the images of an ImageXpress.

    Parameters
    ----------
    images
        Glob of the images below `root`. The plate is the name of the folder above `Images` or
        `TimePoint_1`; thumbnails (`_thumb`) are not images.
    channels
        Names in the files and what they show: `w1: DNA`.
    channel_names
        The channels wanted, in order; those of the files when empty.
    table
        The fields of `WellTable`. Without `wells` every perturbation is unknown.
    """
    names = FileNames(parse_name, EXAMPLE)
    return listing_by_names(names, table, images, channels=channels, channel_names=channel_names)


def parse_name(path: Path) -> dict[str, Any] | None:
    """Parse the name and folder of an image; None for a name of another form."""
    found = FILE_NAME.fullmatch(path.name)
    position = parse_well(found["well"], 1536) if found else None
    if not found or position is None:
        return None
    return {
        "plate": plate_of(path),
        "well": well_name(*position),
        "site": int(found["site"]),
        "channel": found["channel"],
        "plane": 1,
        "time": 1,
    }


def plate_of(path: Path) -> str:
    """Return the nearest folder above an image whose name is not generic."""
    folders = [folder.name for folder in path.parents if folder.name]
    return next((name for name in folders if name.lower() not in GENERIC_FOLDERS), "")
