"""The compiled loops of the consistency test: draw sets of wells, and measure them.

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

MAX_TRIES = 16
"""Blind draws from a stratum before its free entries are counted; changes the stream only."""

TILE = 32
"""Draws that are rearranged at a time, so that they stay in the cache."""

MAX_RESTARTS = 64
"""Independent draws of a set before its slots are filled in turn."""

SWEEPS = 4
"""How often every slot of a set that was filled in turn is drawn anew."""

MAX_STEPS, STEPS_PER_SET = 100_000, 20
"""Steps of the search for all sets, at least and per listed set, before it is given up."""

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


class PoolArrays(NamedTuple):
    """Entries (groups inside strata) and their rows; see phenoprints.consistency.pool.Pool."""

    strata: NDArray[np.int64]
    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    offsets: NDArray[np.int64]


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
def draw_crossed(
    slots: NDArray[np.int64],
    strata: NDArray[np.int64],
    offsets: NDArray[np.int64],
    uniforms: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Draw one position of each slot's stratum, of distinct groups, where all strata have all.

    Every stratum owns one entry of each of G groups, in the same order; entry e owns the positions
    offsets[e]:offsets[e + 1]. A random order of the groups fills the slots, so that every part of
    a set is itself a uniform draw. `uniforms` is (K, n, 2) in [0, 1); returned are (K, n).
    """
    num_groups = strata[slots[0] + 1] - strata[slots[0]]
    num_sets, size = uniforms.shape[0], uniforms.shape[1]
    order = np.arange(num_groups)
    swapped = np.empty(size, np.int64)
    sets = np.empty((num_sets, size), np.int64)
    for k in range(num_sets):
        for j in range(size):
            other = j + int(uniforms[k, j, 0] * (num_groups - j))
            order[j], order[other] = order[other], order[j]
            swapped[j] = other
            entry = strata[slots[j]] + order[j]
            count = offsets[entry + 1] - offsets[entry]
            sets[k, j] = offsets[entry] + int(uniforms[k, j, 1] * count)
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
    """Return a uniform entry of first:last whose group set k has not used; -1 where
    there is none.
    """
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
def _draw_freely(
    slots: NDArray[np.int64],
    pool: PoolArrays,
    last_set: NDArray[np.int64],
    stamp: int,
    entries: NDArray[np.int64],
    random: np.random.Generator,
) -> bool:
    """Draw a uniform entry per slot; False as soon as two have one group."""
    for j in range(slots.shape[0]):
        first, last = pool.strata[slots[j]], pool.strata[slots[j] + 1]
        entry = first + int(random.random() * (last - first))
        if last_set[pool.groups[entry]] == stamp:
            return False
        last_set[pool.groups[entry]] = stamp
        entries[j] = entry
    return True


@compiled(fastmath=VECTORS)
def _draw_in_turn(
    slots: NDArray[np.int64],
    pool: PoolArrays,
    last_set: NDArray[np.int64],
    stamp: int,
    entries: NDArray[np.int64],
    random: np.random.Generator,
) -> bool:
    """Draw a free entry per slot, one after the other, then each slot anew `SWEEPS` times."""
    for sweep in range(1 + SWEEPS):
        for j in range(slots.shape[0]):
            if sweep:
                last_set[pool.groups[entries[j]]] = -1
            first, last = pool.strata[slots[j]], pool.strata[slots[j] + 1]
            entry = _free_entry(first, last, pool.groups, last_set, stamp, random)
            if entry < 0:
                return False
            last_set[pool.groups[entry]] = stamp
            entries[j] = entry
    return True


