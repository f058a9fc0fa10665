"""How many of a condition's own wells its null sets hold: as many as random sets of wells hold.

Without an effect the wells of a plate are exchangeable, so a condition's wells are a random set of
the wells of their plates, and a random set of as many wells of each plate shares k wells with them,
k following the product of hypergeometric distributions over plates. A null set has as many own
wells, in these proportions; its other wells are of different other conditions. Over all ways to
label the other wells, such sets are the random sets, so the p-value is right on average.

The draws of phenoprints.consistency.nulls hold at most one own well. They are weighted by whether,
and on which plate, they hold one; sets with several own wells are drawn here, for each condition.
"""

# T conditions of one composition · n wells of a condition · P strata of the composition

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, comb, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phenoprints.consistency.drawing import PoolArrays, draw_entries, draw_row
from phenoprints.consistency.kernels import TIE, VECTORS, Matrix, statistic
from phenoprints.consistency.pool import Pool
from phenoprints.consistency.shared import Comparison, OwnCounts, Streams
from phenoprints.consistency.vectors import Vectors
from phenoprints.foundations.compiling import compiled

MIN_SHARE = 2e-3
"""Share of random sets that the draws of the pool do not hold, below which it does not matter."""

MAX_DRAWS = 2_000
"""Sets with several own wells that are drawn for a condition at most."""


class OverlapArrays(NamedTuple):
    """The strata (P,) of a composition, scarcest first, with the slots first[s]:first[s + 1].

    shares (P, m + 1) are the probabilities of k own wells in each stratum; chance (P + 1, n + 1)
    those of a wanted total, given j own wells in the strata before.
    """

    strata: NDArray[np.int64]
    first: NDArray[np.int64]
    shares: NDArray[np.float64]
    chance: NDArray[np.float64]


@dataclass(frozen=True)
class Overlaps:
    """Probabilities that a random set of a composition shares wells with one of its conditions.

    `none` and `whole`: no well, and all n; `once` (P,): one well, in each of the ascending strata;
    `arrays` are those of all other sets that the draws of the pool do not hold.
    """

    none: float
    once: NDArray[np.float64]
    whole: float
    arrays: OverlapArrays
    is_in_pool: bool

    @classmethod
    def of(cls, pool: Pool, test: Comparison) -> Overlaps | None:
        """Return the overlaps; None where fewer than MIN_SHARE of the sets would be other ones."""
        if test.own is None:
            return None
        strata, starts, needed = np.unique(test.composition, return_index=True, return_counts=True)
        outside = np.add.reduceat(pool.group_of(test.own[0]) < 0, starts, dtype=np.int64)
        num_wells = pool.num_wells[strata] + outside
        shares = [
            hypergeometric(*each) for each in zip(num_wells.tolist(), needed.tolist(), strict=True)
        ]
        zeros = [share[0] for share in shares]
        none = prod(zeros)
        once = [share[1] * prod(zeros[:s] + zeros[s + 1 :]) for s, share in enumerate(shares)]
        is_in_pool = not outside.any()
        if 1.0 - none - is_in_pool * sum(once) < MIN_SHARE:
            return None
        whole = prod(share[-1] for share in shares)
        arrays = _arrays(pool, strata, needed, shares, least=1 + is_in_pool)
        return cls(none, np.array(once), whole, arrays, is_in_pool)

    def mixed(
        self, at_least: NDArray[np.float64], total: float, own: OwnCounts, several: OwnCounts
    ) -> NDArray[np.float64]:
        """Return the share (T,) of null sets that reach, each overlap with its probability.

        `at_least` (T,) of `total` sets were drawn from the pool, `own` of them with an own well;
        `several` (T, 1) are the sets that were drawn here. Overlaps without a set are left out.
        """
        drawn = np.empty((len(at_least), own.drawn.shape[1] + 2))
        reach = np.empty_like(drawn)
        for into, one, rest, whole in (
            (drawn, own.drawn, several.drawn, total),
            (reach, own.at_least, several.at_least, at_least),
        ):
            into[:, 0] = whole - one.sum(axis=1)
            into[:, 1:-1] = one
            into[:, -1:] = rest
        once = self.once * self.is_in_pool
        weights = np.array([self.none, *once, self.arrays.chance[0, 0]])
        is_drawn = drawn > TIE * total
        weights = weights * is_drawn
        reach /= np.where(is_drawn, drawn, np.inf)
        share = (weights * np.clip(reach, 0.0, 1.0)).sum(axis=1)
        result: NDArray[np.float64] = self.whole + (1.0 - self.whole) * share / weights.sum(axis=1)
        return result


