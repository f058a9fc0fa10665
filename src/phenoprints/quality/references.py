"""What is usual on a plate: medians and robust spreads of its control sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.wells import CONTROL_ROLES

MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Reference:
    """Medians and spreads (sites, M) of M metrics that each site is compared with; NaN: none."""

    median: NDArray[np.float64]
    spread: NDArray[np.float64]


def reference(
    values: NDArray[np.float64], sites: pd.DataFrame, *, min_controls: int, floor: float
) -> Reference:
    """Return the reference of each site, from the nearest group that has enough sites.

    Parameters
    ----------
    values
        (sites, M); NaN are left out.
    sites
        Columns experiment, plate, role, one row for each row of `values`.
    min_controls
        Sites that a group needs. Groups are tried in this order: the plate's controls, the
        experiment's controls, all sites of the plate, all sites of the experiment.
    floor
        The least spread (1.4826 times the median absolute deviation).
    """
    median = np.full(values.shape, np.nan)
    spread = np.full(values.shape, np.nan)
    is_control = sites["role"].isin(CONTROL_ROLES).to_numpy()
    for keys, is_eligible in (
        (["experiment"], np.ones(len(sites), bool)),
        (["experiment", "plate"], np.ones(len(sites), bool)),
        (["experiment"], is_control),
        (["experiment", "plate"], is_control),
    ):
        for indices in sites.groupby(keys, sort=False).indices.values():
            rows = np.asarray(indices, dtype=np.intp)
            pool = rows[is_eligible[rows]]
            _fill(values, rows, pool, min_controls, floor, median, spread)
    return Reference(median, spread)


def _fill(
    values: NDArray[np.float64],
    rows: NDArray[np.intp],
    pool: NDArray[np.intp],
    min_controls: int,
    floor: float,
    median: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> None:
    """Set the reference of `rows` from `pool`, for the metrics that have enough values there."""
    counts = np.isfinite(values[pool]).sum(axis=0)
    enough = np.flatnonzero(counts >= max(min_controls, 1))
    if len(enough) == 0:
        return
    chosen = values[pool][:, enough]
    middle = np.nanmedian(chosen, axis=0)
    mad = np.nanmedian(np.abs(chosen - middle), axis=0)
    median[np.ix_(rows, enough)] = middle
    spread[np.ix_(rows, enough)] = np.maximum(MAD_TO_SD * mad, floor)


def robust_z(values: NDArray[np.float64], usual: Reference) -> NDArray[np.float64]:
    """(value - median) / spread for each site and metric; NaN where either is unknown."""
    z: NDArray[np.float64] = (values - usual.median) / usual.spread
    return z
