"""Draws that many compositions share: a few random wells of every stratum, K times.

For every draw each stratum gives an ordered sample of wells of distinct groups, independently of
the other strata. The cosines between all of them serve every composition that the strata can fill:
its statistic is a sum over its own slots. Draws in which two wells of a composition have the same
group do not count for it, so that every choice of distinct groups is equally likely. Where every
stratum has all groups, one random order of the groups gives all wells of a draw, and every draw
counts.
"""

# B draws of a block · S slots · P wells of the pool · D features

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phenoprints.consistency import kernels
from phenoprints.consistency.drawing import draw_distinct
from phenoprints.consistency.pool import Pool
from phenoprints.consistency.vectors import Vectors

MAX_PER_STRATUM = 4
"""Wells of a stratum that are drawn; compositions with more are drawn directly."""

BLOCK_BYTES = 1 << 26
"""Memory for the draws of one block; bounds the memory, never changes the draws."""

TABLE_BYTES = 400 << 20
"""Largest table of the cosines between all wells of the pool."""

GATHER_COST = 3
"""Time of a cosine between gathered wells, in units of one inside the table of all wells."""

DIRECT_COST = 32
"""Time of a direct draw per well and feature, in units of a multiplication inside a product."""

Streams = Callable[[str], np.random.Generator]
"""The random stream of one named null, so that no null depends on which others are drawn."""


class Comparison(NamedTuple):
    """A composition with the statistics that its null sets are compared with, (T,).

    `own` (T, n) are the rows of the conditions that have these statistics, in the order of the
    composition, where null sets are to hold as many of them as random sets of wells do.
    """

    composition: NDArray[np.int64]
    observed: NDArray[np.float64]
    own: NDArray[np.int64] | None = None


class OwnCounts(NamedTuple):
    """Null sets with one own well in each stratum, (T, P): how many, and those that reach."""

    drawn: NDArray[np.float64]
    at_least: NDArray[np.float64]


class SharedCounts(NamedTuple):
    """Null sets at least as consistent as each statistic of one composition.

    `at_least` (T,) is None where fewer than a fifth of the draws counted for the composition.
    """

    at_least: NDArray[np.int64] | None
    valid_share: float
    own: OwnCounts | None


def choose_shared(pool: Pool, tests: dict[int, Comparison]) -> dict[int, Comparison]:
    """Return the compositions of connected strata for which shared draws cost least.

    These are the ones with at most so many wells in any stratum; all others need direct draws.
    """
    most = {i: int(np.unique(t.composition, return_counts=True)[1].max()) for i, t in tests.items()}
    size = {i: len(test.composition) for i, test in tests.items()}
    best, least = {}, DIRECT_COST * sum(size.values())
    for limit in sorted(set(most.values())):
        chosen = {i: test for i, test in tests.items() if most[i] <= limit}
        needed = _slots_needed(list(chosen.values()))
        if limit > MAX_PER_STRATUM and not _are_joint(pool, needed):
            break
        cost = int(needed.sum()) ** 2 + DIRECT_COST * sum(size[i] for i in tests if i not in chosen)
        if cost <= least:
            best, least = chosen, cost
    return best


def _are_joint(pool: Pool, needed: NDArray[np.int64]) -> bool:
    """Return whether one random order of groups can fill all slots, so that no draw conflicts."""
    strata = np.flatnonzero(needed)
    num_groups = pool.num_entries[strata[0]]
    return bool(needed.sum() <= num_groups) and pool.are_crossed(strata)


def shared_counts(
    vectors: Vectors, pool: Pool, tests: Sequence[Comparison], num_null: int, streams: Streams
) -> list[SharedCounts]:
    """Count, for each composition, the null sets at least as consistent as its statistics.

    Every composition is compared with its first `num_null` valid draws, so that its counts depend
    neither on the size of blocks nor on the other compositions.
    """
    draws = _Draws.of(vectors, pool, _slots_needed(tests), num_null, streams)
    state = _start(draws, tests, num_null)
    owners = _owners(len(vectors.x), tests)
    while (state.left > 0).any():
        positions = draws.next(int(state.left.max()))
        cosines, rows, before = (
            draws.cosines(positions),
            pool.rows[positions],
            state.num_drawn.copy(),
        )
        kernels.count_at_least(cosines, rows, state, vectors.matrix)
        if len(owners.drawn):
            num_used = state.num_drawn - before
            kernels.count_own(cosines, rows, num_used, state, vectors.matrix, owners)
    counts = np.split(state.at_least, state.firsts[1:-1])
    shares = (
        [pool.crossed_share(test.composition) for test in tests]
        if draws.is_joint
        else (num_null - np.maximum(state.left, 0)) / state.num_drawn
    )
    return [
        SharedCounts(count if left == 0 else None, share, _own_counts(owners, test, first))
        for count, left, share, test, first in zip(
            counts, state.left, shares, tests, state.firsts[:-1], strict=True
        )
    ]


def _owners(num_rows: int, tests: Sequence[Comparison]) -> kernels.Owners:
    """Return the tests whose own wells are counted: none where no null set has to hold any."""
    test_of = np.full(num_rows, -1, dtype=np.int64)
    first = 0
    for test in tests:
        if test.own is not None:
            test_of[test.own] = first + np.arange(len(test.own))[:, None]
        first += len(test.observed)
    composition_of = np.repeat(np.arange(len(tests)), [len(test.observed) for test in tests])
    size = max(len(test.composition) for test in tests) if (test_of >= 0).any() else 0
    counts = np.zeros((2, first if size else 0, size), dtype=np.int64)
    return kernels.Owners(test_of, composition_of, *counts)


