"""Example wells of a screen as tiles, at the display range of their plate's controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.reports.image_tiles import COMPOSITE_LEGEND, display_ranges, well_strip
from phenoprints.reports.page_model import Box, Gallery
from phenoprints.reports.runs import Run
from phenoprints.wells import CONTROL_ROLES, failed_wells

MAX_CONTROLS = 3
MAX_TILES = 60
SMALL_PX = 1024
"""Above this side of an image one control well gives the display range, not three."""


@dataclass(frozen=True)
class Example:
    """A well to show, and what to say above it."""

    well_id: int
    title: str


def example_gallery(
    run: Run, screen: str, examples: Sequence[Example], *, anchor: str, title: str, caption: str
) -> Gallery | Box:
    """Return the wells as rows of tiles, or a box that says why they cannot be shown."""
    sites = run.table("screen_sites", screen=screen)
    wells = run.table("screen_wells", ["well_id", "experiment", "plate", "role"], screen=screen)
    if sites is None or wells is None or sites.empty or not examples:
        text = "There is no image or no well to show."
        return Box("No example wells", text, anchor=anchor)
    if not (room := num_images(run)):
        return Box("No example wells", "The configuration asks for none.", anchor=anchor)
    shown = examples[: max(1, room // (1 + sites["channels"].map(len).max()))]
    places = _places(sites, wells).assign(
        is_bad=lambda w: w["well_id"].isin(bad_wells(run, screen))
    )
    try:
        pictures = _strips(run, screen, shown, places)
    except (PhenoprintsError, OSError) as error:
        text = f"The images could not be read: {' '.join(str(error).split())[:300]}"
        return Box("No example wells", text, anchor=anchor)
    told = (
        f"{caption} Central crop of the first site; each channel is shown in grey between the 1st "
        "and 99.5th percentile of good control wells of its plate (the numbers above it, of 255). "
        f"Composites, where there are any: {COMPOSITE_LEGEND}."
    )
    return Gallery(anchor, title, told, pictures, is_stacked=True)


def bad_wells(run: Run, screen: str) -> set[int]:
    """Return the wells of a screen that failed quality control; none where it was not assessed."""
    quality = run.table("quality", ["well_id", "site", "verdict"], screen=screen)
    if quality is None:
        return set()
    return set(failed_wells(quality).tolist())


def num_images(run: Run) -> int:
    """Return the image tiles that a gallery may have."""
    return int((run.config.get("reports") or {}).get("num_images", MAX_TILES))


def _places(sites: pd.DataFrame, wells: pd.DataFrame) -> pd.DataFrame:
    """Return the first site of every well, with its plate and role, by well_id."""
    first = sites.sort_values(["well_id", "site"], kind="stable").drop_duplicates("well_id")
    return first.merge(wells, on="well_id").set_index("well_id", drop=False)


def _strips(
    run: Run, screen: str, examples: Sequence[Example], places: pd.DataFrame
) -> list[Markup]:
    from phenoprints.screens.images import open_images

    images = open_images(run.folder / "screens" / screen / "images.json")
    ranges: dict[tuple[str, str], list[tuple[float, float]]] = {}
    strips = []
    for example in examples:
        if example.well_id not in places.index:
            continue
        place = places.loc[[example.well_id]].iloc[0]
        plate = (str(place["experiment"]), str(place["plate"]))
        image = _read(images, place)
        if plate not in ranges:
            ranges[plate] = _plate_ranges(images, places, plate, image)
        channels = [str(name) for name in place["channels"]]
        strips.append(well_strip(image, ranges[plate], channels, example.title))
    return strips


def _plate_ranges(
    images: Any, places: pd.DataFrame, plate: tuple[str, str], image: np.ndarray
) -> list[tuple[float, float]]:
    on_plate = (places["experiment"] == plate[0]) & (places["plate"] == plate[1])
    controls = places[on_plate & places["role"].isin(CONTROL_ROLES) & ~places["is_bad"]]
    number = MAX_CONTROLS if max(image.shape[1:]) <= SMALL_PX else 1
    shown = [_read(images, row) for _, row in controls.head(number).iterrows()]
    alike = [other for other in shown if len(other) == len(image)]
    return display_ranges(alike or [image])


def _read(images: Any, place: pd.Series) -> np.ndarray:
    channels = [str(name) for name in place["channels"]]
    shape = int(place["height"]), int(place["width"])
    pixels: np.ndarray = images.read(
        str(place["locator"]), channels, experiment=str(place["experiment"]), shape=shape
    )
    return pixels
