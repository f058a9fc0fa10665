"""The grid of crops: numbers of the sources, centred, and every size of image."""

from __future__ import annotations

import numpy as np
import pytest

from phenoprints.embeddings import Geometry
from phenoprints.foundations.errors import ConfigurationError, ImageError


@pytest.mark.parametrize(
    ("side", "crop", "expected"),
    [
        (2048, 256, 36),
        (512, 256, 4),
        (1080, 256, 16),
        (256, 32, 36),
        (256, 256, 1),
        (1024, 256, 16),
    ],
)
def test_the_numbers_of_the_sources(side: int, crop: int, expected: int) -> None:
    assert len(Geometry(crop).origins(side, side)) == expected


def test_crops_are_centred_and_the_ring_is_left_out() -> None:
    origins = Geometry(256).origins(2048, 2048)
    assert origins.min() == 256
    assert origins.max() == 2048 - 512

    tiled = Geometry(256, exclude_border_crops=False).origins(1080, 1083)
    assert tiled[0].tolist() == [28, 29]
    assert tiled[-1].tolist() == [28 + 3 * 256, 29 + 3 * 256]


def test_a_wide_but_low_grid_keeps_its_ring_unless_asked() -> None:
    assert len(Geometry(32).origins(64, 512)) == 2 * 16
    assert len(Geometry(32, exclude_border_crops=True).origins(128, 512)) == 2 * 14
    assert len(Geometry(32, exclude_border_crops=True).origins(32, 64)) == 2


def test_overlap_adds_crops_between() -> None:
    origins = Geometry(100, overlap_px=50).origins(200, 100)

    assert origins.tolist() == [[0, 0], [50, 0], [100, 0]]


def test_crops_are_the_pixels_at_their_origins() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (3, 70, 100), dtype=np.uint8)
    geometry = Geometry(32, overlap_px=8)

    crops = geometry.crops(image)

    for crop, (y, x) in zip(crops, geometry.origins(70, 100), strict=True):
        np.testing.assert_array_equal(crop, image[:, y : y + 32, x : x + 32])


def test_impossible_geometries_are_told() -> None:
    with pytest.raises(ImageError, match="an image of 200×2000 px holds no crop of 256 px"):
        Geometry(256).origins(200, 2000)
    with pytest.raises(ConfigurationError, match="overlap_px: 32 of crops of 32 px"):
        Geometry(32, overlap_px=32)
