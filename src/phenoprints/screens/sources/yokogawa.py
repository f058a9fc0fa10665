"""CellVoyager CV7000 and CV8000 exports, read by file name."""

from __future__ import annotations

from typing import Any

from phenoprints.screens.filenames import NamePattern
from phenoprints.screens.listing import Listing
from phenoprints.screens.sources.files import NAME_SETTINGS, read_named

SETTINGS = NAME_SETTINGS

NAMES = NamePattern(
    r"(?P<plate>.+)_(?P<well>[A-Z]{1,2}\d{1,2})_T(?P<time>\d{4})F(?P<site>\d{3})"
    r"L(?P<acquisition>\d{2})A\d{2}Z(?P<plane>\d{2})(?P<channel>C\d{2})\.(?:tiff?|png|jp2|jpe?g)",
    example="110000293081_A01_T0001F001L01A04Z01C06.tif",
)
"""Plate, well, time, field, timeline, action, plane, channel. The plate is the one in the file's
name: folders may have other names (`P01_ADMJUM001`). A second timeline is another acquisition."""


def read_listing(**settings: Any) -> Listing:
    """Return the wells of a user's table with the images of a CellVoyager; see `read_named`."""
    return read_named(NAMES, **settings)
