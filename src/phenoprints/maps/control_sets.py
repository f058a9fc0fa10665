"""Comparisons of wells with controls that their map was fitted without, and sets of such wells."""

# N wells · K components · P wells of a pool · n wells of a group

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import comb, prod
from tempfile import TemporaryFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment import CrossFittedReader
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import generator
from phenoprints.maps.aggregation import Floats
from phenoprints.wells import experiment_rows


@dataclass(frozen=True)
class Comparison:
    """Wells of groups and controls, all under one map that was fitted without these controls.

    Attributes
    ----------
    vectors
        (N, K); rows that are not finite take no part.
    group
        (N,) the number of each well's group from 0; -1 for controls and for none.
    is_control
        (N,).
    stratum
        (N,) wells with one number are exchangeable where nothing has an effect: those of one
        experiment and plate, or of one experiment.
    num_groups
        One more than the largest number of a group, with wells or without.
    """

    vectors: Floats
    group: NDArray[np.int64]
    is_control: NDArray[np.bool_]
    stratum: NDArray[np.int64]
    num_groups: int


def compare(
    vectors: Floats,
    group: NDArray[np.integer],
    controls: Floats,
    *,
    stratum: NDArray[np.integer] | None = None,
    control_stratum: NDArray[np.integer] | None = None,
) -> Comparison:
    """Put wells (N, K) and controls (M, K) of one map side by side.

    The map must have been fitted without these controls: wells that a map was fitted on are not
    comparable with others. Without strata all wells share one.
    """
    n, m = len(vectors), len(controls)
    first = np.zeros(n, np.int64) if stratum is None else np.asarray(stratum)
    second = np.zeros(m, np.int64) if control_stratum is None else np.asarray(control_stratum)
    return Comparison(
        np.concatenate([np.asarray(vectors), np.asarray(controls)]),
        np.concatenate([np.asarray(group, np.int64), np.full(m, -1)]),
        np.arange(n + m) >= n,
        np.concatenate([first, second]).astype(np.int64),
        int(np.max(group, initial=-1)) + 1,
    )


def strata(wells: pd.DataFrame, null_model: str = "plate-matched") -> NDArray[np.int64]:
    """Assign a stratum to each well (N,): experiment and plate, or experiment alone."""
    keys = ["experiment", "plate"] if null_model == "plate-matched" else ["experiment"]
    return np.asarray(wells.groupby(keys, sort=True).ngroup(), np.int64)


def comparisons(
    wells: pd.DataFrame,
    reader: CrossFittedReader,
    group: NDArray[np.integer],
    *,
    stratum: NDArray[np.integer],
    is_usable: NDArray[np.bool_],
) -> Iterator[Comparison]:
    """Yield a comparison for each fold of a screen, with the usable wells of groups and controls.

    `group` and `stratum` have an entry per row of `wells`. The vectors of a fold are in a temporary
    file (`TMPDIR`, wells × components × 4 bytes). Raises DataError where the alignment was fitted
    without folds.
    """
    if not reader.num_folds:
        raise DataError(
            "comparison with controls: the alignment was fitted on all of them "
            "(alignment.folds: 0), and such controls are not comparable with other wells.\n"
            "  To fix: set alignment.folds: 4 (or any number from 2), and run again."
        )
    for fold in range(reader.num_folds):
        yield _comparison(wells, reader, fold, group, stratum, is_usable)


