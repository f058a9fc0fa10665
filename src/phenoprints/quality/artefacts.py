"""Artefacts that several channels show together: debris, copies, channels in the wrong place."""

# C channels · H W pixels · P pairs of channels

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from phenoprints.quality.metrics import whole_percentiles

JOINT_BRIGHTNESS = 1.5
"""Pixels this many times as far above the median as the brightest of cells, in all channels, are
debris: cells have hardly a place where every stain is bright at once."""

SAMPLED_PIXELS = 16384

MIN_BENT = 16
"""Blocks with fewer bent squares of 2 × 2 pixels (of 49) are flat or smooth: alike by chance."""

MIN_MOVED_ALIKE = 4
"""A region moves its blocks all alike; blocks that are alike by chance lie anyhow to each other."""


def channel_correlations(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pearson's correlation (P,) of each pair of channels, as triu orders them; NaN if constant."""
    flat = image.reshape(len(image), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("cp,cp->c", flat, flat, dtype=np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = (flat @ flat.T) / np.outer(norms, norms)
    pairs: NDArray[np.float64] = matrix[np.triu_indices(len(image), 1)]
    return pairs


def debris_percent(image: NDArray[np.unsignedinteger], max_value: float) -> float:
    """Compute the percentage of pixels very bright in all channels; NaN for one channel.

    Very bright is half as far again above the median as the 99th percentile of the cells, or at
    the limit of the sensor (`max_value`). Cells are what Otsu's threshold finds in the mean
    logarithm of all channels, over a sample of pixels, without those in the upper tenth of every
    channel, which debris would fill.
    """
    if len(image) < 2:
        return float("nan")
    flat = image.reshape(len(image), -1)
    sample = flat[:, :: max(1, flat.shape[1] // SAMPLED_PIXELS)]
    median, upper = np.array([whole_percentiles(plane, (50, 90)) for plane in sample]).T
    is_cell = _is_cell(sample, median[:, None], upper[:, None])
    high = np.array([whole_percentiles(plane[is_cell], [99])[0] for plane in sample])
    limit = median + JOINT_BRIGHTNESS * np.maximum(high - median, 4.0)
    limit = np.floor(np.minimum(limit, 0.98 * max_value)).astype(image.dtype)
    is_bright = np.ones(flat.shape[1], bool)
    for plane, least in zip(flat, limit, strict=True):
        is_bright &= plane > least
    return 100.0 * float(is_bright.mean())


def _is_cell(
    sample: NDArray[np.unsignedinteger], median: NDArray[np.float64], upper: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which pixels (of C, P) are cells and not debris: at least a twentieth of all the others.

    `median` and `upper` (C, 1) are the 50th and 90th percentiles of each channel.
    """
    from skimage.filters import threshold_otsu

    is_usual: NDArray[np.bool_] = ~np.all(sample > upper, axis=0)
    ratio = np.divide(sample, np.maximum(median, 1.0), dtype=np.float32)
    brightness = np.log1p(ratio).mean(axis=0)
    least = min(threshold_otsu(brightness), np.percentile(brightness[is_usual], 95))
    is_cell: NDArray[np.bool_] = is_usual & (brightness >= least)
    return is_cell


def copied_percent(plane: NDArray[np.unsignedinteger]) -> float:
    """Compute the percentage of 8 × 8 pixel blocks that occur twice in the plane (H, W).

    Camera noise makes blocks unique, so that copies tell of pasted or badly stitched regions.
    Blocks lie at all places; the sixteenth that their own hash chooses is looked at, so that
    copies are chosen with their originals. In smooth images of 8 bits blocks are alike by chance:
    those with fewer than 16 bent squares of 2 × 2 pixels count nowhere, those that overlap are no
    pair, and a pair counts only where at least three others lie as far apart, the same way.
    """
    from phenoprints.quality.kernels import BLOCK_PX, chosen_blocks

    hashes, places = chosen_blocks(plane, MIN_BENT)
    if not _has_equal(hashes):
        return 0.0
    order = np.argsort(hashes, kind="stable")
    first = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    rows, columns = np.divmod(places[order], plane.shape[1])
    moved = np.stack([rows[first + 1] - rows[first], columns[first + 1] - columns[first]])
    is_apart = np.abs(moved).max(axis=0) >= BLOCK_PX
    first, moved = first[is_apart], moved[:, is_apart]
    _, group, sizes = np.unique(moved, axis=1, return_inverse=True, return_counts=True)
    first = first[sizes[group.ravel()] >= MIN_MOVED_ALIKE]
    return 100.0 * len(np.union1d(first, first + 1)) / len(hashes)


def _has_equal(values: NDArray[np.uint64]) -> bool:
    ordered = np.sort(values)
    return bool(np.any(ordered[1:] == ordered[:-1]))


def image_fingerprint(image: NDArray[np.unsignedinteger]) -> str:
    """Return the first 16 hexadecimal digits of the sha256 of the pixels: equal images have equal
    ones.
    """
    content = np.ascontiguousarray(image)
    key = f"{content.dtype.str}{content.shape}".encode()
    return hashlib.sha256(key + content.tobytes()).hexdigest()[:16]
