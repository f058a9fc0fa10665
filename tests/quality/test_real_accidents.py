"""Accidents planted in two real sets, each well for itself: how many are found, and false alarms.

SBS: 96 wells of two channels, 24 of them controls. JUMP: four wells of five channels without a
control, as windows make them 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from phenoprints.quality import assess, measure
from phenoprints.screens.images.windows import look_up_tables, to_uint8, windows

pytestmark = pytest.mark.data
Image = np.ndarray
JUMP = {"DMSO": ["r04c14"], "AMG900": ["r14c09"], "FK-866": ["r04c08", "r12c09"]}
ROLES = {"-1": "negative_control", "1": "positive_control", "0": "treatment"}


def partial_frame(image: Image, _: np.random.Generator) -> Image:
    """The bottom 30 % of every channel is zero."""
    made = image.copy()
    made[:, round(0.7 * image.shape[1]) :] = 0
    return made


def gradient(image: Image, rng: np.random.Generator) -> Image:
    """Brightness doubles from one edge to the opposite one, in a random direction."""
    axis, ends = 1 + rng.integers(2), rng.permutation([2 / 3, 4 / 3])
    gain = np.linspace(*ends, image.shape[axis])
    gain = gain[None, :, None] if axis == 1 else gain[None, None]
    return np.clip(np.rint(image * gain), 0, np.iinfo(image.dtype).max).astype(image.dtype)


def blurred_channel(image: Image, rng: np.random.Generator) -> Image:
    """One channel, drawn at random, is blurred by 4 pixels."""
    made, channel = image.copy(), rng.integers(len(image))
    made[channel] = np.rint(ndimage.gaussian_filter(image[channel].astype(float), 4))
    return made


class Data:
    """A set of images, the roles of its wells, and its metrics as they are."""

    def __init__(self, images: list[Image], roles: list[str], channels: list[str]) -> None:
        self.images, self.roles, self.channels = images, roles, channels
        self.rows = rows_of(as_seen(images, images), channels)


@pytest.fixture(scope="module")
def sbs(test_data) -> Data:
    root = test_data / "images/sbs"
    table = pd.read_csv(root / "1049_Metadata.csv", dtype=str)
    images = [
        np.stack(
            [tifffile.imread(root / f"Channel{c}-{row.ImageNumber:0>2}-{row.Row}-{row.Column}.tif")
             for c in (1, 2)]
        )
        for row in table.itertuples()
    ]  # fmt: skip
    return Data(images, [ROLES[text] for text in table["SBS_Controls"]], ["GFP", "DNA"])


@pytest.fixture(scope="module")
def jump(test_data) -> Data:
    root = test_data / "images/jump_cpg0000_phenix"
    images = [
        np.stack([tifffile.imread(root / folder / f"{stem}f05p01-ch{c}sk1fk1fl1.tiff")
                  for c in (5, 4, 3, 2, 1)])
        for folder, stems in JUMP.items() for stem in stems
    ]  # fmt: skip
    return Data(images, ["treatment"] * 4, ["DNA", "ER", "RNA", "AGP", "Mito"])


def as_seen(images: list[Image], original: list[Image]) -> list[Image]:
    """The images with 8 bits, by the windows of the original ones where they have 16."""
    if images[0].dtype == np.uint8:
        return images
    limits = [tuple(map(int, pair)) for pair in windows(original, [0.1, 99.9])]
    return [to_uint8(image, look_up_tables(tuple(limits))) for image in images]


def rows_of(images: list[Image], channels: list[str]) -> list[dict[str, object]]:
    return [
        {"well_id": np.uint64(n), "site": 1, "unreadable": "", **measure(image, channels)}
        for n, image in enumerate(images)
    ]


def found(rows: list[dict[str, object]], roles: list[str]) -> list[set[str]]:
    """The codes that each well breaks."""
    ids = np.arange(len(rows), dtype=np.uint64)
    wells = pd.DataFrame({"well_id": ids, "experiment": "e", "plate": "p", "role": roles})
    table = assess(pd.DataFrame(rows), wells)
    return [set(codes) for codes in table.loc[table["site"] >= 0, "reasons"]]


def share_found(data: Data, plant: Callable, code: str) -> float:
    """The share of wells that break the rule, each planted while the others are intact."""
    rng = np.random.default_rng(7)
    planted = as_seen([plant(image, rng) for image in data.images], data.images)
    before, after = data.rows, rows_of(planted, data.channels)
    hits = [
        code in found([*before[:n], after[n], *before[n + 1 :]], data.roles)[n]
        for n in range(len(before))
    ]
    return float(np.mean(hits))


ACCIDENTS = {
    "bottom zeroed": (partial_frame, "QC007", 0.95),
    "gradient of 2:1": (gradient, "QC013", 0.80),
    "one channel blurred": (blurred_channel, "QC010", 0.90),
}


@pytest.mark.parametrize("accident", ACCIDENTS)
@pytest.mark.parametrize("name", ["sbs", "jump"])
def test_accidents_are_found(name, accident, request):
    plant, code, least = ACCIDENTS[accident]
    share = share_found(request.getfixturevalue(name), plant, code)
    assert share >= least


@pytest.mark.parametrize(("name", "most"), [("sbs", 0.02), ("jump", 0.0)])
def test_real_wells_raise_no_alarm(name, most, request):
    data = request.getfixturevalue(name)
    codes = found(data.rows, data.roles)
    assert sum(bool(own) for own in codes) <= most * len(codes), codes
