"""An image of another size or depth than its plate is refused before it is decoded, everywhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile

import phenoprints.screens.images.decoding as decoding
from phenoprints.foundations.errors import ImageError
from phenoprints.quality import measure_sites
from phenoprints.screens import read
from phenoprints.screens.assembly import conforms
from phenoprints.screens.images import open_images
from phenoprints.screens.preparing import keyed_sites, prepare_images
from phenoprints.screens.storing import write_screen

RNG = np.random.default_rng(3)
SHAPE = (40, 48)
ODD = {
    "size": (np.zeros((40, 44), np.uint16), "40 × 44 pixels"),
    "depth": (np.zeros(SHAPE, np.uint8), "says 8 bits a pixel"),
}
WELLS = [f"{row}{column:02d}" for row in "ABC" for column in range(1, 5)]


@pytest.fixture(params=ODD)
def odd(request, tmp_path, monkeypatch):
    """A plate whose first image is odd; the reason, and the shapes that get decoded."""
    image, reason = ODD[request.param]
    for number, well in enumerate(WELLS):
        pixels = RNG.integers(100, 4000, SHAPE).astype(np.uint16) if number else image
        tifffile.imwrite(tmp_path / f"P1_{well}_T0001F001L01A01Z01C01.tif", pixels)
    decode, seen = decoding._DECODERS["tiff"], []

    def noting(content):
        pixels = decode(content)
        seen.append((pixels.shape, pixels.dtype))
        return pixels

    monkeypatch.setitem(decoding._DECODERS, "tiff", noting)
    return tmp_path, reason, seen


def prepared(root, **settings):
    """The folder of the screen, its images made ready."""
    config = {"source": "yokogawa", "root": str(root), "channels": {"C01": "DNA"}, **settings}
    write_screen(read(config, name="own"), root / "screen")
    prepare_images(root / "screen", config, name="own")
    return open_images(root / "screen/images.json"), keyed_sites(root / "screen")


def test_where_images_lie_quality_lists_it(odd):
    root, reason, seen = odd
    images, sites = prepared(root)
    assert set(zip(sites["height"], sites["width"], strict=True)) == {SHAPE}
    metrics = measure_sites(images, sites)
    assert reason in metrics["unreadable"][0]
    assert (metrics["unreadable"][1:] == "").all()
    assert set(seen) == {(SHAPE, np.dtype(np.uint16))}


def test_packing_lists_it(odd):
    root, reason, seen = odd
    images, sites = prepared(root, pack=True, max_failed_fraction=0.1)
    unreadable = pd.read_parquet(root / "screen/unreadable.parquet")
    assert unreadable["well_id"].tolist() == sites["well_id"].tolist()[:1]
    assert reason in unreadable["reason"][0]
    assert images.read(sites["locator"][1], ["DNA"], shape=SHAPE).shape == (1, *SHAPE)
    assert set(seen) == {(SHAPE, np.dtype(np.uint16))}


def test_crops_and_embeddings_refuse_it(odd):
    root, reason, seen = odd
    images, sites = prepared(root)
    locators, experiments = sites["locator"].tolist()[:1], sites["experiment"].tolist()[:1]
    with pytest.raises(ImageError, match=reason):
        images.crops(
            locators, [(0, 0)], 32, channels=["DNA"], experiments=experiments, shapes=[SHAPE]
        )
    with pytest.raises(ImageError, match=reason):
        images.read(locators[0], ["DNA"], experiment=experiments[0], shape=SHAPE)
    assert set(seen) == {(SHAPE, np.dtype(np.uint16))}


DECLARED = {"height_px": SHAPE[0], "width_px": SHAPE[1]}


@pytest.fixture
def plates(tmp_path):
    """Plate P1 of 40 × 48 pixels, plate P2 of 40 × 44."""
    for number, shape in ((1, SHAPE), (2, (40, 44))):
        for well in WELLS[:6]:
            pixels = RNG.integers(100, 4000, shape).astype(np.uint16)
            tifffile.imwrite(tmp_path / f"P{number}_{well}_T0001F001L01A01Z01C01.tif", pixels)
    return tmp_path


def yokogawa(root, **settings):
    return read({"source": "yokogawa", "root": str(root), "channels": {"C01": "DNA"}, **settings})


def test_sites_of_another_size_than_declared_are_counted_and_told(plates):
    screen = yokogawa(plates, **DECLARED)
    assert screen.notes["counts"]["sites_of_other_size"] == 6
    assert set(zip(screen.sites["height"], screen.sites["width"], strict=True)) == {SHAPE}
    assert screen.notes["warnings"][-1] == (
        "6 of 12 sites have another size than the screen declares (a height of 40 px and a width "
        "of 48 px) and are refused when they are read: P2/P2 has 40 × 44 px. Correct height_px and "
        "width_px, or leave these plates out."
    )
    conforms(screen)


@pytest.mark.parametrize("declared", [{}, {"height_px": 40}, {"height_px": None}])
def test_sizes_that_are_not_declared_stay_those_of_the_headers(plates, declared):
    screen = yokogawa(plates, **declared)
    assert set(screen.sites["width"]) == {44, 48}
    assert "sites_of_other_size" not in screen.notes["counts"]


def test_a_size_that_no_image_has_refuses_all(plates):
    screen = yokogawa(plates, height_px=999)
    assert screen.notes["counts"]["sites_of_other_size"] == 12
    assert set(screen.sites["height"]) == {999}
    assert set(screen.sites["width"]) == {44, 48}


def test_sites_of_another_size_than_declared_are_refused_with_their_reason(plates):
    images, sites = prepared(plates, **DECLARED)
    reasons = measure_sites(images, sites)["unreadable"].tolist()
    assert reasons[:6] == [""] * 6
    for reason, well in zip(reasons[6:], WELLS, strict=False):
        name = f"P2_{well}_T0001F001L01A01Z01C01.tif"
        expected = f"{name}: its header says 40 × 44 pixels, the screen declares 40 × 48."
        assert reason == expected


def test_packing_lists_sites_of_another_size_than_declared(plates):
    _, sites = prepared(plates, pack=True, max_failed_fraction=0.5, **DECLARED)
    unreadable = pd.read_parquet(plates / "screen/unreadable.parquet")
    assert unreadable["well_id"].tolist() == sites["well_id"].tolist()[6:]
    assert unreadable["reason"].str.contains("40 × 44 pixels, the screen declares").all()
    with pytest.raises(ImageError, match="6 of 12 sites cannot be read, more than the share"):
        prepared(plates, pack=True, **DECLARED)
