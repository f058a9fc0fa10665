"""Metrics of single channels: focus, saturation, intensity and illumination."""

# C channels · H W pixels

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

PERCENTILES = (1, 5, 50, 95, 99)
NUM_BLOCKS = 8
"""Blocks along each side on which the evenness of illumination is judged."""

Pixels = NDArray[np.unsignedinteger]
Floats = NDArray[np.float64]


def intensity_metrics(plane: Pixels, max_value: int) -> dict[str, float]:
    """Mean, standard deviation, percentiles and the shares at the extremes of one channel (H, W).

    `minimum_percent` and `maximum_percent` are the percentages of pixels at the plane's own lowest
    and highest value (CellProfiler's PercentMinimal and PercentMaximal); `saturated_percent` those
    at `max_value`. Percentiles are the smallest value that so many percent of pixels do not exceed.
    """
    counts = np.bincount(plane.ravel(), minlength=max_value + 1)
    values = np.flatnonzero(counts)
    shares = counts[values] / plane.size
    mean = float(np.dot(shares, values))
    cumulative = np.cumsum(counts[values])
    ranks = np.maximum(np.ceil(np.array(PERCENTILES) / 100 * plane.size), 1)
    at = values[np.searchsorted(cumulative, ranks)]
    return {
        "mean": mean,
        "std": float(np.sqrt(np.dot(shares, (values - mean) ** 2))),
        **{f"percentile_{p}": float(v) for p, v in zip(PERCENTILES, at, strict=True)},
        "minimum_percent": 100.0 * float(shares[0]),
        "maximum_percent": 100.0 * float(shares[-1]),
        "saturated_percent": 100.0 * float(counts[max_value]) / plane.size,
    }


def whole_percentiles(values: Pixels, percentiles: Sequence[float]) -> Floats:
    """Return the smallest values that so many percent of some pixels do not exceed, by counting
    them.
    """
    cumulative = np.cumsum(np.bincount(values.ravel()))
    ranks = np.maximum(np.ceil(np.asarray(percentiles) / 100 * values.size), 1)
    return np.searchsorted(cumulative, ranks).astype(np.float64)


@lru_cache(maxsize=8)
def _frequency_bins(height: int, reach: int) -> tuple[NDArray[np.int64], Floats]:
    """Return the integer radius (from 1) of a half spectrum's low frequencies, and multiplicities.

    Low are the first `reach` columns, and as many rows from either end.
    """
    rows = np.minimum(np.arange(height), height - np.arange(height))
    rows, columns = rows[(rows < reach)], np.arange(reach)
    radii = np.floor(np.sqrt(rows[:, None] ** 2 + columns[None] ** 2)).astype(np.int64) + 1
    weights = np.full(radii.shape, 2.0)
    weights[:, 0] = 1.0
    return radii.ravel(), weights.ravel()