def _own_counts(owners: kernels.Owners, test: Comparison, first: int) -> OwnCounts | None:
    """Return the counts of one composition by stratum."""
    if test.own is None:
        return None
    starts = np.flatnonzero(np.diff(test.composition, prepend=-1))
    size, own = len(test.composition), slice(first, first + len(test.own))
    return OwnCounts(*(
        np.add.reduceat(counts[own, :size], starts, axis=1).astype(np.float64)
        for counts in (owners.drawn, owners.at_least)
    ))  # fmt: skip


def _slots_needed(tests: Sequence[Comparison]) -> NDArray[np.int64]:
    """Return the largest number of wells per stratum that a composition needs."""
    needed = np.zeros(1 + max(int(test.composition[-1]) for test in tests), dtype=np.int64)
    for test in tests:
        strata, count = np.unique(test.composition, return_counts=True)
        needed[strata] = np.maximum(needed[strata], count)
    return needed


def _start(draws: _Draws, tests: Sequence[Comparison], num_null: int) -> kernels.Counting:
    columns = [draws.columns(test.composition) for test in tests]
    observed = [test.observed for test in tests]
    return kernels.Counting(
        columns=np.concatenate(columns),
        starts=np.cumsum([0, *map(len, columns)]),
        observed=np.concatenate(observed),
        firsts=np.cumsum([0, *map(len, observed)]),
        num_null=num_null,
        left=np.full(len(tests), num_null, dtype=np.int64),
        num_drawn=np.zeros(len(tests), dtype=np.int64),
        at_least=np.zeros(sum(map(len, observed)), dtype=np.int64),
    )


@dataclass(frozen=True)
class _Draws:
    """The slots of every stratum, their random streams, and the vectors that are drawn.

    Where all strata have the same groups and enough of them, one random order of the groups fills
    all slots; else each stratum draws for itself. `local` is the row of `units` for every position
    in the pool's rows, -1 in other strata.
    """

    pool: Pool
    strata: NDArray[np.int64]
    num_slots: NDArray[np.int64]
    is_joint: bool
    random: list[np.random.Generator]
    group: NDArray[np.int64]
    local: NDArray[np.int64]
    units: NDArray[np.float32]
    table: NDArray[np.float32] | None

    @classmethod
    def of(
        cls,
        vectors: Vectors,
        pool: Pool,
        needed: NDArray[np.int64],
        num_null: int,
        streams: Streams,
    ) -> _Draws:
        strata = np.flatnonzero(needed)
        starts = pool.offsets[pool.strata]
        chosen = np.concatenate([np.arange(starts[s], starts[s + 1]) for s in strata])
        local = np.full(len(pool.rows), -1, dtype=np.int64)
        local[chosen] = np.arange(len(chosen))
        units = vectors.units(pool.rows[chosen])
        return cls(
            pool=pool,
            strata=strata,
            num_slots=needed[strata],
            is_joint=_are_joint(pool, needed),
            random=[streams(f"stratum {s}") for s in strata],
            group=np.repeat(pool.groups, np.diff(pool.offsets)),
            local=local,
            units=units,
            table=_table(units, num_null * int(needed.sum()) ** 2),
        )

    def columns(self, composition: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slots that a composition uses: the first ones of each of its strata."""
        starts = np.cumsum(self.num_slots) - self.num_slots
        is_same = np.diff(composition, prepend=-1) == 0
        at = np.arange(len(composition))
        number = at - np.maximum.accumulate(np.where(is_same, 0, at))
        return starts[np.searchsorted(self.strata, composition)] + number

    def next(self, wanted: int) -> NDArray[np.int64]:
        """Draw the next wells of every slot, (S, B) positions in the pool."""
        num_slots = int(self.num_slots.sum())
        width = 4 * num_slots + (0 if self.table is not None else 2 * self.units.shape[1])
        num_draws = int(np.clip(BLOCK_BYTES // (4 * num_slots * width), 1, max(wanted, 16)))
        if self.is_joint:
            slots = np.repeat(self.strata, self.num_slots)
            uniforms = self.random[0].random((num_draws, num_slots, 2))
            drawn = draw_distinct(slots, self.pool.strata, self.pool.offsets, uniforms)
            return np.ascontiguousarray(drawn.T)
        parts = [
            draw_distinct(
                np.repeat(stratum, size),
                self.pool.strata,
                self.pool.offsets,
                random.random((num_draws, MAX_PER_STRATUM, 2))[:, :size],
            )
            for stratum, size, random in zip(self.strata, self.num_slots, self.random, strict=True)
        ]
        return np.ascontiguousarray(np.concatenate(parts, axis=1).T)

    def cosines(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the cosines (S, S, B) of slots i < j in every draw; see kernels.CONFLICT."""
        group, rows = self.group[positions], self.local[positions]
        if self.table is not None:
            return kernels.looked_up_cosines(self.table, rows, group)
        wells = self.units[rows.T]
        return kernels.arranged_cosines(wells @ wells.transpose(0, 2, 1), group)


def _table(units: NDArray[np.float32], num_cosines: int) -> NDArray[np.float32] | None:
    """Return the cosines between all wells, (P, P), where that is cheaper than gathering wells."""
    num_pairs = len(units) ** 2
    if 4 * num_pairs > TABLE_BYTES or num_pairs > GATHER_COST * num_cosines:
        return None
    table: NDArray[np.float32] = units @ units.T
    return table
