"""Which perturbations look like themselves and not like controls: mean average precision."""

# N wells · K components · P wells of a pool · U wells that are ranked · S sets · n wells of a set

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from phenoprints.foundations.compiling import compiled
from phenoprints.foundations.randomness import generator
from phenoprints.maps import unit_rows
from phenoprints.maps.control_sets import (
    Comparison,
    Pool,
    SetDrawer,
    group_values,
    permutation_tests,
)

MAX_WELLS = 500
"""Wells of a condition that are ranked, at most; callers draw them."""

DRAWN_PAIRS = 200_000_000
"""Pairs of wells in the drawn sets of a group, at most: large groups have fewer sets."""

MIN_SETS = 1000
"""Sets that are drawn for a group of any size."""

DECIMALS = 12
"""Cosines that agree to so many decimals are ties: those of equal vectors differ in later ones."""

COLUMNS = [
    "group", "num_wells", "mean_average_precision", "random", "p_value", "corrected_p_value",
    "is_active", "smallest_p", "num_sets", "num_compared", "reason",
]  # fmt: skip


def phenotypic_activity(
    folds: Comparison | Iterable[Comparison],
    *,
    negatives: str = "same-plate",
    num_null: int = 10_000,
    p_value: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the mean average precision of every group of wells against control wells.

    Each well of a group ranks the other wells of its group (positives) among controls (negatives)
    by cosine; the mean of its wells' average precisions is the group's.

    Parameters
    ----------
    folds
        A comparison of the groups' wells with each fold of the controls
        (`phenoprints.maps.control_sets`).
    negatives
        `same-plate`: the controls of the well's own stratum, the field's `neg_sameby` plate;
        `pooled`: all of them.
    num_null
        Sets of wells drawn per fold as the null; all sets are taken where there are at most so
        many. Groups of more than 141 wells have fewer (`DRAWN_PAIRS`).
    p_value
        Threshold of the corrected p-value.

    Returns
    -------
    One row per group: group, num_wells, mean_average_precision, random (its mean over null sets),
    p_value, corrected_p_value (Benjamini-Hochberg), is_active, smallest_p, num_sets, num_compared
    and reason. A null set takes as many wells as the group has from each stratum, out of the
    group's own wells and the controls there; the wells left over are its negatives. Without an
    effect the group's wells are exchangeable with the controls of their plates, so the test is
    exact whatever the offsets of plates, and accounts for wells of a group that share controls
    and positives. Values and p-values are means over folds. Reasons: `too_few_wells` (fewer than
    two usable), `no_controls` (fewer than two on plates with controls), `too_few_sets`.

    Equals copairs' average_precision in absence of ties, which here give their expectation; the
    null is another one. Source of the score: Kalinin et al. 2025,
    doi:10.1038/s41467-025-60306-2.
    """
    kept = [folds] if isinstance(folds, Comparison) else folds
    counts: list[NDArray[np.int32]] = []
    table = permutation_tests(
        (_counted(comparison, counts) for comparison in kept),
        partial(_Ranker, negatives=negatives),
        SetDrawer(num_null, seed, "benchmarks", "activity", num_of=_sets_of_size),
        threshold=p_value,
        min_wells=2,
    )
    table = table.rename(columns={"value": "mean_average_precision", "null_value": "random"})
    table["group"], table["num_wells"] = np.arange(len(table)), counts[0]
    table.loc[table["num_wells"] < 2, "reason"] = "too_few_wells"
    return _corrected(table, p_value)[COLUMNS]


def mean_average_precisions(
    comparison: Comparison, negatives: str = "same-plate"
) -> NDArray[np.float64]:
    """Compute the mean average precision (G,) of each group in one fold; NaN where it has none."""
    statistic = partial(_Ranker, negatives=negatives, only_own=True)
    return group_values(_with_directions(comparison), statistic, min_wells=2)


def _counted(comparison: Comparison, counts: list[NDArray[np.int32]]) -> Comparison:
    """Note how many usable wells each group has (G,), and leave out those without a direction."""
    result = _with_directions(comparison)
    number = np.bincount(result.group[result.group >= 0], minlength=result.num_groups)
    counts.append(number.astype(np.int32))
    return result


def _with_directions(comparison: Comparison) -> Comparison:
    """Leave out wells whose vector is 0 or not finite."""
    length = np.einsum("nk,nk->n", comparison.vectors, comparison.vectors, dtype=np.float64)
    usable = np.isfinite(length) & (length > 0)
    group = np.where(usable, comparison.group, -1)
    return replace(comparison, group=group, is_control=comparison.is_control & usable)


def _sets_of_size(num_wells: int) -> int:
    return max(MIN_SETS, DRAWN_PAIRS // num_wells**2)


class _Ranker:
    """Ranks the wells of pools: controls first, then the group's own (P = C + n).

    What pools with the same controls share, their cosines and ranks, is kept from one to the next.
    """

    def __init__(self, comparison: Comparison, negatives: str, only_own: bool = False) -> None:
        """Take the wells; `only_own` serves no sets but the groups' own wells, and is faster."""
        self._only_own = only_own
        self._vectors, self._is_pooled = comparison.vectors, negatives == "pooled"
        self._all_controls = np.flatnonzero(comparison.is_control)
        if self._is_pooled:
            self._of_all_controls = self._directions(self._all_controls)
        self._harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, 2 + len(self._vectors))))
        self._rows = np.zeros(0, np.int64)
        self._kept: tuple[_Counts, NDArray[np.float64]] | None = None

    def __call__(self, pool: Pool) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
        own = np.zeros(len(pool.rows), bool)
        own[pool.own] = True
        order = np.argsort(own, kind="stable")
        position = np.argsort(order)
        number = np.repeat(np.arange(len(pool.sizes)), [size for size, _ in pool.sizes])[order]
        mates = np.ones((len(number),) * 2, bool)
        if not self._is_pooled:
            mates = number[:, None] == number
        num_controls = len(order) - len(pool.own)
        if self._only_own:
            counts = self._counts_of_own(pool.rows[order], num_controls, mates)
            position, mates = position - num_controls, mates[num_controls:, num_controls:]
        else:
            counts = self._counts(pool.rows[order], num_controls, mates)
        return lambda sets: _mean_precisions(position[sets], *counts, mates, self._harmonic)

    def _counts(
        self, rows: NDArray[np.int64], num_controls: int, mates: NDArray[np.bool_]
    ) -> _Counts:
        controls, own = rows[:num_controls], rows[num_controls:]
        if self._kept is None or not np.array_equal(controls, self._rows):
            cosines = self._cosines(controls, controls)
            ranked = self._ranked(controls, controls, cosines, mates[:num_controls, :num_controls])
            self._rows, self._kept = controls, (_count(cosines, ranked), ranked)
        among, ranked = self._kept
        cosines = self._cosines(own, rows)
        to_controls = cosines[:, :num_controls]
        to_own = _count(np.ascontiguousarray(to_controls.T), ranked)
        mates_of_own = mates[num_controls:, :num_controls]
        of_own = _count(cosines, self._ranked(own, controls, to_controls, mates_of_own))
        parts = zip(among, to_own, of_own, strict=True)
        whole = _Counts(*(np.concatenate([np.concatenate([a, b], axis=1), c]) for a, b, c in parts))
        _count_own(*whole, mates, num_controls)
        return whole

    def _counts_of_own(
        self, rows: NDArray[np.int64], num_controls: int, mates: NDArray[np.bool_]
    ) -> _Counts:
        """Count for the group's own wells alone (n, n)."""
        controls, own = rows[:num_controls], rows[num_controls:]
        cosines = self._cosines(own, rows)
        to_controls, to_own = np.split(cosines, [num_controls], axis=1)
        mates_of_own, among_own = np.split(mates[num_controls:], [num_controls], axis=1)
        ranked = self._ranked(own, controls, to_controls, mates_of_own)
        counts = _count(np.ascontiguousarray(to_own), ranked)
        _count_own(*counts, np.ascontiguousarray(among_own), 0)
        return counts

    def _directions(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(unit_rows(self._vectors[rows].astype(np.float64)), np.float64)

    def _cosines(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.float64]:
        return _products(self._directions(x), self._directions(y))

    def _ranked(
        self,
        rows: NDArray[np.int64],
        controls: NDArray[np.int64],
        cosines: NDArray[np.float64],
        mates: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Sort the cosines of rows to their negatives; -inf to itself and to no negative."""
        if self._is_pooled:
            controls = self._all_controls
            values = _products(self._directions(rows), self._of_all_controls)
        else:
            values = np.where(mates, cosines, -np.inf)
        values[rows[:, None] == controls] = -np.inf
        values.sort(axis=1)
        return values


def _products(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    cosines: NDArray[np.float64] = (x @ y.T).round(DECIMALS)
    return cosines


class _Counts(NamedTuple):
    """Cosines of wells (P, P), and how many negatives of the first are nearer and as near to it."""

    cosines: NDArray[np.float64]
    above: NDArray[np.int64]
    equal: NDArray[np.int64]


@compiled()
def _bisections(
    cosines: NDArray[np.float64], ranked: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    above = np.empty(cosines.shape, np.int64)
    equal = np.empty(cosines.shape, np.int64)
    for i in range(cosines.shape[0]):
        right = np.searchsorted(ranked[i], cosines[i], side="right")
        above[i] = ranked.shape[1] - right
        equal[i] = right - np.searchsorted(ranked[i], cosines[i], side="left")
    return above, equal


def _count(cosines: NDArray[np.float64], ranked: NDArray[np.float64]) -> _Counts:
    """Count the controls among the negatives of each row: `ranked` (P, U), ascending."""
    return _Counts(cosines, *_bisections(cosines, ranked))


@compiled()
def _count_own(
    cosines: NDArray[np.float64],
    above: NDArray[np.int64],
    equal: NDArray[np.int64],
    mates: NDArray[np.bool_],
    num_controls: int,
) -> None:
    """Count a group's own wells too, which are negatives of sets that leave them out."""
    for i in range(len(cosines)):
        for own in range(num_controls, len(cosines)):
            if own == i or not mates[i, own]:
                continue
            for j in range(len(cosines)):
                if cosines[i, own] > cosines[i, j]:
                    above[i, j] += 1
                elif cosines[i, own] == cosines[i, j]:
                    equal[i, j] += 1


@compiled()
def _mean_precisions(
    sets: NDArray[np.int64],
    cosines: NDArray[np.float64],
    above: NDArray[np.int64],
    equal: NDArray[np.int64],
    mates: NDArray[np.bool_],
    harmonic: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Compute the mean average precision of every set (S, n), with the expectation over ties.

    Negatives of a well are its mates outside of the set. Blocks of tied items add what
    `average_precision` states: with r positives and q negatives as near, p positives and k items
    nearer, t = r + q and H = Σ 1/(k + j), (r/t)·[(p + 1)·H + (r - 1)/(t - 1)·(t - (k + 1)·H)].
    """
    num, n = sets.shape
    values = np.empty(num)
    others = np.empty(n - 1, np.int64)
    for row in range(num):
        total = 0.0
        for a in range(n):
            i = sets[row, a]
            _nearest_first(sets[row], a, cosines[i], others)
            first, nearer_mates = 0, 0
            while first < n - 1:
                j = others[first]
                last, tied_mates = first, 0
                while last < n - 1 and cosines[i, others[last]] == cosines[i, j]:
                    tied_mates += mates[i, others[last]]
                    last += 1
                r = last - first
                t = r + equal[i, j] - tied_mates
                k = first + above[i, j] - nearer_mates
                h = harmonic[k + t] - harmonic[k]
                part = (first + 1) * h
                if r > 1:
                    part += (r - 1) / (t - 1) * (t - (k + 1) * h)
                total += r / t * part
                first, nearer_mates = last, nearer_mates + tied_mates
        values[row] = total / (n * (n - 1))
    return values


@compiled()
def _nearest_first(
    members: NDArray[np.int64], skip: int, cosines: NDArray[np.float64], others: NDArray[np.int64]
) -> None:
    """Fill `others` with the members of a set, without the one at `skip`, nearest first."""
    count = 0
    for b in range(len(members)):
        if b == skip:
            continue
        j, at = members[b], count
        while at > 0 and cosines[others[at - 1]] < cosines[j]:
            others[at] = others[at - 1]
            at -= 1
        others[at] = j
        count += 1


def random_activity(
    num_groups: int, *, num_null: int, p_value: float, num_random: int, seed: int
) -> tuple[float, float]:
    """Mean and sd, over draws, of the share of groups active when all rankings are random."""
    rng = generator(seed, "benchmarks", "activity", "random")
    shares = [
        float((false_discovery_control(draw / (num_null + 1)) < p_value).mean())
        for draw in rng.integers(1, num_null + 2, (num_random, num_groups))
    ]
    return float(np.mean(shares)), float(np.std(shares))


def _corrected(table: pd.DataFrame, p_value: float) -> pd.DataFrame:
    table["corrected_p_value"] = np.nan
    tested = table["p_value"].notna().to_numpy()
    if tested.any():
        p = table.loc[tested, "p_value"].to_numpy(np.float64)
        table.loc[tested, "corrected_p_value"] = false_discovery_control(p)
    table["is_active"] = table["corrected_p_value"] < p_value
    return table
