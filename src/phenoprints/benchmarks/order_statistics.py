"""Exact order statistics of all pairwise cosines of a map, without keeping the pairs."""

# G perturbations · K components

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

NUM_BINS = 1 << 16
"""Bins of the first pass over [-1, 1]; the second keeps only the few bins with a wanted rank."""

BLOCK_ROWS = 512
"""Rows of the cosine matrix that exist at a time."""


@numba.njit(cache=True, nogil=True)
def _count(block, counts):  # type: ignore[no-untyped-def]
    """Add to `counts` the bins of the entries of `block` right of the diagonal."""
    half = NUM_BINS / 2
    for i in range(block.shape[0]):
        for j in range(i + 1, block.shape[1]):
            value = (block[i, j] + 1.0) * half
            counts[min(max(int(value), 0), NUM_BINS - 1)] += 1


@numba.njit(cache=True, nogil=True)
def _collect(block, wanted, out, size):  # type: ignore[no-untyped-def]
    """Append to `out` the entries right of the diagonal whose bin is wanted."""
    half = NUM_BINS / 2
    for i in range(block.shape[0]):
        for j in range(i + 1, block.shape[1]):
            value = (block[i, j] + 1.0) * half
            if wanted[min(max(int(value), 0), NUM_BINS - 1)]:
                out[size] = block[i, j]
                size += 1
    return size


def cosine_blocks(unit: Floats) -> Iterator[tuple[int, Floats]]:
    """Upper blocks of unit @ unit.T: (row, block), block [i, j] being the pair (row + i, row + j).

    Only columns from the block's first row on are computed.
    """
    for row in range(0, len(unit), BLOCK_ROWS):
        yield row, unit[row : row + BLOCK_ROWS] @ unit[row:].T


def pair_order_statistics(unit: Floats, ranks: Sequence[int]) -> NDArray[np.float64]:
    """The values of given ranks (from 0, ascending) among the cosines of all pairs of rows.

    Two passes over the blocks of the cosine matrix: the first counts bins, the second keeps the
    bins that hold a wanted rank. The result is exact: that of sorting all n(n-1)/2 values.
    """
    counts = np.zeros(NUM_BINS, np.int64)
    for _, block in cosine_blocks(unit):
        _count(block, counts)
    ends = np.cumsum(counts)
    bins = np.searchsorted(ends, np.asarray(ranks), side="right")
    wanted = np.zeros(NUM_BINS, np.bool_)
    wanted[bins] = True
    kept = np.empty(int(counts[wanted].sum()), unit.dtype)
    size = 0
    for _, block in cosine_blocks(unit):
        size = _collect(block, wanted, kept, size)
    kept.sort()
    before = np.cumsum(np.where(wanted, 0, counts))
    values: NDArray[np.float64] = kept[np.asarray(ranks) - before[bins]].astype(np.float64)
    return values


def pair_cosines(
    unit: Floats, first: NDArray[np.integer], second: NDArray[np.integer]
) -> NDArray[np.float64]:
    """The cosines of given pairs, as the blocks of the cosine matrix hold them, bit by bit."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    order = np.argsort(low, kind="stable")
    starts = np.searchsorted(low[order], np.arange(0, len(unit) + BLOCK_ROWS, BLOCK_ROWS))
    values = np.empty(len(low))
    for number, (row, block) in enumerate(cosine_blocks(unit)):
        pairs = order[starts[number] : starts[number + 1]]
        values[pairs] = block[low[pairs] - row, high[pairs] - row]
    return values
