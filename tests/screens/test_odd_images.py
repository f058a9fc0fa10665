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