@lru_cache(maxsize=4096)
def hypergeometric(num_wells: int, own: int) -> tuple[float, ...]:
    """Return the probabilities that `own` random wells of `num_wells` hold 0 … own certain ones."""
    ways = [comb(own, k) * comb(num_wells - own, own - k) for k in range(own + 1)]
    return tuple(each / comb(num_wells, own) for each in ways)


def _arrays(
    pool: Pool,
    strata: NDArray[np.int64],
    needed: NDArray[np.int64],
    given: Sequence[tuple[float, ...]],
    *,
    least: int,
) -> OverlapArrays:
    order = np.lexsort((strata, pool.num_entries[strata]))
    size = int(needed.sum())
    shares = np.zeros((len(strata), int(needed.max()) + 1))
    for s, of in enumerate(order.tolist()):
        shares[s, : needed[of] + 1] = given[of]
    chance = np.zeros((len(strata) + 1, size + 1))
    chance[-1, least:size] = 1.0
    for s in range(len(strata) - 1, -1, -1):
        for k, share in enumerate(shares[s]):
            chance[s, : size + 1 - k] += share * chance[s + 1, k:]
    first = np.concatenate([[0], np.cumsum(needed[order])])
    return OverlapArrays(strata[order], first, shares, chance)


def draw_several(
    vectors: Vectors,
    pool: Pool,
    test: Comparison,
    overlaps: Overlaps,
    num_null: int,
    streams: Streams,
) -> OwnCounts:
    """Draw, for each condition, the null sets that the draws of the pool do not hold, (T, 1)."""
    arrays = overlaps.arrays
    num_draws = min(ceil(num_null * arrays.chance[0, 0]), MAX_DRAWS)
    columns = np.lexsort((test.composition, pool.num_entries[test.composition]))
    counts = np.zeros((2, len(test.observed), 1))
    for t, own in enumerate(test.own if num_draws and test.own is not None else ()):
        left_out = int(pool.group_of(own).max())
        one = OneCondition(own[columns], left_out, test.observed[t])
        random = streams(f"own {own[0]}")
        counts[:, t, 0] = _count_several(
            one, arrays, pool.arrays, vectors.matrix, num_draws, random
        )
    return OwnCounts(*counts)


class OneCondition(NamedTuple):
    """A condition: its rows by stratum, its group in the pool (-1: none), its statistic."""

    own: NDArray[np.int64]
    group: int
    observed: float


@compiled(fastmath=VECTORS)
def _count_several(
    condition: OneCondition,
    overlaps: OverlapArrays,
    pool: PoolArrays,
    matrix: Matrix,
    num_draws: int,
    random: np.random.Generator,
) -> tuple[int, int]:
    """Draw sets that share a wanted number of wells with a condition; return drawn and reaching."""
    size = condition.own.shape[0]
    order = np.arange(size)
    num_own = np.zeros(overlaps.strata.shape[0], np.int64)
    slots, entries, rows = np.empty(size, np.int64), np.empty(size, np.int64), order.copy()
    last_set = np.full(pool.groups.max() + 1, -1, np.int64)
    drawn, reaching, stamp = 0, 0, 0
    for _ in range(num_draws):
        _draw_overlap(overlaps, num_own, random)
        num_rest = 0
        kept = 0
        for s in range(num_own.shape[0]):
            first, last = overlaps.first[s], overlaps.first[s + 1]
            for j in range(first, first + num_own[s]):
                other = j + int(random.random() * (last - j))
                order[j], order[other] = order[other], order[j]
                rows[kept] = condition.own[order[j]]
                kept += 1
            for _ in range(last - first - num_own[s]):
                slots[num_rest] = overlaps.strata[s]
                num_rest += 1
        is_drawn, _, stamp = draw_entries(
            slots[:num_rest], pool, condition.group, last_set, stamp, entries, random
        )
        if is_drawn:
            for j in range(num_rest):
                rows[kept + j] = draw_row(entries[j], pool, random)
            drawn += 1
            reaching += statistic(rows, matrix) >= condition.observed - TIE
    return drawn, reaching


@compiled(fastmath=VECTORS)
def _draw_overlap(
    overlaps: OverlapArrays, num_own: NDArray[np.int64], random: np.random.Generator
) -> None:
    """Draw the number of own wells in each stratum, given that their total is a wanted one."""
    total = 0
    for s in range(num_own.shape[0]):
        rest = random.random() * overlaps.chance[s, total]
        for k in range(overlaps.first[s + 1] - overlaps.first[s] + 1):
            weight = overlaps.shares[s, k] * overlaps.chance[s + 1, total + k]
            if weight > 0.0:
                num_own[s] = k
            rest -= weight
            if rest < 0.0:
                break
        total += num_own[s]