def _comparison(
    wells: pd.DataFrame,
    reader: CrossFittedReader,
    fold: int,
    group: NDArray[np.integer],
    stratum: NDArray[np.integer],
    is_usable: NDArray[np.bool_],
) -> Comparison:
    """Gather one fold; its vectors are kept in a temporary file, one experiment in memory."""
    rows, is_control, width = [], [], 0
    with TemporaryFile() as spool:
        for experiment, index in experiment_rows(wells).items():
            held = reader.read_held_out(experiment, fold)
            chosen = (held.is_control | (group[index] >= 0)) & is_usable[index]
            rows.append(index[chosen])
            is_control.append(held.is_control[chosen])
            held.vectors[chosen].astype(np.float32, copy=False).tofile(spool)
            width = held.vectors.shape[1]
        spool.flush()
        kept, of_fold = np.concatenate(rows), np.concatenate(is_control)
        vectors: Floats = np.empty((0, width), np.float32)
        if len(kept):
            vectors = np.memmap(spool, np.float32, "r", shape=(len(kept), width))
    return Comparison(
        vectors,
        np.where(of_fold, -1, group[kept]).astype(np.int64),
        of_fold,
        stratum[kept].astype(np.int64),
        int(np.max(group, initial=-1)) + 1,
    )


@dataclass(frozen=True)
class Pool:
    """The wells that a group's sets are made of: for each stratum its controls, then its own.

    Attributes
    ----------
    number
        The group.
    rows
        (P,) rows of the comparison, stratum by stratum.
    own
        (n,) positions in `rows` of the group's own wells.
    sizes
        For each stratum the wells in the pool and how many of them a set takes.
    """

    number: int
    rows: NDArray[np.int64]
    own: NDArray[np.int64]
    sizes: tuple[tuple[int, int], ...]

    @property
    def num_sets(self) -> int:
        """The distinct sets, the group's own wells included."""
        return prod(comb(size, taken) for size, taken in self.sizes)


def pools(comparison: Comparison, *, min_controls: int = 1) -> Iterator[Pool]:
    """Yield the pool of every group with a well in a stratum of at least `min_controls` controls.

    Wells of other strata cannot be compared and are left out. Groups come in the order of their
    strata, so that what depends on the controls alone can be kept from one to the next.
    """
    usable = _usable(comparison)
    controls = _rows_by(comparison.stratum, usable & comparison.is_control)
    own = _rows_by(comparison.group, usable & ~comparison.is_control)
    found = []
    for number, rows in own.items():
        by_stratum = _rows_by(comparison.stratum[rows], np.ones(len(rows), bool))
        parts = [
            (stratum, rows[members])
            for stratum, members in sorted(by_stratum.items())
            if len(controls.get(stratum, ())) >= min_controls
        ]
        if parts:
            found.append((tuple(stratum for stratum, _ in parts), number, parts))
    for _, number, parts in sorted(found, key=lambda item: item[:2]):
        yield _pool(number, [(controls[stratum], rows) for stratum, rows in parts])


def _usable(comparison: Comparison) -> NDArray[np.bool_]:
    """Whether each well (N,) takes part: of a group or a control, with a finite vector."""
    finite = np.isfinite(np.einsum("nk->n", comparison.vectors, dtype=np.float64))
    usable: NDArray[np.bool_] = finite & (comparison.is_control | (comparison.group >= 0))
    return usable


