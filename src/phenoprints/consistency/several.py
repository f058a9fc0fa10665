"""The consistency test of one table of wells over several experiments."""

# N wells

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from phenoprints.consistency.cauchy import combine_cauchy
from phenoprints.consistency.design import Design
from phenoprints.consistency.experiment import experiment_consistency
from phenoprints.foundations.errors import DataError
from phenoprints.wells import experiment_rows


def floor_clip(num_null: int) -> tuple[float, float]:
    """Return the range of p-values that `num_null` null sets resolve: a 1 would force a 1."""
    return 1.0 / num_null, 1.0 - 1.0 / num_null


def condition_consistency(
    x: ArrayLike,
    condition: ArrayLike,
    experiment: ArrayLike,
    *,
    plate: ArrayLike | None = None,
    num_null: int = 10_000,
    **options: Any,
) -> pd.DataFrame:
    """Test every condition in each of its experiments and combine the p-values.

    Parameters
    ----------
    x : (N, D) float
        Aligned embeddings, wells in rows.
    condition, experiment : (N,)
        Condition of each well (missing: only drawn from), and its experiment.
    plate : (N,), optional
        Plate of each well; the default null model needs it.
    num_null : int
        Null sets K; p-values are clipped to [1/K, 1 - 1/K] before they are combined.
    options
        `null_model`, `p_value_formula`, `threshold` and `seed` of `experiment_consistency`.

    Returns
    -------
    DataFrame
        condition, num_experiments (with a p-value), num_wells, p_value (Cauchy's combination with
        equal weights, NaN without any) and smallest_p_value; a row per condition, sorted.

    Raises
    ------
    DataError
        Arrays of different lengths, a well without an experiment, or what
        `experiment_consistency` refuses.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(24, 8))
    >>> condition, experiment = np.tile(list("abc"), 8), np.repeat(["e1", "e2"], 12)
    >>> table = condition_consistency(x, condition, experiment, null_model="experiment")
    >>> table["num_experiments"].tolist()
    [2, 2, 2]
    """
    matrix = np.asarray(x)
    columns = {"condition": condition, "experiment": experiment}
    wells = pd.DataFrame({name: pd.array(np.asarray(value)) for name, value in columns.items()})
    if matrix.ndim != 2 or len(matrix) != len(wells) or wells["experiment"].isna().any():
        raise DataError(
            f"x has shape {matrix.shape} for {len(wells)} conditions. Expected one row, one "
            "condition and one experiment per well."
        )
    parts = []
    for name, rows in experiment_rows(wells).items():
        own_plate = None if plate is None else np.asarray(plate)[rows]
        design = Design(name, plate=own_plate)
        labels = wells["condition"].to_numpy(dtype=object)[rows]
        parts.append(
            experiment_consistency(matrix[rows], labels, design, num_null=num_null, **options)
        )
    tests = pd.concat(parts).groupby("condition", sort=True)
    bounds = floor_clip(num_null)
    return pd.DataFrame(
        {
            "num_experiments": tests["p_value"].count(),
            "num_wells": tests["num_wells"].sum(),
            "p_value": tests["p_value"].agg(lambda p: float(combine_cauchy(p, clip=bounds))),
            "smallest_p_value": tests["p_value"].min(),
        }
    ).reset_index()
