"""The linear predictor of hidden patches against definitions and an exact Gaussian field."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.models import linear_reference  # noqa: E402
from phenoprints.models.linear_reference import predict_hidden, stationary_covariance  # noqa: E402


def field(num_crops: int, side: int, decay: float, seed: int = 0) -> np.ndarray:
    """Gaussian crops of two channels, of covariance decay^(|dy| + |dx|), 0.5 between channels."""
    stream = np.random.default_rng(seed)
    lags = np.abs(np.arange(side)[:, None] - np.arange(side))
    root = np.linalg.cholesky(decay**lags)
    draws = stream.standard_normal((num_crops, 2, side, side))
    draws[:, 1] = 0.5 * draws[:, 0] + np.sqrt(0.75) * draws[:, 1]
    return np.einsum("ij,ncjk,lk->ncil", root, draws, root)


def test_covariances_are_means_over_all_pairs_of_pixels() -> None:
    crops = np.random.default_rng(1).standard_normal((3, 2, 5, 5))
    found = stationary_covariance(crops)
    for a, b, dy, dx in [(0, 0, 0, 0), (0, 1, 2, -3), (1, 0, -4, 1), (1, 1, 0, 4)]:
        products = [
            crop[a, y, x] * crop[b, y + dy, x + dx]
            for crop in crops for y in range(5) for x in range(5)
            if 0 <= y + dy < 5 and 0 <= x + dx < 5
        ]  # fmt: skip
        assert found[a, b, 4 + dy, 4 + dx] == pytest.approx(np.mean(products))


def test_the_prediction_is_the_mean_of_the_gaussian_field_given_what_is_visible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the exact covariance and all visible pixels: the textbook's conditional mean."""
    monkeypatch.setattr(linear_reference, "RIDGE", 1e-12)
    side, decay = 6, 0.8
    offsets = np.abs(np.arange(1 - side, side))
    one = decay ** (offsets[:, None] + offsets[None, :])
    covariance = np.array([[1.0, 0.5], [0.5, 1.0]])[:, :, None, None] * one
    lags = np.abs(np.arange(side)[:, None] - np.arange(side))
    whole = np.kron(np.array([[1.0, 0.5], [0.5, 1.0]]), np.kron(decay**lags, decay**lags))
    crop = field(1, side, decay)[0]
    hidden = np.zeros((side, side), bool)
    hidden[2:4, 2:4] = hidden[0:2, 4:6] = True
    is_hidden = np.tile(hidden.ravel(), 2)
    inside = np.zeros((side, side), bool)
    inside[2:4, 2:4] = True
    asked = np.tile(inside.ravel(), 2)
    seen = ~is_hidden
    solved = np.linalg.solve(whole[np.ix_(seen, seen)], crop.reshape(-1)[seen])
    expected = (whole[np.ix_(asked, seen)] @ solved).reshape(2, 2, 2)
    found, truth = predict_hidden(crop, np.stack([hidden, hidden]), (2, 2), 2, covariance)
    np.testing.assert_allclose(found.reshape(2, 2, 2), expected, atol=1e-8)
    np.testing.assert_array_equal(truth.reshape(2, 2, 2), crop[:, 2:4, 2:4])


def explained(crops: np.ndarray, covariance: np.ndarray) -> float:
    hidden = np.zeros((12, 12), bool)
    hidden[4:8, 4:8] = True
    both, errors = np.stack([hidden, hidden]), []
    for crop in crops:
        predicted, truth = predict_hidden(crop, both, (4, 4), 4, covariance)
        errors.append(predicted - truth)
    return 1.0 - np.square(errors).sum() / np.square(crops[:, :, 4:8, 4:8]).sum()


def test_smooth_fields_are_explained_and_noise_is_not() -> None:
    smooth, noise = (field(150, 12, decay) for decay in (0.95, 0.0))
    for crops, lowest, highest in ((smooth, 0.7, 1.0), (noise, -0.1, 0.02)):
        value = explained(field(60, 12, 0.95, 7) if lowest > 0 else field(60, 12, 0.0, 7),
                          stationary_covariance(crops))  # fmt: skip
        assert lowest <= value <= highest


def test_an_empty_channel_is_no_error() -> None:
    crops = field(20, 8, 0.5)
    crops[:, 1] = 0.0
    hidden = np.zeros((8, 8), bool)
    hidden[:4, :4] = True
    both = np.stack([hidden, hidden])
    found, _ = predict_hidden(crops[0], both, (0, 0), 4, stationary_covariance(crops))
    assert np.isfinite(found).all()
    assert not found.reshape(2, 4, 4)[1].any()


def test_a_channel_that_is_visible_predicts_the_hidden_one() -> None:
    """Masks of channel-agnostic networks differ by channel; only what is hidden is predicted."""
    crops = field(200, 8, 0.3)
    crops[:, 1] = crops[:, 0]
    hidden = np.zeros((2, 8, 8), bool)
    hidden[1, :4, :4] = True
    found, truth = predict_hidden(crops[0], hidden, (0, 0), 4, stationary_covariance(crops))
    assert len(found) == 16
    np.testing.assert_allclose(found, truth, atol=0.15)
