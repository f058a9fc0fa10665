"""ImageXpress exports, read by file name."""

from __future__ import annotations

from typing import Any

from phenoprints.screens.filenames import NamePattern
from phenoprints.screens.listing import Listing
from phenoprints.screens.sources.files import NAME_SETTINGS, read_named

SETTINGS = NAME_SETTINGS

GUID = r"(?:[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12})?"

NAMES = NamePattern(
    r"(?:TimePoint_(?P<time>\d+)/)?(?:ZStep_(?P<plane>\d+)/)?"
    rf"(?:[^/]+?_)?(?P<well>(?![sw]\d+(?:_w\d)?{GUID}\.)[A-Z]{{1,2}}\d{{1,2}})(?:\.[a-z]\d)?"
    rf"(?:_s(?P<site>\d{{1,3}}))?(?:_(?P<channel>w\d))?{GUID}\.(?:tiff?|png|jp2|jpe?g)",
    absent={"channel": "w1"},
    example="HTS_A01_s1_w1.tif",
)
"""`HTS_A01_s1_w33EFC51B3-6F57-4273-AFE3-BAA0781C8ACF.tif`: prefix, well, site, channel, GUID.

The channel is the one digit after `w`: a second one would belong to the GUID. Site and channel are
absent where an acquisition has one alone. The plate is the nearest folder that is not `Images`,
`TimePoint_<n>` or `ZStep_<n>`; thumbnails (`_thumb`) have other names."""


def read_listing(**settings: Any) -> Listing:
    """Return the wells of a user's table with the images of an ImageXpress; see `read_named`."""
    return read_named(NAMES, **settings)
