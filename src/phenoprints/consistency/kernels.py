"""The compiled loops of the consistency test: draw sets of wells, and measure them.

A set's statistic needs only the sum of its unit vectors: s = |Σ u_i|² / n², which equals the mean
of all n² cosines, diagonal included. Sums run in float64, so that equal sets give equal numbers.
"""

# K sets · n wells of a set · D features · rows: row numbers of the matrix x

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function compiled to machine code, kept on disk between processes, free of the GIL."""
    # Reassociation lets the loops over features use vector instructions; NaN keep their meaning.
    result: Function = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})(
        function
    )
    return result


@compiled
def inverse_norms(x: NDArray[Any]) -> NDArray[np.float64]:
    """1/|x_i| per row in float64; NaN where the row is not finite, infinite where it is zero."""
    result = np.empty(x.shape[0], np.float64)
    for i in range(x.shape[0]):
        total = 0.0
        for d in range(x.shape[1]):
            value = np.float64(x[i, d])
            total += value * value
        if not np.isfinite(total):
            result[i] = np.nan
        elif total == 0.0:
            result[i] = np.inf
        else:
            result[i] = 1.0 / np.sqrt(total)
    return result


@compiled
def draw_distinct(
    rows: NDArray[np.int64], offsets: NDArray[np.int64], uniforms: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Ordered sets of rows of distinct groups: a partial Fisher-Yates, then one row of each group.

    Group g owns rows[offsets[g]:offsets[g + 1]]. `uniforms` is (K, n, 2) in [0, 1); returned are
    (K, n) row numbers. Every prefix of a set is itself a uniform draw of that size.
    """
    num_groups = offsets.shape[0] - 1
    num_sets, size = uniforms.shape[0], uniforms.shape[1]
    order = np.arange(num_groups)
    swapped = np.empty(size, np.int64)
    sets = np.empty((num_sets, size), np.int64)
    for k in range(num_sets):
        for j in range(size):
            other = j + int(uniforms[k, j, 0] * (num_groups - j))
            order[j], order[other] = order[other], order[j]
            swapped[j] = other
            first = offsets[order[j]]
            count = offsets[order[j] + 1] - first
            sets[k, j] = rows[first + int(uniforms[k, j, 1] * count)]
        for j in range(size - 1, -1, -1):  # undone: a set depends on its own uniforms alone
            other = swapped[j]
            order[j], order[other] = order[other], order[j]
    return sets


@compiled
def draw_matched(
    slots: NDArray[np.int64],
    strata: NDArray[np.int64],
    groups: NDArray[np.int64],
    rows: NDArray[np.int64],
    offsets: NDArray[np.int64],
    uniforms: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Sets that take one row of stratum slots[j] as their j-th, all of distinct groups.

    Entry e (a group inside a stratum) owns rows[offsets[e]:offsets[e + 1]]; stratum s owns the
    entries strata[s]:strata[s + 1], sorted by groups[e]. A set that cannot be finished is -1.
    """
    num_sets, size = uniforms.shape[0], uniforms.shape[1]
    used = np.empty(size, np.int64)
    taken = np.empty(size, np.int64)
    sets = np.empty((num_sets, size), np.int64)
    for k in range(num_sets):
        for j in range(size):
            first, last = strata[slots[j]], strata[slots[j] + 1]
            num_taken = 0
            for i in range(j):  # where the groups used so far stand in this stratum
                entry = first + np.searchsorted(groups[first:last], used[i])
                if entry < last and groups[entry] == used[i]:
                    taken[num_taken] = entry
                    num_taken += 1
            if last - first <= num_taken:
                sets[k, :] = -1
                break
            entry = first + int(uniforms[k, j, 0] * (last - first - num_taken))
            for position in np.sort(taken[:num_taken]):
                if entry >= position:
                    entry += 1
            used[j] = groups[entry]
            count = offsets[entry + 1] - offsets[entry]
            sets[k, j] = rows[offsets[entry] + int(uniforms[k, j, 1] * count)]
    return sets


@compiled
def prefix_statistics(
    x: NDArray[Any],
    inverse_norm: NDArray[np.float64],
    sets: NDArray[np.int64],
    slots: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The statistic of the first n rows of every set, for every n with slots[n] >= 0.

    Returned are (number of such n, K) values; those of n stand in row slots[n].
    """
    num_sets, size = sets.shape
    result = np.empty((slots.max() + 1, num_sets), np.float64)
    total = np.empty(x.shape[1], np.float64)
    for k in range(num_sets):
        total[:] = 0.0
        for j in range(size):
            row = sets[k, j]
            scale = inverse_norm[row]
            square = 0.0
            for d in range(x.shape[1]):
                value = total[d] + scale * np.float64(x[row, d])
                total[d] = value
                square += value * value
            if slots[j + 1] >= 0:
                result[slots[j + 1], k] = square / ((j + 1) * (j + 1))
    return result


@compiled
def group_statistics(
    x: NDArray[Any],
    inverse_norm: NDArray[np.float64],
    rows: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The statistic of each group g of rows[offsets[g]:offsets[g + 1]]; NaN where one is unusable.

    A group without rows gives NaN too.
    """
    result = np.empty(offsets.shape[0] - 1, np.float64)
    total = np.empty(x.shape[1], np.float64)
    for g in range(result.shape[0]):
        total[:] = 0.0
        for j in range(offsets[g], offsets[g + 1]):
            scale = inverse_norm[rows[j]]
            for d in range(x.shape[1]):
                total[d] += scale * np.float64(x[rows[j], d])
        count = offsets[g + 1] - offsets[g]
        square = 0.0
        for d in range(x.shape[1]):
            square += total[d] * total[d]
        result[g] = square / (count * count) if count > 0 else np.nan
    return result
