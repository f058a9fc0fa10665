"""The compiled loops that draw or list sets of wells of different groups."""

# K sets · n wells of a set · rows: row numbers of the matrix x

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phenoprints.consistency.kernels import VECTORS
from phenoprints.foundations.compiling import compiled

MAX_TRIES = 16
"""Blind draws from a stratum before its free entries are counted; changes the stream only."""

MAX_RESTARTS = 64
"""Independent draws of a set before its slots are filled in turn."""

SWEEPS = 4
"""How often every slot of a set that was filled in turn is drawn anew."""

MAX_STEPS, STEPS_PER_SET = 100_000, 20
"""Steps of the search for all sets, at least and per listed set, before it is given up."""


class PoolArrays(NamedTuple):
    """Entries (groups inside strata) and their rows; see phenoprints.consistency.pool.Pool."""

    strata: NDArray[np.int64]
    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    offsets: NDArray[np.int64]


@compiled(fastmath=VECTORS)
def draw_distinct(
    slots: NDArray[np.int64],
    strata: NDArray[np.int64],
    offsets: NDArray[np.int64],
    uniforms: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Draw one position of each slot's stratum, of distinct groups: a partial Fisher-Yates.

    The slots have one stratum, or strata with the same G groups in the same order. Entry e owns the
    positions offsets[e]:offsets[e + 1]. A random order of the groups fills the slots, so that every
    part of a set is itself a uniform draw. `uniforms` is (K, n, 2) in [0, 1); returned are (K, n).
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
def draw_entries(
    slots: NDArray[np.int64],
    pool: PoolArrays,
    left_out: int,
    last_set: NDArray[np.int64],
    stamp: int,
    entries: NDArray[np.int64],
    random: np.random.Generator,
) -> tuple[bool, bool, int]:
    """Draw an entry per slot, every choice of distinct groups equally likely.

    The group `left_out` (-1: none) is not drawn. Independent draws are repeated until all groups
    differ, at most `MAX_RESTARTS` times; then slots are filled in turn with free groups and drawn
    anew a few times (Gibbs sampling). Returned are whether `entries` were drawn, whether by
    independent draws, and `stamp` plus the number of these.
    """
    for _ in range(MAX_RESTARTS):
        stamp += 1
        if left_out >= 0:
            last_set[left_out] = stamp
        if _draw_freely(slots, pool, last_set, stamp, entries, random):
            return True, True, stamp
    last_set[:] = -1
    if left_out >= 0:
        last_set[left_out] = stamp
    return _draw_in_turn(slots, pool, last_set, stamp, entries, random), False, stamp


@compiled(fastmath=VECTORS)
def draw_row(entry: int, pool: PoolArrays, random: np.random.Generator) -> int:
    """Draw a row of an entry."""
    start = pool.offsets[entry]
    count = pool.offsets[entry + 1] - start
    row: int = pool.rows[start + int(random.random() * count)]
    return row


@compiled(fastmath=VECTORS)
def draw_matched(
    slots: NDArray[np.int64], pool: PoolArrays, num_sets: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], int, int]:
    """Draw sets of one row of each slot's stratum, every choice of distinct groups equally likely.

    Returned are the sets (num_sets, n), -1 where none was found, and how many independent draws
    were made and had distinct groups.
    """
    size = slots.shape[0]
    sets = np.full((num_sets, size), -1, np.int64)
    last_set = np.full(pool.groups.max() + 1, -1, np.int64)
    entries = np.empty(size, np.int64)
    stamp, num_valid = 0, 0
    for k in range(num_sets):
        is_drawn, is_free, stamp = draw_entries(slots, pool, -1, last_set, stamp, entries, random)
        num_valid += is_free
        if is_drawn:
            for j in range(size):
                sets[k, j] = draw_row(entries[j], pool, random)
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
