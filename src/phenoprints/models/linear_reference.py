"""What a linear predictor makes of hidden patches: the reference of masked autoencoders."""

# n crops · C channels · p pixels along a crop · q pixels along a patch · k visible pixels

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

Floats = NDArray[np.float64]
NEAREST_PX = 64
"""Visible pixels, nearest to the patch, of which the predictor sees all channels."""
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
    covariance: Floats, first_px: NDArray[np.int64], second_px: NDArray[np.int64]
) -> Floats:
    """Return the covariance (C·len(first), C·len(second)) of pixels (y, x); channels slowest."""
    C, middle = len(covariance), covariance.shape[-1] // 2
    offsets = second_px[None] - first_px[:, None] + middle
    blocks = covariance[:, :, offsets[..., 0], offsets[..., 1]]
    return blocks.transpose(0, 2, 1, 3).reshape(C * len(first_px), C * len(second_px))


def predict_patch(
    crop_Cpp: Floats, is_hidden_pp: NDArray[np.bool_], corner: tuple[int, int], patch_px: int,
    covariance: Floats,
) -> Floats:  # fmt: skip
    """Return the best linear prediction (C, q, q) of a hidden patch from nearby visible pixels.

    It is the mean of a Gaussian field with this covariance, given what is visible.
    """
    inside = np.argwhere(np.ones((patch_px, patch_px), np.bool_)) + corner
    visible = np.argwhere(~is_hidden_pp)
    centre = np.asarray(corner) + (patch_px - 1) / 2
    distance = np.square(visible - centre).sum(axis=1)
    nearest = visible[np.argsort(distance, kind="stable")[:NEAREST_PX]]
    values = crop_Cpp[:, nearest[:, 0], nearest[:, 1]].reshape(-1)
    weights = _solved(between(covariance, nearest, nearest), values)
    predicted: Floats = between(covariance, inside, nearest) @ weights
    return predicted.reshape(len(crop_Cpp), patch_px, patch_px)


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
