"""Images in folders of any layout, read by a pattern of file names that the user writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from phenoprints.screens.filenames import NamePattern, listing_by_names
from phenoprints.screens.listing import Listing
from phenoprints.screens.selection import Selection
from phenoprints.screens.welltable import well_table_settings

IMAGE_SETTINGS = ("channels", "channel_names", "acquisition", "plane", "time")
NAME_SETTINGS = (*well_table_settings(), "images", "image_root", *IMAGE_SETTINGS)
SETTINGS = (*NAME_SETTINGS, "pattern", "plate")


def read_listing(*, pattern: str, plate: str | None = None, **settings: Any) -> Listing:
    """Return the wells of a user's table with the images whose names match a pattern.

    Parameters
    ----------
    pattern
        A regular expression with named groups; see `NamePattern`.
    plate
        The plate of images whose name and folders do not name one.
    settings
        As for `read_named`.
    """
    absent = {"plate": plate} if plate else {}
    return read_named(NamePattern(pattern, absent), **settings)


def read_named(
    names: NamePattern,
    *,
    images: str | Sequence[str] | None = None,
    image_root: str | None = None,
    channels: Mapping[str, str] | None = None,
    channel_names: Sequence[str] = (),
    acquisition: str | int | None = None,
    plane: str | int | None = None,
    time: str | int | None = None,
    **table: Any,
) -> Listing:
    """Return the listing of `listing_by_names` by the settings of a screen.

    Parameters
    ----------
    names
        What the names of the images mean.
    images
        Glob of the images below `image_root`; every file with the suffix of an image by default.
    image_root
        Folder or address of the images, by default `root`.
    channels
        Names in the files and what they show: `w1: DNA`.
    channel_names
        The channels wanted, in order; those that most sites have when empty.
    acquisition, plane, time
        The ones that are read, as in the files' names; the first by default.
    table
        The fields of `WellTable`. Without `wells` every perturbation is unknown.
    """
    return listing_by_names(
        names,
        table,
        images=images,
        image_root=image_root,
        channels=channels,
        channel_names=channel_names,
        selection=Selection(acquisition, plane, time),
    )
