"""The compiled loops that measure sets of wells: their statistics, and how many reach a value.

A set's statistic needs only the sum of its unit vectors: s = |Σ u_i|² / n², which equals the mean
of all n² cosines, diagonal included. Sums run in float64, so that equal sets give equal numbers.
"""

# K sets · n wells of a set · D features · rows: row numbers of the matrix x

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled

TIE = 1e-9
"""Statistics closer than this are equal: sums of the same wells in another order differ by less."""

MARGIN = 1e-5
"""Statistics in float32 that are closer than this are computed again in float64."""

CONFLICT = np.float32(-1e6)
"""Stands for the cosine of two wells of one group: no set with it counts."""

NUM_PILOT, MIN_VALID = 1000, 200
"""Of its first shared draws, and how many of them must count lest a composition be given up."""

TILE = 32
"""Draws that are rearranged at a time, so that they stay in the cache."""

# Lets the loops over features use vector instructions; NaN and infinities keep their meaning.
VECTORS = {"reassoc", "contract"}


class Matrix(NamedTuple):
    """Vectors (N, D) with their inverse norms (N,)."""

    x: NDArray[Any]
    inverse_norm: NDArray[np.float64]


class Counting(NamedTuple):
    """Compositions of slots, the statistics to compare with, and what was counted so far.

    Composition c has the slots columns[starts[c]:starts[c + 1]], ascending, and is compared with
    observed[firsts[c]:firsts[c + 1]]. It needs left[c] more valid draws (-1: given up) after
    num_drawn[c] draws; at_least counts the null sets that reach each observed statistic.
    """

    columns: NDArray[np.int64]
    starts: NDArray[np.int64]
    observed: NDArray[np.float64]
    firsts: NDArray[np.int64]
    num_null: int
    left: NDArray[np.int64]
    num_drawn: NDArray[np.int64]
    at_least: NDArray[np.int64]


