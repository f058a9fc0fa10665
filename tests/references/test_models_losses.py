"""The Fourier loss and the blocks against independent forms of the published formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.models.patches import patchify  # noqa: E402
from phenoprints.models.positions import sincos_positions  # noqa: E402


def published_fourier_loss(
    prediction: np.ndarray, target: np.ndarray, mask: np.ndarray, num_modalities: int
) -> float:
    """The published formula in numpy: view, fft2, magnitudes, view back, masked mean."""
    B, T, V = prediction.shape
    side = int((T // num_modalities) ** 0.5)
    maps = [x.reshape(B, V * num_modalities, side, side) for x in (prediction, target)]
    magnitudes = [np.abs(np.fft.fft2(m)) for m in maps]
    error = np.abs(magnitudes[0] - magnitudes[1]).reshape(B, T, V).mean(-1)
    return float((error * mask).sum() / mask.sum())


def random_tokens(T: int, V: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    stream = np.random.default_rng(0)
    tokens = (torch.from_numpy(stream.normal(size=(2, T, V)).astype(np.float32)) for _ in range(2))
    return *tokens, torch.from_numpy((stream.random((2, T)) < 0.75).astype(np.float32))


def test_as_published_equals_the_published_formula() -> None:
    prediction, target, mask = random_tokens(16, 48)
    ours = models.fourier_loss(prediction, target, mask, form="as-published", num_channels=3)
    expected = published_fourier_loss(prediction.numpy(), target.numpy(), mask.numpy(), 1)
    assert float(ours) == pytest.approx(expected, rel=1e-5)


def test_patch_equals_the_published_formula_on_channel_agnostic_s16_tokens() -> None:
    # 256 tokens of 16×16 pixels per channel, as in CA-S/16: each re-cut map is one real patch.
    prediction, target, mask = random_tokens(6 * 256, 256)
    expected = published_fourier_loss(prediction.numpy(), target.numpy(), mask.numpy(), 6)
    for form in ("patch", "as-published"):
        ours = models.fourier_loss(
            prediction, target, mask, form=form, num_channels=6, channel_agnostic=True
        )
        assert float(ours) == pytest.approx(expected, rel=1e-5)


def test_patch_is_the_mean_over_patches_and_channels_one_by_one() -> None:
    stream = np.random.default_rng(1)
    images = stream.normal(size=(2, 2, 3, 16, 16)).astype(np.float32)
    expected = [
        np.abs(np.abs(np.fft.fft2(p)) - np.abs(np.fft.fft2(t))).mean()
        for p, t in (
            (images[0, b, c, y : y + 4, x : x + 4], images[1, b, c, y : y + 4, x : x + 4])
            for b in range(2)
            for c in range(3)
            for y in range(0, 16, 4)
            for x in range(0, 16, 4)
        )
    ]
    for channel_agnostic in (False, True):
        tokens = [
            patchify(torch.from_numpy(i), 4, channel_agnostic=channel_agnostic) for i in images
        ]
        ours = models.fourier_loss(*tokens, num_channels=3, channel_agnostic=channel_agnostic)
        assert float(ours) == pytest.approx(np.mean(expected), rel=1e-5)


def test_positions_one_by_one() -> None:
    width, grid = 16, 3
    positions = sincos_positions(width, grid)[0].numpy()
    assert not positions[0].any()
    for row in range(grid):
        for column in range(grid):
            expected = []
            for place, wave in (
                (row, math.sin),
                (row, math.cos),
                (column, math.sin),
                (column, math.cos),
            ):
                expected += [wave(place * 10_000 ** (-i / 4)) for i in range(4)]
            np.testing.assert_allclose(positions[1 + row * grid + column], expected, atol=1e-6)
    repeated = sincos_positions(width, grid, num_repeats=2)[0].numpy()
    np.testing.assert_array_equal(repeated[1:10], repeated[10:])