@compiled(fastmath=VECTORS)
def draw_matched(
    slots: NDArray[np.int64], pool: PoolArrays, num_sets: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], int, int]:
    """Draw sets of one row of each slot's stratum, every choice of distinct groups equally likely.

    Independent draws are repeated until all groups differ, at most `MAX_RESTARTS` times; then
    slots are filled in turn with free groups and drawn anew a few times (Gibbs sampling).
    Returned are the sets (num_sets, n), -1 where none was found, and how many independent draws
    were made and had distinct groups.
    """
    size = slots.shape[0]
    sets = np.full((num_sets, size), -1, np.int64)
    last_set = np.full(pool.groups.max() + 1, -1, np.int64)
    entries = np.empty(size, np.int64)
    stamp, num_valid = 0, 0
    for k in range(num_sets):
        is_drawn = False
        first_try = stamp
        while not is_drawn and stamp < first_try + MAX_RESTARTS:
            stamp += 1
            is_drawn = _draw_freely(slots, pool, last_set, stamp, entries, random)
        num_valid += is_drawn
        if not is_drawn:
            last_set[:] = -1
            is_drawn = _draw_in_turn(slots, pool, last_set, stamp, entries, random)
        if is_drawn:
            for j in range(size):
                start = pool.offsets[entries[j]]
                count = pool.offsets[entries[j] + 1] - start
                sets[k, j] = pool.rows[start + int(random.random() * count)]
    return sets, stamp, num_valid


@compiled()
def list_sets(
    slots: NDArray[np.int64], pool: PoolArrays, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], bool]:
    """List all sets of one row of each slot's stratum, of distinct groups, each set once.

    Slots of one stratum must be neighbours. Returned are the sets (M, n), the probability of each
    up to a common factor (1 over the product of the sizes of its entries), and whether they are
    all: the search ends early above `limit` sets, or after many dead ends.
    """
    size = slots.shape[0]
    sets = np.empty((limit, size), np.int64)
    weights = np.empty(limit, np.float64)
    is_used = np.zeros(pool.groups.max() + 1, np.bool_)
    entries = np.empty(size, np.int64)
    cursor = np.empty(size, np.int64)
    found, j, steps = 0, 0, 0
    cursor[0] = pool.strata[slots[0]]
    while j >= 0:
        steps += 1
        last = pool.strata[slots[j] + 1]
        while cursor[j] < last and is_used[pool.groups[cursor[j]]]:
            cursor[j] += 1
        if steps > MAX_STEPS + STEPS_PER_SET * limit:
            return sets[:0], weights[:0], False
        if cursor[j] == last:
            j -= 1
            if j >= 0:
                is_used[pool.groups[entries[j]]] = False
            continue
        entries[j] = cursor[j]
        cursor[j] += 1
        if j < size - 1:
            is_used[pool.groups[entries[j]]] = True
            is_same = slots[j + 1] == slots[j]
            cursor[j + 1] = cursor[j] if is_same else pool.strata[slots[j + 1]]
            j += 1
            continue
        listed = _list_rows(entries, pool, sets[found:])
        if listed < 0:
            return sets[:0], weights[:0], False
        weights[found : found + listed] = 1.0 / listed
        found += listed
    return sets[:found], weights[:found], True


@compiled()
def _list_rows(entries: NDArray[np.int64], pool: PoolArrays, into: NDArray[np.int64]) -> int:
    """List every choice of one row per entry in `into`; their number, or -1 where they are more."""
    size = entries.shape[0]
    total = 1.0
    for j in range(size):
        total *= pool.offsets[entries[j] + 1] - pool.offsets[entries[j]]
    if total > into.shape[0]:
        return -1
    for i in range(int(total)):
        rest = i
        for j in range(size):
            start = pool.offsets[entries[j]]
            count = pool.offsets[entries[j] + 1] - start
            into[i, j] = pool.rows[start + rest % count]
            rest //= count
    return int(total)


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
    sure = ((observed + MARGIN) * size * size - size) / 2
    possible = ((observed - MARGIN) * size * size - size) / 2
    count: int = 0
    for k in range(total.shape[0]):
        if total[k] >= possible:
            is_sure: bool = total[k] >= sure
            if is_sure or _statistic(columns, rows[:, k], matrix) >= observed - TIE:
                count += 1
    return count


@compiled(fastmath=VECTORS)
def _statistic(columns: NDArray[np.int64], rows: NDArray[np.int64], matrix: Matrix) -> float:
    """Return the statistic of the wells in some slots of one draw, in float64."""
    total = np.zeros(matrix.x.shape[1], np.float64)
    for a in range(columns.shape[0]):
        row = rows[columns[a]]
        scale = matrix.inverse_norm[row]
        for d in range(total.shape[0]):
            total[d] += scale * np.float64(matrix.x[row, d])
    square = 0.0
    for d in range(total.shape[0]):
        square += total[d] * total[d]
    result: float = square / (columns.shape[0] * columns.shape[0])
    return result