class Owners(NamedTuple):
    """Whose null sets hold own wells: test_of (N,) is the test of each row, -1: of none counted.

    composition_of (T,) is the composition of each test. drawn and at_least (T, n) count the draws
    with an own well in each slot of the composition, and those that reach the observed statistic.
    """

    test_of: NDArray[np.int64]
    composition_of: NDArray[np.int64]
    drawn: NDArray[np.int64]
    at_least: NDArray[np.int64]


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
def prefix_statistics(
    x: NDArray[Any],
    inverse_norm: NDArray[np.float64],
    sets: NDArray[np.int64],
    slots: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the statistic of the first n rows of every set, for every n with slots[n] >= 0.

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
    """Compute the statistic of each group g of rows[offsets[g]:offsets[g + 1]]; NaN if unusable.

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


@compiled(fastmath=VECTORS)
def unit_rows(
    x: NDArray[Any], inverse_norm: NDArray[np.float64], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the unit vectors of some rows, in float32."""
    result = np.empty((rows.shape[0], x.shape[1]), np.float32)
    for i in range(rows.shape[0]):
        scale = inverse_norm[rows[i]]
        for d in range(x.shape[1]):
            result[i, d] = np.float32(scale * np.float64(x[rows[i], d]))
    return result


@compiled(fastmath=VECTORS)
def looked_up_cosines(
    table: NDArray[np.float32], positions: NDArray[np.int64], group: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the cosines (S, S, B) of slots i < j from a table (P, P) of all wells' cosines.

    `positions` and `group` (S, B) are the wells of the draws and their groups; wells of one group
    give CONFLICT. The lower triangle is not set.
    """
    num_slots, num_draws = positions.shape
    result = np.empty((num_slots, num_slots, num_draws), np.float32)
    for i in range(num_slots):
        for j in range(i + 1, num_slots):
            for k in range(num_draws):
                value = table[positions[i, k], positions[j, k]]
                result[i, j, k] = value if group[i, k] != group[j, k] else CONFLICT
    return result


@compiled(fastmath=VECTORS)
def arranged_cosines(
    products: NDArray[np.float32], group: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the cosines (S, S, B) of slots i < j from products (B, S, S), as looked_up_cosines."""
    num_draws, num_slots, _ = products.shape
    result = np.empty((num_slots, num_slots, num_draws), np.float32)
    for first in range(0, num_draws, TILE):
        last = min(first + TILE, num_draws)
        for i in range(num_slots):
            for j in range(i + 1, num_slots):
                for k in range(first, last):
                    value = products[k, i, j]
                    result[i, j, k] = value if group[i, k] != group[j, k] else CONFLICT
    return result


@compiled(fastmath=VECTORS)
def count_at_least(
    cosines: NDArray[np.float32], rows: NDArray[np.int64], state: Counting, matrix: Matrix
) -> None:
    """Count in `state` the draws of a block, (S, B) `rows`, that reach the observed statistics."""
    total = np.empty(rows.shape[1], np.float32)
    for c in range(state.left.shape[0]):
        if state.left[c] <= 0:
            continue
        columns = state.columns[state.starts[c] : state.starts[c + 1]]
        total[:] = 0.0
        for a in range(columns.shape[0]):
            for b in range(a + 1, columns.shape[0]):
                pair = cosines[columns[a], columns[b]]
                for k in range(total.shape[0]):
                    total[k] += pair[k]
        num_used = _use_draws(total, c, state)
        for t in range(state.firsts[c], state.firsts[c + 1]):
            state.at_least[t] += _num_at_least(
                total[:num_used], state.observed[t], columns, rows, matrix
            )


@compiled(fastmath=VECTORS)
def _use_draws(total: NDArray[np.float32], c: int, state: Counting) -> int:
    """Count the valid draws of a block until enough are found; return how many draws that takes."""
    num_draws: int = total.shape[0]
    for k in range(num_draws):
        if total[k] > CONFLICT / 2:
            state.left[c] -= 1
        state.num_drawn[c] += 1
        if state.num_drawn[c] == NUM_PILOT and state.left[c] > 0:
            num_valid = state.num_null - state.left[c]
            if num_valid < MIN_VALID:
                state.left[c] = -1
        if state.left[c] <= 0:
            return k + 1
    return num_draws


@compiled(fastmath=VECTORS)
def _num_at_least(
    total: NDArray[np.float32],
    observed: float,
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    matrix: Matrix,
) -> int:
    """Count the sums of cosines that reach an observed statistic; close ones again in float64."""
    size = columns.shape[0]
    sure, possible = _bounds(observed, size)
    count: int = 0
    for k in range(total.shape[0]):
        if total[k] >= possible:
            is_sure: bool = total[k] >= sure
            if is_sure or statistic(rows[:, k][columns], matrix) >= observed - TIE:
                count += 1
    return count


@compiled(fastmath=VECTORS)
def count_own(
    cosines: NDArray[np.float32],
    rows: NDArray[np.int64],
    num_used: NDArray[np.int64],
    state: Counting,
    matrix: Matrix,
    owners: Owners,
) -> None:
    """Count in `owners`, by test and slot, the draws of a block that hold one of its own wells.

    `num_used` (C,) is how many draws of the block each composition has used.
    """
    for s in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            t = owners.test_of[rows[s, k]]
            c = owners.composition_of[t] if t >= 0 else -1
            if c < 0 or k >= num_used[c]:
                continue
            columns = state.columns[state.starts[c] : state.starts[c + 1]]
            slot = np.searchsorted(columns, s)
            if slot == columns.shape[0] or columns[slot] != s:
                continue
            total = np.float32(0.0)
            for a in range(columns.shape[0]):
                for b in range(a + 1, columns.shape[0]):
                    total += cosines[columns[a], columns[b], k]
            if total > CONFLICT / 2:
                owners.drawn[t, slot] += 1
                sure, possible = _bounds(state.observed[t], columns.shape[0])
                if total >= possible:
                    is_close = total < sure
                    if not is_close or (
                        statistic(rows[:, k][columns], matrix) >= state.observed[t] - TIE
                    ):
                        owners.at_least[t, slot] += 1


@compiled()
def _bounds(observed: float, size: int) -> tuple[float, float]:
    """Return the sums of cosines from which a statistic surely, and possibly, is reached."""
    sure = ((observed + MARGIN) * size * size - size) / 2
    return sure, ((observed - MARGIN) * size * size - size) / 2


@compiled(fastmath=VECTORS)
def statistic(rows: NDArray[np.int64], matrix: Matrix) -> float:
    """Return the statistic of some rows, in float64."""
    total = np.zeros(matrix.x.shape[1], np.float64)
    for row in rows:
        scale = matrix.inverse_norm[row]
        for d in range(total.shape[0]):
            total[d] += scale * np.float64(matrix.x[row, d])
    square = 0.0
    for d in range(total.shape[0]):
        square += total[d] * total[d]
    result: float = square / (rows.shape[0] * rows.shape[0])
    return result
