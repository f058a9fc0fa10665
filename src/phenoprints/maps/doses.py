"""From which concentration on a compound does something."""

# N wells · K components · G concentrations · S sets · n wells of a set · P wells of a pool

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.maps.aggregation import Floats, unit_rows
from phenoprints.maps.control_sets import (
    Comparison,
    Pool,
    SetDrawer,
    Statistic,
    permutation_tests,
)

KEYS = ["perturbation", "cell_type", "background"]


def dose_lengths(
    folds: Comparison | Iterable[Comparison],
    *,
    num_null: int = 1000,
    activity_p_value: float = 0.01,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how far each group's wells are from the controls of their plates, and test it.

    Parameters
    ----------
    folds
        A comparison of the groups' wells with each fold of the controls.
    num_null
        Sets drawn per fold; all sets are taken where there are at most so many.
    activity_p_value
        A group whose smallest possible p is not below this is not tested.

    Returns
    -------
    One row per group (G): length, null_length (the mean over sets), p_value, smallest_p, num_sets,
    num_compared and reason (`no_controls`, `too_few_sets`, or ""). A set takes as many wells as
    the group has from each stratum, out of the group's own wells and the controls held out there:
    without an effect all sets are equally likely to be the group's. The length of a set is that
    of the mean difference between its wells and the other wells of the pool in their strata, so
    it needs no origin, and offsets of plates cancel. Lengths and p-values are means over folds; p
    is exact where all sets are taken, else (b + 1)/(S + 1). Ties count.
    """
    drawer = SetDrawer(num_null, seed, "maps", "doses")
    table = permutation_tests(folds, _lengths, drawer, threshold=activity_p_value)
    return table.rename(columns={"value": "length", "null_value": "null_length"})


def _lengths(comparison: Comparison) -> Statistic:
    """Give the lengths of mean differences: |Σ z|² = Σ Σ z·z, the products serve all sets."""
    from phenoprints.maps.kernels import lengths_of_sums

    def prepare(pool: Pool) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
        z = contrasts(comparison.vectors[pool.rows].astype(np.float64), pool)
        return partial(lengths_of_sums, z @ z.T)

    return prepare


def contrasts(x: NDArray[np.float64], pool: Pool) -> NDArray[np.float64]:
    """Turn the wells (P, K) of a pool into vectors whose sum over a set is its mean difference.

    With m of the P wells of a stratum in a set of n, mean(set) - mean(others) =
    (mean(set) - mean(all)) · P/(P - m), which counts m/n.
    """
    parts, start = [], 0
    for size, taken in pool.sizes:
        own = x[start : start + size]
        parts.append((own - own.mean(axis=0)) * (size / (size - taken) / len(pool.own)))
        start += size
    return np.concatenate(parts)


def dose_response(
    table: pd.DataFrame, means: Floats, tested: pd.DataFrame, *, activity_p_value: float = 0.01
) -> pd.DataFrame:
    """Describe every compound and concentration: how far from the controls, and which way.

    Parameters
    ----------
    table, means
        Rows of level `concentration`, and the plain means (G, K) of their wells around the origin.
    tested
        `dose_lengths` of the same rows.

    Returns
    -------
    Columns perturbation, cell_type, background, concentration_um, num_wells, those of
    `dose_lengths`, is_active (p_value below `activity_p_value`), cosine_to_highest (with the mean
    at the highest concentration) and lowest_active_concentration_um: the lowest from which on
    every tested one is active, else NaN. Concentrations without a p-value are not tested.
    """
    result = table[[*KEYS, "concentration_um", "num_wells"]].reset_index(drop=True)
    result = pd.concat([result, tested.reset_index(drop=True)], axis=1)
    result["is_active"] = result["p_value"] < activity_p_value
    order = result.sort_values([*KEYS, "concentration_um"], kind="stable").index.to_numpy()
    unit = unit_rows(np.asarray(means, np.float64))[order]
    result = result.loc[order].reset_index(drop=True)
    highest = result.groupby(KEYS, sort=False)["num_wells"].transform(lambda s: s.index[-1])
    result["cosine_to_highest"] = np.einsum("gk,gk->g", unit, unit[highest.to_numpy()])
    result["lowest_active_concentration_um"] = np.nan
    for rows in result.groupby(KEYS, sort=False).indices.values():
        result.loc[rows, "lowest_active_concentration_um"] = _lowest_active(result.iloc[rows])
    return result


def _lowest_active(doses: pd.DataFrame) -> float:
    """Find it among the doses of one compound, from low to high."""
    tested = doses[doses["p_value"].notna()]
    inactive = np.flatnonzero(~tested["is_active"].to_numpy())
    first = inactive[-1] + 1 if len(inactive) else 0
    return float(tested["concentration_um"].iloc[first]) if first < len(tested) else float("nan")
