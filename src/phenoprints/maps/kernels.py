"""The compiled loops of maps: nearest neighbours, and sets of wells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled


@compiled()
def keep_nearest(
    block: NDArray[np.floating],
    start: int,
    indices: NDArray[np.intp],
    cosines: NDArray[np.float64],
) -> None:
    """Put the largest entries of each row of a block into its row of `cosines`, largest first.

    The block's first row is row `start` of all; an entry with itself does not count. Of equal
    entries the earlier stays before the later.
    """
    count = cosines.shape[1]
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            value = block[i, j]
            if value > cosines[i, count - 1] and j != start + i:
                place = count - 1
                while place > 0 and cosines[i, place - 1] < value:
                    cosines[i, place] = cosines[i, place - 1]
                    indices[i, place] = indices[i, place - 1]
                    place -= 1
                cosines[i, place], indices[i, place] = value, j


@compiled()
def lengths_of_sums(
    products: NDArray[np.float64], positions: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the lengths (S,) of sums of vectors from their products (P, P), for sets (S, n)."""
    num, taken = positions.shape
    lengths = np.empty(num)
    for row in range(num):
        total = 0.0
        for a in range(taken):
            i = positions[row, a]
            total += products[i, i]
            for b in range(a):
                total += 2 * products[i, positions[row, b]]
        lengths[row] = np.sqrt(max(total, 0.0))
    return lengths


@compiled()
def distinct(uniform: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Floyd's sampling: rows of distinct numbers below `size` from rows of uniform numbers."""
    num, taken = uniform.shape
    chosen = np.empty((num, taken), np.int64)
    for row in range(num):
        for k in range(taken):
            last = size - taken + k
            value = int(uniform[row, k] * (last + 1))
            for before in range(k):
                if chosen[row, before] == value:
                    value = last
                    break
            chosen[row, k] = value
    return chosen
