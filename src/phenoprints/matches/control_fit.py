"""Whether the controls of a new batch lie where those of the reference's batches lie."""

# N M control wells · D features · K components

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.spatial.distance import cdist, pdist

from phenoprints.alignment.covariances import Regularization
from phenoprints.alignment.methods import Method
from phenoprints.alignment.shared import SharedPart, centred_features
from phenoprints.alignment.statistics import ControlStatistics, merge
from phenoprints.foundations.randomness import generator

MEASURES = ("outside", "spread", "distance")
"""Share of the controls outside the components; their Mahalanobis and their energy distance."""

LEAST_SHARE = 0.01
"""Shares below this count as this: what they differ by is no reason to refuse anything."""

LEAST_DEVIATION = 0.15
"""Least standard deviation of the logarithms of a measure over batches: few may agree by chance."""

MAX_CONTROLS = 1000
"""Controls of the reference that a batch is compared with."""

MIN_BATCHES, MANY_BATCHES = 4, 100
"""Below the first there is no limit; from the second on it is a percentile."""

NUM_DEVIATIONS, NORMAL_MADS, PERCENTILE = 6, 1.4826, 99.0
"""1.4826 median absolute deviations are a standard deviation of normal values."""

ROUNDING = 1 + 1e-9
"""Values that are above the limit by no more than rounding are not."""

Controls = Mapping[str, NDArray[np.floating]]
"""The vectors (N, D) of the controls of each batch, by its name."""


def chosen_controls(controls: Controls, *, seed: int = 0) -> dict[str, NDArray[np.floating]]:
    """Return as many controls of each batch, at most 1,000 in all: a seeded draw."""
    largest = max(1, MAX_CONTROLS // len(controls))
    chosen = {}
    for name, x in controls.items():
        rows = generator(seed, "matches", "controls", name).permutation(len(x))[:largest]
        chosen[name] = x[np.sort(rows)]
    return chosen


def measure_controls(
    x: NDArray[np.floating], shared: SharedPart, others: NDArray[np.floating]
) -> tuple[float, float, float]:
    """Measure the controls x (N, D) of one batch under a shared part that excludes them.

    Returns
    -------
    outside : float
        Share of their squares about the shared centre, in the units of the shared part, outside its
        components; at least 0.01.
    spread : float
        Their mean squared Mahalanobis distance from the controls `others` (M, D), per component, by
        the covariance of these, shrunk by OAS. About 1 for wells like them.
    distance : float
        Energy distance to `others` in the components, 2 E|x - y| - E|x - x'| - E|y - y'|
        over distinct wells (Székely, Rizzo 2013), in units of E|y - y'|; at least 1/N, the bias
        that the distance of N wells has when pairs of a well with itself count.
    """
    own, far = shared.project_rows(x, np.float64), shared.project_rows(others, np.float64)
    typical = pdist(far).mean()
    distance = (2 * cdist(own, far).mean() - pdist(own).mean() - typical) / typical
    total = float((((x - shared.centre) / shared.scale) ** 2).sum(axis=1).mean())
    outside = 1 - float((own**2).sum(axis=1).mean()) / total
    return max(outside, LEAST_SHARE), _spread(own, far), max(float(distance), 1 / len(x))


def _spread(own: NDArray[np.floating], far: NDArray[np.floating]) -> float:
    """Return the mean squared Mahalanobis distance of `own` (N, K) from `far` (M, K), over K."""
    statistics = ControlStatistics.of_rows(far)
    gain, ridge, divisor = Regularization("oas").of(statistics)
    covariance = gain * statistics.scatter() / divisor + ridge * np.eye(far.shape[1])
    deviations = own - statistics.mean
    return float(np.vdot(deviations, solve(covariance, deviations.T, assume_a="pos").T) / own.size)


def shared_without(method: Method | None, rest: ControlStatistics) -> SharedPart:
    """Return the shared part of a method that is fitted on these controls."""
    return centred_features(rest) if method is None else method.share(rest)


def left_out_batches(controls: Controls, method: Method | None, *, seed: int = 0) -> pd.DataFrame:
    """Measure each batch of a reference under the shared part that is fitted without it.

    Returns columns batch, outside, spread, distance; empty with fewer than two batches.
    """
    statistics = {name: ControlStatistics.of_rows(x) for name, x in controls.items()}
    total = merge(statistics.values()).summed()
    some = chosen_controls(controls, seed=seed)
    rows = []
    for name in controls if len(controls) > 1 else ():
        shared = shared_without(method, total.without(statistics[name]))
        others = np.concatenate([x for other, x in some.items() if other != name])
        rows.append((name, *measure_controls(controls[name], shared, others)))
    return pd.DataFrame(rows, columns=["batch", *MEASURES])


def limits_of(left_out: pd.DataFrame) -> dict[str, float]:
    """Return the largest value of each measure that is accepted; NaN with fewer than 4 batches.

    The 99th percentile of the left-out batches where there are 100 or more, else their median plus
    6 robust standard deviations. These are taken of logarithms: the measures are positive and
    skewed, and one batch of BBBC021 lies 5 times as far from the others as they from each other.
    """
    limits = {}
    for measure in MEASURES:
        values = left_out[measure].to_numpy(np.float64)
        if len(values) < MIN_BATCHES:
            limits[measure] = np.nan
        elif len(values) >= MANY_BATCHES:
            limits[measure] = float(np.percentile(values, PERCENTILE))
        else:
            logs = np.log(values)
            middle = np.median(logs)
            deviation = max(NORMAL_MADS * np.median(np.abs(logs - middle)), LEAST_DEVIATION)
            limits[measure] = float(np.exp(middle + NUM_DEVIATIONS * deviation))
    return limits


def judge_controls(
    controls: Controls, shared: SharedPart, others: NDArray[np.floating], left_out: pd.DataFrame
) -> pd.DataFrame:
    """Compare the controls of new batches with those of the reference's batches.

    Returns columns batch, measure, value, limit, num_batches and status: ``PASS``, ``FAIL`` above
    the limit, or ``NOT RUN`` where the reference has fewer than 4 batches.
    """
    limits = limits_of(left_out)
    rows = []
    for batch, x in controls.items():
        values = measure_controls(x, shared, others)
        for measure, value in zip(MEASURES, values, strict=True):
            limit = limits[measure]
            status = (
                "NOT RUN" if np.isnan(limit) else "FAIL" if value > limit * ROUNDING else "PASS"
            )
            rows.append((batch, measure, value, limit, len(left_out), status))
    columns = ["batch", "measure", "value", "limit", "num_batches", "status"]
    return pd.DataFrame(rows, columns=columns)
