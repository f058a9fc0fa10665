"""16 bits become 8 by a stated window per experiment and channel."""

# C channel · H W pixels

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError

LEVELS = 1 << 16
SCALED_8_BIT = 257
"""8-bit pixels that were stored as 16 bits are multiples of 257 (65535 / 255)."""


def histogram(image: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Return the counts (C, 65536) of the values of each channel of an image (C, H, W)."""
    return np.stack([np.bincount(plane.ravel(), minlength=LEVELS) for plane in image])


def window(
    counts: NDArray[np.int64], percentiles: Sequence[float] = (0.1, 99.9)
) -> tuple[int, int]:
    """Return the values of one channel that become 0 and 255.

    Parameters
    ----------
    counts
        (65536,) how often each value occurs.
    percentiles
        Two percentiles, 0 to 100: each gives the smallest value that at least this share of the
        pixels does not exceed. Where the values are 8 bits scaled to 16 (all multiples of 257)
        the window is 0 to 65535, which gives the 8 bits back.

    Returns
    -------
    low, high
        Integers, `low` < `high`, also for a constant channel.
    """
    total = int(counts.sum())
    if total == 0:
        raise DataError("A window needs at least one pixel.")
    values = np.flatnonzero(counts)
    if len(values) > 1 and not (values % SCALED_8_BIT).any():
        return 0, LEVELS - 1
    cumulated = np.cumsum(counts)
    low, high = (int(np.searchsorted(cumulated, p / 100 * total)) for p in percentiles)
    low, high = max(low, int(values[0])), min(high, int(values[-1]))
    return (low, high) if low < high else (low, low + 1)


def windows(
    images: Iterable[NDArray[np.uint16]], percentiles: Sequence[float] = (0.1, 99.9)
) -> list[tuple[int, int]]:
    """Return the window of each channel over several images (C, H, W) of one experiment."""
    total: NDArray[np.int64] | None = None
    for image in images:
        counts = histogram(image)
        total = counts if total is None else total + counts
    if total is None:
        raise DataError("Windows need at least one image.")
    return [window(counts, percentiles) for counts in total]


def look_up_tables(limits: Sequence[tuple[int, int]]) -> NDArray[np.uint8]:
    """(C, 65536) the 8-bit value of every 16-bit value: linear inside the window, rounded."""
    values = np.arange(LEVELS, dtype=np.float64)
    tables = [np.clip(np.rint((values - low) * (255.0 / (high - low))), 0, 255)
              for low, high in limits]  # fmt: skip
    return np.stack(tables).astype(np.uint8)


def to_uint8(
    planes: NDArray[np.uint16] | Sequence[NDArray[np.uint16]], tables: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the planes of an image, each (H, W), through the look-up table of its channel: (C, H,
    W).
    """
    from phenoprints.screens.images.kernels import look_up

    if len(tables) != len(planes):
        raise DataError(f"{len(planes)} channels, windows for {len(tables)}.")
    eight = np.empty((len(planes), *planes[0].shape), dtype=np.uint8)
    for table, plane, target in zip(tables, planes, eight, strict=True):
        look_up(table, plane, target)
    return eight