def power_log_log_slope(image: NDArray[np.float32]) -> Floats:
    """Fit the slope (C,) of log power on log radius per channel; steep slopes mean blur.

    CellProfiler's PowerLogLogSlope (MeasureImageQuality; Bray 2012, doi:10.1177/1087057111420292):
    power is summed over rings of one pixel, from the second ring to an eighth of the shorter side.
    Radii are those of the frequencies; CellProfiler's are one lower for negative ones, which moves
    values a little and hardly changes their ranks.
    NaN for a constant channel, and for images below 32 pixels.
    """
    num_channels, height, width = image.shape
    rings = np.arange(2, min(height, width) // 8)
    slopes = np.full(num_channels, np.nan)
    if len(rings) < 2:
        return slopes
    reach = int(rings[-1])  # rings count from 1, so that no frequency beyond it matters
    radii, weights = _frequency_bins(height, reach)
    centred = image - image.mean(axis=(1, 2), keepdims=True)
    columns = scipy.fft.rfft(centred, axis=2, workers=1)[:, :, :reach]
    spectrum = scipy.fft.fft(columns, axis=1, workers=1)
    low = np.concatenate([spectrum[:, :reach], spectrum[:, 1 - reach :]], axis=1)
    for c in range(num_channels):
        power = (low[c].real ** 2 + low[c].imag ** 2).ravel() * weights
        by_ring = np.bincount(radii, power, minlength=rings[-1] + 1)[rings]
        if by_ring.min() > 0.0 and image[c].min() < image[c].max():
            slopes[c] = np.polyfit(np.log(rings), np.log(by_ring), 1)[0]
    return slopes


def laplacian_variance(image: Pixels) -> Floats:
    """Return the variance (C,) of the 4-neighbour Laplacian inside each channel;
    small is blurred.
    """
    from phenoprints.quality.kernels import laplacian_sums

    num = (image.shape[1] - 2) * (image.shape[2] - 2)
    sums = np.array([laplacian_sums(plane) for plane in image], np.float64) / num
    variance: Floats = sums[:, 1] - sums[:, 0] ** 2
    return variance


def illumination_unevenness(image: NDArray[np.float32]) -> Floats:
    """How uneven each channel's light is (C,): (highest - lowest) / mean of a quadratic surface.

    The surface is fitted to the means of 8 × 8 blocks by least squares. NaN where the mean is 0.
    """
    height, width = image.shape[1] // NUM_BLOCKS, image.shape[2] // NUM_BLOCKS
    cut = image[:, : height * NUM_BLOCKS, : width * NUM_BLOCKS]
    blocks = cut.reshape(-1, NUM_BLOCKS, height, NUM_BLOCKS, width).mean(axis=(2, 4))
    surface = blocks.reshape(len(image), -1).astype(np.float64) @ _quadratic_projection()
    mean = surface.mean(axis=1)
    spread: Floats = np.divide(
        np.ptp(surface, axis=1), mean, out=np.full(len(image), np.nan), where=mean > 0
    )
    return spread


EDGE_TO_EDGE = 2.0 * NUM_BLOCKS / (NUM_BLOCKS - 1)
"""The width of an image where the centres of its outer blocks are at -1 and 1."""
LOWEST_SHARE = 0.1
"""Share of a block's pixels that count as its background."""


def slopes_across(image: Pixels) -> dict[str, Floats]:
    """Return how background and noise of each channel (C,) change across the image, in logarithms.

    Values are means over 8 × 8 blocks. `background_slope_x` and `_y` are those of a plane fitted to
    the logarithm of the darkest tenth of each block's pixels, `background_range` the range of a
    quadratic surface fitted to it. `noise_slope_x` and `_y` are those of the logarithm of the mean
    second difference along both axes (Immerkær 1996, doi:10.1006/cviu.1996.0060), with the
    logarithm of a block's mean as a further regressor: cells make noise where they are, a gain
    that changes across the image makes it everywhere. A slope of 0.69 doubles from edge to edge.
    """
    rows = [_slopes(plane) for plane in image]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _slopes(plane: Pixels) -> dict[str, float]:
    pixels = plane.astype(np.float32)
    noise = np.abs(np.diff(np.diff(pixels, 2, axis=0), 2, axis=1))
    blocks = _blocks(pixels)
    num_low = max(1, int(LOWEST_SHARE * blocks.shape[1]))
    low = np.log1p(np.partition(blocks, num_low - 1, axis=1)[:, :num_low].mean(axis=1))
    level, roughness = np.log(blocks.mean(axis=1) + 0.5), np.log(_blocks(noise).mean(axis=1) + 0.2)
    plane_terms = _quadratic_terms()[:, :3]
    background = np.linalg.lstsq(plane_terms, low, rcond=None)[0]
    with_level = np.column_stack([plane_terms, level - level.mean()])
    slope = np.linalg.lstsq(with_level, roughness, rcond=None)[0]
    return {
        "background_slope_x": EDGE_TO_EDGE * background[1],
        "background_slope_y": EDGE_TO_EDGE * background[2],
        "background_range": float(np.ptp(low @ _quadratic_projection())),
        "noise_slope_x": EDGE_TO_EDGE * slope[1],
        "noise_slope_y": EDGE_TO_EDGE * slope[2],
    }


def _blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the pixels (64, N) of 8 × 8 blocks of a plane, which a rest of it does not fill."""
    height, width = (side // NUM_BLOCKS for side in plane.shape)
    cut = plane[: height * NUM_BLOCKS, : width * NUM_BLOCKS]
    blocks = cut.reshape(NUM_BLOCKS, height, NUM_BLOCKS, width).swapaxes(1, 2)
    return blocks.reshape(NUM_BLOCKS**2, -1)


def blank_percent(plane: Pixels) -> float:
    """Compute the percentage of rows, or of columns if more, whose pixels are all equal."""
    is_blank_row = (plane == plane[:, :1]).all(axis=1)
    is_blank_column = (plane == plane[:1]).all(axis=0)
    return 100.0 * float(max(is_blank_row.mean(), is_blank_column.mean()))


@lru_cache(maxsize=1)
def _quadratic_projection() -> Floats:
    """Return the symmetric matrix that replaces block means by their quadratic least-squares
    surface.
    """
    terms = _quadratic_terms()
    projection: Floats = terms @ np.linalg.pinv(terms)
    return projection


@lru_cache(maxsize=1)
def _quadratic_terms() -> Floats:
    """Return 1, x, y, x², y², xy (64, 6) of the blocks, from -1 to 1."""
    x = np.linspace(-1.0, 1.0, NUM_BLOCKS)
    x, y = (grid.ravel() for grid in np.meshgrid(x, x))
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
