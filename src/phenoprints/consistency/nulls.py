"""The null distributions: what the statistic is for sets of wells that share no condition."""

# K sets · n wells of a set · M possible sets

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations, islice, product
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from phenoprints.consistency import kernels

DRAWS_PER_BLOCK = 1 << 20
"""Wells drawn at a time: bounds the memory of the random numbers, never changes the draws."""

CAP = 1e15
"""Counts of possible sets stop here; only whether they exceed K matters."""

MAX_ROUNDS = 20
"""Rounds of matched draws before a condition counts as one that no null set can copy."""
MAX_LISTED = 64
"""Wells of a set up to which all sets may be listed; larger ones exist in numbers or not at all."""

Streams = Callable[[str], np.random.Generator]
"""The random stream of one named null, so that no null depends on which others are drawn."""


@dataclass(frozen=True)
class Vectors:
    """Embeddings with their inverse norms (NaN: not finite, infinite: zero)."""

    x: NDArray[np.floating]
    inverse_norm: NDArray[np.float64]

    @classmethod
    def of(cls, x: NDArray[np.floating]) -> Vectors:
        """The vectors of a matrix; anything but float32 becomes float64."""
        x = np.ascontiguousarray(x, dtype=np.float32 if x.dtype == np.float32 else np.float64)
        return cls(x, kernels.inverse_norms(x))

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Whether each row has a direction."""
        return np.isfinite(self.inverse_norm)

    def statistics(self, sets: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """The statistic of the first n rows of every set, for each n of `sizes` (ascending)."""
        slots = np.full(sets.shape[1] + 1, -1, dtype=np.int64)
        slots[sizes] = np.arange(len(sizes))
        return kernels.prefix_statistics(self.x, self.inverse_norm, sets, slots)


@dataclass(frozen=True)
class Null:
    """Sorted statistics of null sets, and whether they are all that exist."""

    statistics: NDArray[np.float64]
    is_complete: bool


@dataclass(frozen=True)
class Pool:
    """Groups of rows, of which a null set takes at most one row each.

    Group g owns rows[offsets[g]:offsets[g + 1]]; groups stand in ascending order of label.
    """

    rows: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, group: NDArray[np.int64]) -> Pool:
        """The pool of rows with group >= 0; rows keep their order inside a group."""
        rows = np.flatnonzero(group >= 0)
        rows = rows[np.argsort(group[rows], kind="stable")]
        starts = np.flatnonzero(np.diff(group[rows], prepend=-1))
        return cls(rows.astype(np.int64), np.append(starts, len(rows)).astype(np.int64))

    @property
    def num_groups(self) -> int:
        """How many groups there are: the largest set that can be drawn."""
        return len(self.offsets) - 1

    @cached_property
    def num_possible(self) -> NDArray[np.float64]:
        """How many sets of each size 0, 1, …, num_groups exist, exact up to CAP.

        The elementary symmetric polynomials of the group sizes.
        """
        counts = np.zeros(self.num_groups + 1)
        counts[0] = 1.0
        for size in np.diff(self.offsets):
            counts[1:] = np.minimum(counts[1:] + counts[:-1] * size, CAP)
        return counts

    def every_set(self, size: int) -> NDArray[np.int64]:
        """All sets of `size` rows of distinct groups, as (M, size)."""
        members = np.split(self.rows, self.offsets[1:-1])
        sets = (s for chosen in combinations(members, size) for s in product(*chosen))
        return np.fromiter(chain.from_iterable(sets), dtype=np.int64).reshape(-1, size)


def pool_nulls(
    vectors: Vectors, pool: Pool, sizes: NDArray[np.int64], num_null: int, streams: Streams
) -> dict[int, Null]:
    """The null of every size that the pool can fill: enumerated where it has at most K sets.

    One random order of groups serves all drawn sizes, through prefix sums.
    """
    sizes = np.unique(sizes[sizes <= pool.num_groups])
    is_few = pool.num_possible[sizes] <= num_null
    nulls = {int(n): _complete(vectors, pool.every_set(int(n))) for n in sizes[is_few]}
    drawn = sizes[~is_few]
    if len(drawn):
        statistics = _draw(vectors, pool, drawn, num_null, streams("pool"))
        nulls |= {int(n): Null(s, False) for n, s in zip(drawn, statistics, strict=True)}
    return nulls


def _complete(vectors: Vectors, sets: NDArray[np.int64]) -> Null:
    size = np.array([sets.shape[1]])
    return Null(np.sort(vectors.statistics(sets, size)[0]), True)


def _draw(
    vectors: Vectors,
    pool: Pool,
    sizes: NDArray[np.int64],
    num_null: int,
    stream: np.random.Generator,
) -> NDArray[np.float64]:
    """Sorted null statistics per size, (number of sizes, K)."""
    block = max(1, DRAWS_PER_BLOCK // int(sizes[-1]))
    parts = []
    for start in range(0, num_null, block):
        uniforms = stream.random((min(block, num_null - start), int(sizes[-1]), 2))
        sets = kernels.draw_distinct(pool.rows, pool.offsets, uniforms)
        parts.append(vectors.statistics(sets, sizes))
    return np.sort(np.concatenate(parts, axis=1), axis=1)


@dataclass(frozen=True)
class StratifiedPool:
    """Groups of rows inside strata, for null sets that copy a condition's numbers per stratum.

    Stratum s owns the entries strata[s]:strata[s + 1]; an entry is a group inside a stratum and
    owns rows[offsets[e]:offsets[e + 1]].
    """

    strata: NDArray[np.int64]
    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, group: NDArray[np.int64], stratum: NDArray[np.int64]) -> StratifiedPool:
        """The pool of rows with group >= 0, by stratum (0, 1, …) and group."""
        rows = np.flatnonzero(group >= 0)
        rows = rows[np.lexsort((group[rows], stratum[rows]))]
        is_first = np.ones(len(rows), dtype=np.bool_)
        is_first[1:] = (np.diff(group[rows]) != 0) | (np.diff(stratum[rows]) != 0)
        starts = np.flatnonzero(is_first)
        num_strata = int(stratum.max(initial=-1)) + 1
        strata = np.searchsorted(stratum[rows[starts]], np.arange(num_strata + 1))
        offsets = np.append(starts, len(rows)).astype(np.int64)
        return cls(strata, group[rows[starts]], rows.astype(np.int64), offsets)

    def order(self, composition: NDArray[np.int64]) -> NDArray[np.int64]:
        """The strata of a set, scarcest first, so that a draw does not run into a dead end."""
        num_entries = np.diff(self.strata)[composition]
        return composition[np.lexsort((composition, num_entries))]

    def can_hold(self, composition: NDArray[np.int64]) -> bool:
        """Whether there are as many groups as a set needs, in every stratum and in all."""
        needed = np.bincount(composition, minlength=len(self.strata) - 1)
        is_enough = bool((needed <= np.diff(self.strata)).all())
        return is_enough and len(composition) <= len(np.unique(self.groups))

    def at_least(self, slots: NDArray[np.int64]) -> int:
        """A lower bound of the number of possible sets; conditions of many wells have very many."""
        free = np.maximum(np.diff(self.strata)[slots] - np.arange(len(slots)), 0)
        orders = [factorial(int(count)) for count in np.unique(slots, return_counts=True)[1]]
        possible: int = prod(free.tolist()) // prod(orders)
        return possible

    def every_set(self, slots: NDArray[np.int64]) -> Iterator[tuple[int, ...]]:
        """All sets that take one row of each slot's stratum, of distinct groups, each set once."""

        def grow(j: int, first: int, used: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
            if j == len(slots):
                yield ()
                return
            stratum = slots[j]
            start = first if j and slots[j - 1] == stratum else int(self.strata[stratum])
            for entry in range(start, int(self.strata[stratum + 1])):
                if int(self.groups[entry]) in used:
                    continue
                for rest in grow(j + 1, entry + 1, (*used, int(self.groups[entry]))):
                    for row in self.rows[self.offsets[entry] : self.offsets[entry + 1]]:
                        yield (int(row), *rest)

        return grow(0, 0, ())


def matched_null(
    vectors: Vectors,
    pool: StratifiedPool,
    composition: NDArray[np.int64],
    num_null: int,
    streams: Streams,
) -> Null | None:
    """The null of sets with a given number of wells per stratum; None where none can be drawn."""
    if not pool.can_hold(composition):
        return None
    slots = pool.order(composition)
    if len(slots) <= MAX_LISTED and pool.at_least(slots) <= num_null:
        sets = list(islice(pool.every_set(slots), num_null + 1))
        if len(sets) <= num_null:
            return _complete(vectors, np.array(sets, dtype=np.int64)) if sets else None
    drawn = _draw_matched(pool, slots, num_null, streams(",".join(map(str, composition))))
    if len(drawn) < num_null:
        return None
    return Null(np.sort(vectors.statistics(drawn, np.array([len(slots)]))[0]), False)


def _draw_matched(
    pool: StratifiedPool, slots: NDArray[np.int64], num_null: int, stream: np.random.Generator
) -> NDArray[np.int64]:
    """Up to `num_null` sets; draws that ran into a dead end are repeated a few times."""
    sets = np.empty((0, len(slots)), dtype=np.int64)
    for _ in range(MAX_ROUNDS):
        drawn = kernels.draw_matched(
            slots, pool.strata, pool.groups, pool.rows, pool.offsets, num_null, stream
        )
        sets = np.concatenate([sets, drawn[drawn[:, 0] >= 0]])
        if len(sets) >= num_null:
            break
    return sets[:num_null]
