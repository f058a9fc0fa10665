"""Microscopy tiles: display ranges of controls, grey channels, composites, wells that are shown."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from phenoprints.reports.examples import Example, example_gallery
from phenoprints.reports.image_tiles import (
    MAX_TILE_PX,
    block_panel,
    centre_crop,
    composite,
    display_ranges,
    encode_png,
    grey,
    reconstruction_panel,
    well_strip,
)
from phenoprints.reports.page_model import Box
from phenoprints.reports.runs import Run

GENERATOR = np.random.default_rng(3)


def image(size: int = 64, channels: int = 3) -> np.ndarray:
    return GENERATOR.integers(0, 256, (channels, size, size)).astype(np.uint8)


def pictures(svg: str) -> list[np.ndarray]:
    found = re.findall(r'href="data:image/png;base64,([^"]+)"', svg)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


@pytest.mark.parametrize("size", [32, 127, 128, 200, 2048])
def test_tiles_are_central_and_small(size: int) -> None:
    crop = centre_crop(np.zeros((2, size, size + 10), dtype=np.uint8))
    assert crop.shape[1] == crop.shape[2] <= MAX_TILE_PX
    assert crop.shape[0] == 2


def test_thinning_keeps_the_mean_of_the_centre() -> None:
    crop = centre_crop(np.kron(np.arange(4, dtype=np.uint8), np.ones((1, 256, 64), np.uint8)))
    assert crop.shape == (1, 128, 128)
    assert crop[0, 0, [0, 32, 64, 96]].tolist() == [0, 1, 2, 3]


def test_ranges_are_those_of_the_controls_and_never_empty() -> None:
    flat = np.full((2, 8, 8), 7, dtype=np.uint8)
    assert display_ranges([flat]) == [(7.0, 8.0), (7.0, 8.0)]
    low, high = display_ranges([np.arange(256, dtype=np.uint8).reshape(1, 16, 16)])[0]
    assert (low, high) == pytest.approx((2.55, 253.725))


def test_values_beyond_the_range_are_clipped() -> None:
    shown = grey(np.array([[0, 50, 100, 200]], dtype=np.uint8), (50, 150))
    assert shown.tolist() == [[0, 0, 128, 255]]


def test_a_dim_well_stays_dim_beside_bright_controls() -> None:
    dim = np.full((1, 16, 16), 10, dtype=np.uint8)
    svg = well_strip(dim, [(0.0, 200.0)], ["DNA"], "dim")
    assert pictures(svg)[0].max() == 13
    assert "DNA 0–200" in svg


def test_composites_need_two_known_channels() -> None:
    ranges = [(0.0, 255.0)] * 3
    assert composite(image(), ranges, ["DNA", "a", "b"]) is None
    mixed = composite(image(), ranges, ["DNA", "ER", "b"])
    assert mixed is not None
    assert mixed.shape == (64, 64, 3)


def test_hostile_channel_names_stay_text() -> None:
    svg = well_strip(image(), [(0.0, 255.0)] * 3, ["<img src=x>", "b", "c"], "<b>title")
    assert "<img" not in svg
    assert "<b>" not in svg
    assert len(pictures(svg)) == 3


def test_same_pixels_same_bytes() -> None:
    pixels = image()[0]
    assert encode_png(pixels) == encode_png(pixels.copy())


def test_reconstructions_have_four_columns_per_crop() -> None:
    target = GENERATOR.normal(size=(6, 2, 8, 8))
    hidden = np.zeros(target.shape, dtype=bool)
    hidden[..., :4] = True
    svg = reconstruction_panel(target, target, hidden, ["DNA", "ER"], title="r")
    found = pictures(svg)
    assert len(found) == 4 * 4
    assert (found[1][:, :4] == 96).all()
    assert (found[3] == 128).all()  # a perfect prediction differs by nothing
    assert np.array_equal(found[0], found[2])


def test_blocks_are_columns_of_the_first_crop() -> None:
    target = GENERATOR.normal(size=(2, 3, 8, 8))
    hidden = np.ones(target.shape, dtype=bool)
    by_block = np.stack([np.zeros_like(target)] * 23 + [target])
    svg = block_panel(target, by_block, hidden, ["DNA", "ER", "RNA"], title="b")
    found = pictures(svg)
    assert len(found) == 2 + 12
    assert "block 1<" in svg
    assert "block 24<" in svg
    assert (found[1] == 96).all()
    assert np.array_equal(found[0], found[-1])
    assert (
        len(pictures(block_panel(target, by_block[-4:], hidden, ["a", "b", "c"], title="b"))) == 6
    )


def test_images_that_cannot_be_read_give_a_box(whole_run: Path, config: dict[str, Any]) -> None:
    run = Run(whole_run, config)
    shown = example_gallery(run, "demo", [Example(1, "a well")], anchor="a", title="t", caption="c")
    assert isinstance(shown, Box)
