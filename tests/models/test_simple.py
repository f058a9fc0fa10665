"""Hand-made statistics against their definitions on images whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.models.simple import GRANULARITY_PX, count_cells, granularity  # noqa: E402
from phenoprints.training.untrained import make_encoder, training_record  # noqa: E402


def crops(num: int = 3, channels: int = 3, side: int = 32) -> torch.Tensor:
    stream = torch.Generator().manual_seed(1)
    return torch.randint(0, 255, (num, channels, side, side), generator=stream, dtype=torch.uint8)


def test_simple_features_are_means_deviations_granularity_and_correlations() -> None:
    encoder = make_encoder({"kind": "simple", "crop_px": 32}, channel_sets=[("a", "b", "c")])
    images = crops()
    found = encoder.features(images).numpy()
    assert found.shape == (3, 3 * 6 + 3) == (3, encoder.num_features)
    pixels = images.numpy().astype(float)
    np.testing.assert_allclose(found[:, :3], pixels.mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found[:, 3:6], pixels.std((2, 3), ddof=1), rtol=1e-5)
    for crop, vector in zip(pixels, found, strict=True):
        expected = np.corrcoef(crop.reshape(3, -1))[np.triu_indices(3, 1)]
        np.testing.assert_allclose(vector[-3:], expected, atol=1e-5)


def test_granularity_is_what_scipys_openings_take_away() -> None:
    images = crops(1, 1).float()
    plane = images[0, 0].numpy() - images.numpy().min()
    means = [plane.mean()]
    for side in GRANULARITY_PX:
        eroded = ndimage.minimum_filter(plane, side, mode="constant", cval=np.inf)
        opened = ndimage.maximum_filter(eroded, side, mode="constant", cval=-np.inf)
        means.append(opened.mean())
    expected = -np.diff(means) / plane.mean()
    np.testing.assert_allclose(granularity(images)[0, 0].numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("num", [1, 4, 9])
def test_cells_are_counted(num: int) -> None:
    y, x = np.mgrid[:64, :64]
    image = np.zeros((64, 64))
    for k in range(num):
        top, left = 12 + 20 * (k // 3), 12 + 20 * (k % 3)
        image += 200 * np.exp(-((y - top) ** 2 + (x - left) ** 2) / 18.0)
    pixels = torch.from_numpy(image.astype(np.float32))[None, None]
    assert count_cells(pixels).item() == num


def test_statistics_see_intensity_and_have_no_weights(tmp_path: object) -> None:
    for kind in ("simple", "cell-count"):
        encoder = make_encoder({"kind": kind, "crop_px": 32}, channel_sets=[("a", "b")])
        assert sum(p.numel() for p in encoder.parameters()) == 0
        assert training_record({"kind": kind})["flops"] == 0.0
        models.save(tmp_path / kind, encoder)
        images = crops(2, 2)
        torch.testing.assert_close(
            models.load(tmp_path / kind).features(images), encoder.features(images)
        )
        assert encoder.features(images, "all").shape == (2, 1, encoder.num_features)


def test_an_empty_crop_gives_zeros() -> None:
    encoder = make_encoder({"kind": "simple", "crop_px": 32}, channel_sets=[("a", "b")])
    assert not encoder.features(torch.zeros(1, 2, 32, 32, dtype=torch.uint8)).any()
