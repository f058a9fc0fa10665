"""From which concentration on a compound does something."""

# N wells · K components · G concentrations

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator
from phenoprints.maps.aggregation import Floats, unit_rows

MAX_CONTROLS = 1000
"""Control wells that the null is drawn from, at most."""


def null_lengths(
    controls: Floats, num_wells: int, *, num_null: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """The lengths (num_null, num_wells) of the means of 1 … num_wells random control wells.

    Each draw is a random order of the controls (N, K), whose prefixes serve every number of wells
    at once; columns beyond the number of controls are NaN.
    """
    rng = generator(seed, "maps", "doses")
    lengths = np.full((num_null, num_wells), np.nan)
    largest = min(num_wells, len(controls))
    sizes = np.arange(1, largest + 1)
    for draw in range(num_null):
        chosen = controls[rng.permutation(len(controls))[:largest]].astype(np.float64)
        means = np.cumsum(chosen, axis=0) / sizes[:, None]
        lengths[draw, :largest] = np.linalg.norm(means, axis=1)
    return lengths


def dose_response(
    table: pd.DataFrame,
    means: Floats,
    nulls: NDArray[np.float64],
    *,
    activity_p_value: float = 0.01,
) -> pd.DataFrame:
    """One row per compound and concentration: how far from the controls, and in what direction.

    Parameters
    ----------
    table, means
        Rows of level `concentration` and the plain means (G, K) of their wells around the origin.
    nulls
        `null_lengths` of at least as many wells as the largest `num_wells`.

    Returns
    -------
    Columns perturbation, cell_type, background, concentration_um, num_wells, length (of the mean),
    p_value (max(#{null >= length}, 1) / K for as many control wells), is_active,
    cosine_to_highest (with the mean at the highest concentration) and
    lowest_active_concentration_um: the lowest from which on every tested one is active, else NaN.
    """
    keys = ["perturbation", "cell_type", "background"]
    result = table[[*keys, "concentration_um", "num_wells"]].copy()
    result["length"] = np.linalg.norm(means, axis=1)
    result["p_value"] = [
        _p_value(length, size, nulls)
        for length, size in zip(result["length"], result["num_wells"], strict=True)
    ]
    result["is_active"] = result["p_value"] < activity_p_value
    order = result.sort_values([*keys, "concentration_um"], kind="stable").index
    position = {index: row for row, index in enumerate(table.index)}
    unit = unit_rows(np.asarray(means, np.float64))[[position[index] for index in order]]
    result = result.loc[order].reset_index(drop=True)
    highest = result.groupby(keys, sort=False)["num_wells"].transform(lambda s: s.index[-1])
    result["cosine_to_highest"] = np.einsum("gk,gk->g", unit, unit[highest.to_numpy()])
    result["lowest_active_concentration_um"] = np.nan
    for rows in result.groupby(keys, sort=False).indices.values():
        result.loc[rows, "lowest_active_concentration_um"] = _lowest_active(result.iloc[rows])
    return result


def _p_value(length: float, size: int, nulls: NDArray[np.float64]) -> float:
    if not 1 <= size <= nulls.shape[1] or not np.isfinite(length) or np.isnan(nulls[0, size - 1]):
        return float("nan")
    return max(int((nulls[:, size - 1] >= length).sum()), 1) / len(nulls)


def _lowest_active(doses: pd.DataFrame) -> float:
    """Doses of one compound, from low to high."""
    inactive = np.flatnonzero(~doses["is_active"].to_numpy())
    first = inactive[-1] + 1 if len(inactive) else 0
    return float(doses["concentration_um"].iloc[first]) if first < len(doses) else float("nan")
