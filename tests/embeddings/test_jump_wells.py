"""Four real wells of JUMP, five channels of 16-bit TIFF, through three kinds of networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.data]

from phenoprints.embeddings import Geometry, embed  # noqa: E402
from phenoprints.embeddings.forward import EmbeddingSettings, Site, embed_sites  # noqa: E402
from phenoprints.embeddings.replicate_similarity import replicate_similarity  # noqa: E402
from phenoprints.models import build, timm_encoder  # noqa: E402
from phenoprints.screens.images import ScreenImages, read_site  # noqa: E402
from phenoprints.screens.images.locators import FilesLocator  # noqa: E402
from phenoprints.screens.images.windows import windows  # noqa: E402
from phenoprints.screens.listing import Screen  # noqa: E402

CHANNELS = ("Mito", "AGP", "RNA", "ER", "DNA", "Brightfield")
FILES = (1, 2, 3, 4, 5, 7)
WELLS = {
    "D14": "DMSO/r04c14",
    "N09": "AMG900/r14c09",
    "D08": "FK-866/r04c08",
    "L09": "FK-866/r12c09",
}
SIDE_PX = 1080


def locator(stem: str, num_channels: int = 5) -> str:
    return str(
        FilesLocator(tuple(f"{stem}f05p01-ch{n}sk1fk1fl1.tiff" for n in FILES[:num_channels]))
    )


@pytest.fixture(scope="module")
def images(test_data: Path) -> ScreenImages:
    """The wells' images with the windows of their one experiment."""
    root = test_data / "images/jump_cpg0000_phenix"
    stacks = [read_site(root, locator(stem), CHANNELS[:5]) for stem in WELLS.values()]
    limits = [*windows(stacks), (0, 65535)]
    return ScreenImages(str(root), {"pilot": dict(zip(CHANNELS, limits, strict=True))})


@pytest.fixture(scope="module")
def pixels(images: ScreenImages) -> dict[str, np.ndarray]:
    """The 8-bit pixels of each well, all channels that it has."""
    return {
        well: images.read(
            locator(stem, num), CHANNELS[:num], experiment="pilot", shape=(SIDE_PX, SIDE_PX)
        )
        for well, stem in WELLS.items()
        for num in [6 if well == "D14" else 5]
    }


def vectors(encoder, pixels, wells, order, side_px: int) -> np.ndarray:
    """The vectors of one central crop of each well, with the channels in an order."""
    names = tuple(CHANNELS[i] for i in order)
    sites = [Site(i, 1, well, names) for i, well in enumerate(wells)]
    start = (SIDE_PX - side_px) // 2
    part = slice(start, start + side_px)
    crops = [pixels[well][list(order)][:, part, part] for well in wells]
    seen = embed_sites(sites, crops, len(sites), EmbeddingSettings(encoder, Geometry(side_px)))
    assert seen.failed == []
    return seen.last


def test_a_well_of_1080_pixels_gives_16_crops_of_8_bits(pixels: dict[str, np.ndarray]) -> None:
    crops = Geometry(256).crops(pixels["D14"])

    assert crops.shape == (16, 6, 256, 256)
    assert all(np.ptp(pixels[well][channel]) > 30 for well in WELLS for channel in range(5))


def test_the_untrained_vit_s16_tells_real_wells_apart(pixels: dict[str, np.ndarray]) -> None:
    encoder = build("vit-s16", channels=CHANNELS[:5])

    found = vectors(encoder, pixels, WELLS, range(5), 256)
    turned = vectors(encoder, pixels, WELLS, (4, 2, 0, 1, 3), 256)

    assert found.shape == (4, 384)
    assert np.isfinite(found).all()
    assert np.linalg.norm(found[0] - found[1]) > 1e-2 * np.linalg.norm(found[0])
    np.testing.assert_array_equal(turned, found)  # channels are matched by name


@pytest.mark.parametrize("num_channels", [5, 6])
def test_the_channel_agnostic_encoder_takes_any_number_and_order(
    pixels: dict[str, np.ndarray], num_channels: int
) -> None:
    encoder = build("ca-vit-s16", channels=num_channels, crop_px=64)
    wells = ["D14"] if num_channels == 6 else ["D14", "D08"]
    order = np.random.default_rng(1).permutation(num_channels)

    found = vectors(encoder, pixels, wells, range(num_channels), 64)
    turned = vectors(encoder, pixels, wells, order, 64)

    assert found.shape == (len(wells), 384)
    np.testing.assert_allclose(turned, found, atol=1e-5 * np.abs(found).max())


def test_a_network_of_timm_takes_five_channels(pixels: dict[str, np.ndarray]) -> None:
    encoder = timm_encoder("vit_tiny_patch16_224", crop_px=64)

    found = vectors(encoder, pixels, WELLS, range(5), 64)

    assert found.shape == (4, 192)
    assert len(np.unique(found.round(5), axis=0)) == 4


@pytest.mark.parametrize(
    ("encoder", "side_px"),
    [
        (lambda: build("vit-s16", channels=CHANNELS[:5]), 256),
        (lambda: build("ca-vit-s16", channels=5, crop_px=64), 64),
        (lambda: timm_encoder("vit_small_patch16_224", crop_px=128), 128),
    ],
    ids=["vit-s16", "ca-vit-s16", "timm"],
)
def test_it_is_stated_whether_fk_866_is_nearer_to_itself_than_to_dmso(
    pixels: dict[str, np.ndarray], encoder, side_px: int
) -> None:
    found = vectors(encoder(), pixels, WELLS, range(5), side_px)
    condition = np.array([0, 1, 2, 2])
    role = np.array(["negative_control", *["treatment"] * 3], dtype=object)

    [stated] = replicate_similarity(found, condition, role).to_dict("records")

    distances = cdist(found.astype(np.float64), found.astype(np.float64), "cosine")
    dmso, first, second = 0, 2, 3
    assert stated["condition_id"] == 2
    assert (stated["num_wells"], stated["num_controls"]) == (2, 1)
    assert 1 - stated["among_replicates"] == pytest.approx(distances[first, second], abs=1e-12)
    to_dmso = distances[[first, second], dmso].mean()
    assert 1 - stated["to_controls"] == pytest.approx(to_dmso, abs=1e-12)
    assert stated["is_nearer"] == (distances[first, second] < to_dmso)


def test_a_screen_of_files_is_embedded_from_where_it_lies(images: ScreenImages) -> None:
    encoder = build("vit-tiny", channels=CHANNELS[:5], crop_px=256, patch_px=64)
    wells = pd.DataFrame({"well_id": np.arange(4, dtype=np.uint64), "experiment": "pilot",
                          "plate": "BR", "well": list(WELLS)})  # fmt: skip
    sites = wells[["well_id"]].assign(
        site=5, locator=[locator(stem) for stem in WELLS.values()], height=SIDE_PX, width=SIDE_PX,
        channels=pd.Series([list(CHANNELS[:5])] * 4),
    )  # fmt: skip
    sites.loc[3, "locator"] = locator("FK-866/r99c99")

    def read(site: Site) -> np.ndarray:
        return images.read(site.locator, site.channels, experiment=site.experiment)

    rows, failures = embed(encoder, Screen("jump", wells, sites, pd.DataFrame(), {}), read)

    assert np.isfinite(rows[:3]).all()
    assert np.isnan(rows[3]).all()
    assert failures["reason"].str.contains("r99c99f05p01-ch1sk1fk1fl1.tiff").any()