def _pool(number: int, parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Pool:
    rows = np.concatenate([np.concatenate(pair) for pair in parts])
    is_own = np.concatenate([np.repeat([False, True], [len(c), len(o)]) for c, o in parts])
    sizes = tuple((len(c) + len(o), len(o)) for c, o in parts)
    return Pool(number, rows, np.flatnonzero(is_own), sizes)


def _rows_by(code: NDArray[np.int64], chosen: NDArray[np.bool_]) -> Mapping[int, NDArray[np.int64]]:
    """Return the chosen rows of every code, in their order."""
    rows = np.flatnonzero(chosen)
    order = rows[np.argsort(code[rows], kind="stable")]
    codes, starts = np.unique(code[order], return_index=True)
    return dict(zip(codes.tolist(), np.split(order, starts[1:]), strict=True))


@dataclass(frozen=True)
class Sets:
    """Sets of wells of a pool: positions (S, n), and whether these are all sets that exist."""

    positions: NDArray[np.int64]
    are_all: bool

    def p_value(self, values: NDArray[np.float64], own: float) -> float:
        """Return the share of sets whose value (S,) is at least that of the group's own wells.

        The own wells are a set like any other: they are among all sets, and are added to drawn
        ones, (b + 1)/(S + 1). Values within 1e-9 (relative to 1 or to the own) count as ties.
        """
        tolerance = 1e-9 * max(1.0, abs(own))
        reached = int((values >= own - tolerance).sum())
        return reached / len(values) if self.are_all else (reached + 1) / (len(values) + 1)


class SetDrawer:
    """Draws sets that copy a pool's numbers of wells per stratum; equal designs share draws.

    All sets are taken where there are at most `num_null`. The random stream is keyed by (seed,
    `stage`, the numbers), so it depends neither on the order of groups nor on their number.
    """

    def __init__(
        self, num_null: int, seed: int, *stage: str, num_of: Callable[[int], int] | None = None
    ) -> None:
        """Key the draws; `num_of` gives the sets to draw for a number of wells, at most."""
        self._num_null, self._seed, self._stage, self._num_of = num_null, seed, stage, num_of
        self._last: tuple[object, Sets] | None = None

    def sets(self, pool: Pool) -> Sets:
        """Return the sets of a pool."""
        if self._last is None or self._last[0] != pool.sizes:
            num = self._num_null
            if self._num_of is not None:
                num = min(num, self._num_of(len(pool.own)))
            self._last = (pool.sizes, self._make(pool, num))
        return self._last[1]

    def _make(self, pool: Pool, num: int) -> Sets:
        if pool.num_sets <= num:
            return Sets(all_sets(pool.sizes), True)
        rng = generator(self._seed, *self._stage, [list(pair) for pair in pool.sizes])
        return Sets(drawn_sets(pool.sizes, num, rng), False)


def all_sets(sizes: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Every set (S, n) that takes the wanted number of each stratum's positions."""
    parts, start = [], 0
    for size, taken in sizes:
        parts.append(list(combinations(range(start, start + size), taken)))
        start += size
    return np.array([sum(choice, ()) for choice in product(*parts)], np.int64)


def drawn_sets(
    sizes: Iterable[tuple[int, int]], num: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw sets (num, n): of each stratum distinct positions, all subsets equally likely."""
    from phenoprints.maps.kernels import distinct

    parts, start = [], 0
    for size, taken in sizes:
        parts.append(distinct(rng.random((num, taken)), size) + start)
        start += size
    return np.concatenate(parts, axis=1)


Statistic = Callable[[Pool], Callable[[NDArray[np.int64]], NDArray[np.float64]]]
"""Prepares a pool, and gives what computes the values (S,) of sets of positions (S, n) in it."""


def permutation_tests(
    folds: Comparison | Iterable[Comparison],
    statistic: Callable[[Comparison], Statistic],
    drawer: SetDrawer,
    *,
    threshold: float,
    min_wells: int = 1,
) -> pd.DataFrame:
    """Compare a statistic of every group's wells with that of sets from the same strata.

    Groups without `min_wells` wells in strata with controls have `no_controls`.

    Returns
    -------
    The table of `Folds`, a row per group. Raises DataError where a fold has no usable control.
    """
    results = Folds(0)
    for comparison in [folds] if isinstance(folds, Comparison) else folds:
        require_controls(comparison)
        if not results.num_groups:
            results = Folds(comparison.num_groups)
        prepare = statistic(comparison)
        for pool in pools(comparison):
            if len(pool.own) < min_wells:
                continue
            value_of, sets = prepare(pool), drawer.sets(pool)
            results.add(pool, sets, value_of(sets.positions), float(value_of(pool.own[None])[0]))
    return results.table(threshold)


def group_values(
    comparison: Comparison, statistic: Callable[[Comparison], Statistic], *, min_wells: int = 1
) -> NDArray[np.float64]:
    """Compute the statistic (G,) of every group's wells alone; NaN for groups without controls."""
    values = np.full(comparison.num_groups, np.nan)
    prepare = statistic(comparison)
    for pool in pools(comparison):
        if len(pool.own) >= min_wells:
            values[pool.number] = prepare(pool)(pool.own[None])[0]
    return values


def relabelled(comparison: Comparison, rng: np.random.Generator) -> Comparison:
    """Exchange the vectors of the usable wells, of groups and controls alike, within each stratum.

    What remains is a comparison in which no group has an effect, with the same design and offsets.
    """
    vectors = np.array(comparison.vectors)
    for rows in _rows_by(comparison.stratum, _usable(comparison)).values():
        vectors[rows] = comparison.vectors[rng.permutation(rows)]
    return replace(comparison, vectors=vectors)


def some_groups(comparison: Comparison, groups: NDArray[np.integer]) -> Comparison:
    """Return a comparison of the controls and some groups, which keep their numbers."""
    kept = np.flatnonzero(comparison.is_control | np.isin(comparison.group, groups))
    return Comparison(
        comparison.vectors[kept],
        comparison.group[kept],
        comparison.is_control[kept],
        comparison.stratum[kept],
        comparison.num_groups,
    )


class Folds:
    """Collects the tests of groups (G,) in folds, and combines them."""

    def __init__(self, num_groups: int) -> None:
        self.num_groups = num_groups
        self._tests: list[tuple[int, float, float, float, float]] = []
        self._num_sets = np.full(num_groups, np.inf)
        self._num_compared = np.zeros(num_groups, np.int32)

    def add(self, pool: Pool, sets: Sets, values: NDArray[np.float64], own: float) -> None:
        """Add a group's test in one fold: the values (S,) of the sets and of its own wells."""
        at, total = pool.number, min(len(values) + (not sets.are_all), pool.num_sets)
        p = min(sets.p_value(values, own), 1 - 1 / max(total, 2))
        self._tests.append((at, own, float(values.mean()), p, 1 / total))
        self._num_sets[at] = min(self._num_sets[at], float(pool.num_sets))
        self._num_compared[at] = max(self._num_compared[at], len(pool.own))

    def table(self, threshold: float) -> pd.DataFrame:
        """Return a row per group, over the folds that could compare it; NaN where none could.

        Columns: value and null_value (mean over sets), means over folds; p_value and smallest_p
        (what it would be if no other set reached the group's own), Cauchy combinations over folds
        (p of 1 as 1 - 1/S); num_sets (distinct ones, of the fold with fewest, at most 1e15);
        num_compared (wells in strata with controls, of the fold with most); reason: `no_controls`,
        `too_few_sets` where `smallest_p` is not below the threshold, which has no p_value, or "".
        """
        names = ["group", "value", "null_value", "p_value", "smallest_p"]
        tests = pd.DataFrame(self._tests, columns=names).groupby("group")
        everyone = np.arange(self.num_groups)
        table = tests[["value", "null_value"]].mean().reindex(everyone)
        for name in ("p_value", "smallest_p"):
            table[name] = tests[name].agg(_combined).reindex(everyone).astype(float)
        is_compared = table["value"].notna()
        is_testable = table["smallest_p"] < threshold
        table["p_value"] = table["p_value"].where(is_testable)
        table["num_sets"] = np.where(is_compared, self._num_sets, 0.0).clip(max=1e15)
        table["num_compared"] = self._num_compared
        reasons = np.select([~is_compared, ~is_testable], ["no_controls", "too_few_sets"], "")
        return table.assign(reason=reasons.astype(object))


def _combined(p: pd.Series) -> float:
    from phenoprints.consistency import combine_cauchy  # loads numba

    return float(combine_cauchy(p.to_numpy(np.float64)))


def require_controls(comparison: Comparison) -> None:
    """Raise DataError where a comparison holds no control with a finite vector."""
    rows = np.flatnonzero(comparison.is_control)
    if not np.isfinite(comparison.vectors[rows]).all(axis=1).any():
        raise DataError(
            "comparison with controls: no control well has a usable embedding.\n"
            "  To fix: name controls with usable images in the screen's column `role`."
        )
