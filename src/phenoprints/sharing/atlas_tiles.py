"""Pictures of an atlas: wells of a perturbation beside controls, at one range per experiment."""

# C channels · H W pixels

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.reports.image_tiles import centre_crop, display_ranges, grey
from phenoprints.runs import Run
from phenoprints.wells import failed_wells

MAX_WELLS = 12
MAX_CONTROLS = 4
QUALITY = 82
"""Of the WebP pictures: some 10 kB for a well of five channels."""


@dataclass
class Tiles:
    """Writes the pictures of a screen, each well once, and notes those that are absent."""

    run: Run
    screen: str
    folder: Path
    absent: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read which wells have images, and which are good negative controls."""
        wells, sites = self.run.wells(self.screen), self._sites()
        bad = failed_wells(self.run.quality(self.screen))
        is_bad = wells["well_id"].isin(bad)
        first = sites.sort_values(["well_id", "site"]).drop_duplicates("well_id")
        self.places = wells.merge(first, on="well_id", how="left").set_index("well_id", drop=False)
        role = "negative_control"
        role = role if (wells["role"] == role).any() else "unperturbed"
        self.controls = wells[(wells["role"] == role) & ~is_bad]
        self.ranges: dict[str, list[tuple[float, float]]] = {}
        self.written: dict[int, str] = {}

    def _sites(self) -> pd.DataFrame:
        return pd.read_parquet(self.run.path("screen_sites", screen=self.screen))

    def has_images(self) -> bool:
        """Whether the screen has any image."""
        return bool(self.places["locator"].notna().any())

    def of_entry(self, wells: pd.DataFrame) -> dict[str, Any] | None:
        """Return the pictures of up to twelve wells and of controls of their plates, or None."""
        shown = [self._picture(each) for each in spread(wells, MAX_WELLS)["well_id"]]
        pictures = [each for each in shown if each]
        if not pictures:
            return None
        experiments = list(dict.fromkeys(each["experiment"] for each in pictures))
        plates = wells[["experiment", "plate"]].drop_duplicates()
        near = self.controls.merge(plates, on=["experiment", "plate"])
        controls = [self._picture(each) for each in spread(near, MAX_CONTROLS)["well_id"]]
        ranges = {name: self.ranges[name] for name in experiments if name in self.ranges}
        channels = list(map(str, self.places.loc[pictures[0]["well_id"], "channels"]))
        for each in pictures:
            each["well_id"] = str(each["well_id"])
        found = [{**each, "well_id": str(each["well_id"])} for each in controls if each]
        return {"channels": channels, "ranges": ranges, "wells": pictures, "controls": found}

    def _picture(self, well_id: int) -> dict[str, Any] | None:
        place: Any = self.places.loc[well_id]
        about = {"well_id": int(well_id), "experiment": place["experiment"],
                 "plate": place["plate"], "well": place["well"]}  # fmt: skip
        if well_id not in self.written:
            self.written[well_id] = self._write(place, about)
        file = self.written[well_id]
        return {**about, "file": file} if file else None

    def _write(self, place: pd.Series, about: dict[str, Any]) -> str:
        try:
            image = self._read(place)
        except (PhenoprintsError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            self.absent.append({"screen": self.screen, **about, "reason": reason})
            return ""
        planes = [
            grey(plane, limits)
            for plane, limits in zip(
                centre_crop(image), self._range(place["experiment"], image), strict=True
            )
        ]
        file = f"tiles/{len(self.written)}-{about['well_id']}.webp"
        (self.folder / file).write_bytes(encode_webp(np.concatenate(planes, axis=1)))
        return file

    def _range(self, experiment: str, image: NDArray[np.uint8]) -> Sequence[tuple[float, float]]:
        if experiment not in self.ranges:
            chosen = self.controls[self.controls["experiment"] == experiment]
            images = []
            for well_id in spread(chosen, MAX_CONTROLS)["well_id"]:
                try:
                    images.append(self._read(self.places.loc[well_id]))
                except (PhenoprintsError, OSError):
                    continue  # listed where its own picture is wanted
            self.ranges[experiment] = display_ranges(images or [image])
        return self.ranges[experiment]

    def _read(self, place: pd.Series) -> NDArray[np.uint8]:
        from phenoprints.screens.images import open_images

        if not isinstance(place["locator"], str):
            raise FileNotFoundError("the well has no image")
        images = open_images(self.run.path("screen_images", screen=self.screen))
        pixels: NDArray[np.uint8] = images.read(
            place["locator"], list(place["channels"]), experiment=place["experiment"],
            shape=(int(place["height"]), int(place["width"])),
        )  # fmt: skip
        return pixels


def spread(wells: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most so many wells, evenly over the order of experiment, plate and well."""
    ordered = wells.sort_values(["experiment", "plate", "row", "column"], kind="stable")
    chosen = np.unique(np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round())
    return ordered.iloc[chosen.astype(int)]


def encode_webp(picture: NDArray[np.uint8]) -> bytes:
    """Return a grey picture as WebP."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="WEBP", quality=QUALITY)
    return stream.getvalue()
