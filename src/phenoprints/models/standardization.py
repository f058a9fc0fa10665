"""What every encoder does to pixels first: each channel of each crop to mean 0 and variance 1."""

# B crops · C channels · H W pixels

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-5
"""Added to the variance, as torch's instance norm does: a constant channel becomes 0."""


def self_standardize(images_BCHW: Tensor) -> Tensor:
    """Return the images divided by 255, then each channel of each crop to mean 0 and variance 1.

    Parameters
    ----------
    images_BCHW
        uint8 (0 to 255) or floating point of the same range, on any device.

    Returns
    -------
    Tensor
        float32 of the same shape. The variance is the biased one, and `EPSILON` is added to it; a
        constant channel becomes 0. Computed in float32 also under autocast.

    Source: instance norm without affine parameters after division by 255, as
    recursionpharma/maes_microscopy does.
    """
    with torch.autocast(images_BCHW.device.type, enabled=False):
        pixels = images_BCHW.float() / 255.0
        mean = pixels.mean(dim=(-2, -1), keepdim=True)
        pixels = pixels - mean
        variance = pixels.square().mean(dim=(-2, -1), keepdim=True)
        return pixels * torch.rsqrt(variance + EPSILON)
