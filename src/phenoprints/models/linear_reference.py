"""What a linear predictor makes of hidden patches: the reference of masked autoencoders."""

# n crops · C channels · p pixels along a crop

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

Floats = NDArray[np.float64]
NEAREST_PX = 64
"""Visible values, nearest to the patch, for each channel."""
RIDGE = 0.005
"""Added to the variance of every visible value at first."""


def stationary_covariance(crops_nCpp: Floats) -> Floats:
    """Return the covariance of two channels at each offset of pixels, (C, C, 2p - 1, 2p - 1).

    Entry (a, b, p - 1 + dy, p - 1 + dx) is the mean of channel a at (y, x) times channel b at
    (y + dy, x + dx) over all pixels that have that partner; crops have mean 0. Random crops have no
    preferred place, so that offsets are all that matters.
    """
    n, C, p, _ = crops_nCpp.shape
    side = 2 * p - 1
    powers = np.zeros((C, C, side, p), np.complex128)
    for crop in crops_nCpp:
        spectra = np.fft.rfft2(crop, s=(side, side))
        powers += spectra.conj()[:, None] * spectra[None]
    sums = np.fft.fftshift(np.fft.irfft2(powers, s=(side, side)), axes=(-2, -1))
    overlap = p - np.abs(np.arange(1 - p, p))
    covariance: Floats = sums / (n * overlap[:, None] * overlap)
    return covariance


def between(
    covariance: Floats, first_cyx: NDArray[np.int64], second_cyx: NDArray[np.int64]
) -> Floats:
    """Return the covariance (n, m) of values at (channel, y, x)."""
    middle = covariance.shape[-1] // 2
    dy, dx = ((second_cyx[None, :, k] - first_cyx[:, None, k]) + middle for k in (1, 2))
    found: Floats = covariance[first_cyx[:, None, 0], second_cyx[None, :, 0], dy, dx]
    return found


def predict_hidden(
    crop_Cpp: Floats,
    is_hidden_Cpp: NDArray[np.bool_],
    corner: tuple[int, int],
    patch_px: int,
    covariance: Floats,
) -> tuple[Floats, Floats]:
    """Return the best linear prediction of a patch's hidden values from nearby visible ones.

    Also returns those values themselves: all channels of the patch at `corner` (y, x) that are
    hidden. The prediction is the mean of a Gaussian field with this covariance, given the
    NEAREST_PX visible values for each channel that lie nearest to the patch.
    """
    inside = np.zeros_like(is_hidden_Cpp)
    inside[:, corner[0] : corner[0] + patch_px, corner[1] : corner[1] + patch_px] = True
    wanted, visible = np.argwhere(inside & is_hidden_Cpp), np.argwhere(~is_hidden_Cpp)
    centre = np.asarray(corner) + (patch_px - 1) / 2
    distance = np.square(visible[:, 1:] - centre).sum(axis=1)
    near = visible[np.argsort(distance, kind="stable")[: NEAREST_PX * len(crop_Cpp)]]
    weights = _solved(between(covariance, near, near), crop_Cpp[tuple(near.T)])
    return between(covariance, wanted, near) @ weights, crop_Cpp[tuple(wanted.T)]


def _solved(gram: Floats, values: Floats) -> Floats:
    """Return gram⁻¹ values; an estimate that is not positive definite gets a larger ridge."""
    scale = float(np.mean(np.diag(gram))) or 1.0
    for step in range(6):
        try:
            ridged = gram + RIDGE * 4.0**step * scale * np.eye(len(gram))
            solution: Floats = cho_solve(cho_factor(ridged), values)
            return solution
        except LinAlgError:
            continue
    return np.zeros_like(values)
