"""The compiled loops of the consistency test: draw sets of wells, and measure them.

A set's statistic needs only the sum of its unit vectors: s = |Σ u_i|² / n², which equals the mean
of all n² cosines, diagonal included. Sums run in float64, so that equal sets give equal numbers.
"""

# K sets · n wells of a set · D features · rows: row numbers of the matrix x

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled

MAX_TRIES = 16
"""Blind draws from a stratum before its free entries are counted; changes the stream only."""

# Lets the loops over features use vector instructions; NaN and infinities keep their meaning.
VECTORS = {"reassoc", "contract"}


@compiled(fastmath=VECTORS)
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


@compiled(fastmath=VECTORS)
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


@compiled(fastmath=VECTORS)
def _free_entry(
    first: int,
    last: int,
    groups: NDArray[np.int64],
    last_set: NDArray[np.int64],
    k: int,
    random: np.random.Generator,
) -> int:
    """A uniform entry of first:last whose group set k has not used; -1 where there is none."""
    for _ in range(MAX_TRIES if last > first else 0):
        entry = first + int(random.random() * (last - first))
        if last_set[groups[entry]] != k:
            return entry
    num_free = 0  # a crowded stratum: count, and take one of those that are left
    for entry in range(first, last):
        num_free += last_set[groups[entry]] != k
    skip = int(random.random() * num_free)
    for entry in range(first, last):
        if last_set[groups[entry]] != k:
            if skip == 0:
                return entry
            skip -= 1
    return -1


@compiled(fastmath=VECTORS)
def draw_matched(
    slots: NDArray[np.int64],
    strata: NDArray[np.int64],
    groups: NDArray[np.int64],
    rows: NDArray[np.int64],
    offsets: NDArray[np.int64],
    num_sets: int,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Sets that take one row of stratum slots[j] as their j-th, all of distinct groups.

    Entry e (a group inside a stratum) owns rows[offsets[e]:offsets[e + 1]]; stratum s owns the
    entries strata[s]:strata[s + 1]. Each slot takes a uniform entry among those whose group is
    free. A set that cannot be finished is -1.
    """
    sets = np.full((num_sets, slots.shape[0]), -1, np.int64)
    last_set = np.full(groups.max() + 1, -1, np.int64)
    for k in range(num_sets):
        for j in range(slots.shape[0]):
            first, last = strata[slots[j]], strata[slots[j] + 1]
            entry = _free_entry(first, last, groups, last_set, k, random)
            if entry < 0:
                sets[k, :] = -1
                break
            last_set[groups[entry]] = k
            count = offsets[entry + 1] - offsets[entry]
            sets[k, j] = rows[offsets[entry] + int(random.random() * count)]
    return sets


@compiled(fastmath=VECTORS)
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


@compiled(fastmath=VECTORS)
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
