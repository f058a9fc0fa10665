"""The energy distance of wells from the controls of their own plates, without bias by plates."""

# N wells · K components · G perturbations · n wells of a perturbation · S strata

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.benchmarks.magnitude import MIN_WELLS, distances, energy_distances
from phenoprints.foundations.randomness import generator
from phenoprints.maps.control_sets import Comparison, Pool, pools, require_controls

MAX_STRATA = 64
"""Plates of a perturbation whose wells are compared, at most; of more, some are drawn."""


def cross_fitted_energy(
    folds: Comparison | Iterable[Comparison],
    *,
    min_wells: int = MIN_WELLS,
    max_controls: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the energy distance of every group from controls that its map was fitted without.

    Returns
    -------
    One row per group, means over folds: group, num_wells, energy_distance (the V-statistic
    against at most `max_controls` controls of the fold, drawn) and unbiased (`matched_energy`).
    NaN for groups with fewer than `min_wells` finite wells.
    """
    tables = []
    for fold, comparison in enumerate([folds] if isinstance(folds, Comparison) else folds):
        require_controls(comparison)
        controls = np.flatnonzero(comparison.is_control)
        rng = generator(seed, "benchmarks", "magnitude", fold)
        drawn = np.sort(rng.permutation(controls)[:max_controls])
        table = energy_distances(
            comparison.vectors, comparison.group, comparison.vectors[drawn], min_wells=min_wells
        )
        table = table.reindex(np.arange(comparison.num_groups))
        matched = matched_energy(comparison, min_wells=min_wells, seed=seed)
        tables.append(table.assign(group=table.index, unbiased=matched))
    whole = (
        pd.concat(tables)
        .groupby("group", as_index=False)[["num_wells", "energy_distance", "unbiased"]]
        .mean()
    )
    return whole.assign(num_wells=whole["num_wells"].fillna(0).astype(np.int32))


def matched_energy(
    comparison: Comparison, *, min_wells: int = MIN_WELLS, seed: int = 0
) -> NDArray[np.float64]:
    """Compute the unbiased energy distance (G,) of every group from the controls of its strata.

    The mean over pairs of different wells x and x' of the group, in strata p and q, of
    d(x, y') + d(x', y) - d(x, x') - d(y, y'), where d is the distance, means are over different
    controls y of p and y' of q. All four terms have one distribution where the wells differ from
    the controls of their plates in nothing, so that the expectation is 0 whatever the offsets and
    the spread of plates, and whatever the number of wells. With one stratum this is the
    U-statistic of `energy_distance`. Wells in strata with fewer than two controls are left out;
    NaN with fewer than `min_wells` wells left.

    Source of the statistic: Székely & Rizzo 2013, doi:10.1016/j.jspi.2013.03.018.
    """
    values = np.full(comparison.num_groups, np.nan)
    among: dict[tuple[int, int], float] = {}
    for pool in pools(comparison, min_controls=2):
        parts = _parts(comparison, pool, seed)
        if sum(len(own) for _, _, own in parts) >= max(min_wells, 2):
            values[pool.number] = _matched(comparison.vectors, parts, among)
    return values


Part = tuple[int, NDArray[np.int64], NDArray[np.int64]]
"""A stratum, the rows of its controls and those of the group's own wells."""


def _parts(comparison: Comparison, pool: Pool, seed: int) -> list[Part]:
    parts, start = [], 0
    for size, taken in pool.sizes:
        rows = pool.rows[start : start + size]
        parts.append((int(comparison.stratum[rows[0]]), rows[:-taken], rows[-taken:]))
        start += size
    if len(parts) > MAX_STRATA:
        rng = generator(seed, "benchmarks", "magnitude", "strata", len(parts))
        parts = [parts[k] for k in np.sort(rng.permutation(len(parts))[:MAX_STRATA])]
    return parts


def _matched(
    vectors: NDArray[np.floating], parts: list[Part], among: dict[tuple[int, int], float]
) -> float:
    """Return the statistic of one group; `among` keeps the mean distances between controls of
    strata.
    """
    x = vectors[np.concatenate([own for _, _, own in parts])]
    counts = np.array([len(own) for _, _, own in parts])
    n, of_well = len(x), np.repeat(np.arange(len(parts)), counts)
    to_controls = np.column_stack(
        [distances(x, vectors[controls]).mean(axis=1) for _, controls, _ in parts]
    )
    cross = (to_controls @ counts).sum() - to_controls[np.arange(n), of_well].sum()
    between = np.array([[_among(vectors, a, b, among) for b in parts] for a in parts])
    controls = counts @ between @ counts - between.diagonal() @ counts
    return float(2 * cross - distances(x, x, is_same=True).sum() - controls) / (n * (n - 1))


def _among(
    vectors: NDArray[np.floating], a: Part, b: Part, known: dict[tuple[int, int], float]
) -> float:
    """Return the mean distance between different controls of two strata."""
    key = (min(a[0], b[0]), max(a[0], b[0]))
    if key not in known:
        is_same = a[0] == b[0]
        total = distances(vectors[a[1]], vectors[b[1]], is_same=is_same).sum()
        pairs = len(a[1]) * (len(b[1]) - is_same)
        known[key] = float(total) / pairs
    return known[key]
