"""Whether the controls of a new batch lie where those of the reference's batches lie."""

# N M control wells · D features · K components

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from phenoprints.alignment.methods import Method
from phenoprints.alignment.shared import SharedPart, centred_features
from phenoprints.alignment.statistics import ControlStatistics, merge
from phenoprints.foundations.randomness import generator

MEASURES = ("outside", "trailing", "distance")
"""Shares of the controls outside all components, and outside the leading ones; energy distance."""

LEADING = 0.99
"""Share of the squares of the reference's controls that the leading components hold."""

LEAST_SHARE = 0.01
"""Shares below this count as this: what they differ by is no reason to refuse anything."""

MAX_CONTROLS = 1000
"""Controls of the reference that a batch is compared with."""

MIN_BATCHES, MANY_BATCHES = 4, 100
"""Below the first there is no limit; from the second on it is a percentile."""

NUM_MADS, PERCENTILE = 6 * 1.4826, 99.0
"""Six robust standard deviations: 1.4826 MADs are one for normal values."""

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
    trailing : float
        The same outside the components that hold 99 % of the squares of the controls `others`.
    distance : float
        Energy distance to `others` (M, D) in the components, 2 E|x - y| - E|x - x'| - E|y - y'|
        over distinct wells (Székely, Rizzo 2013), in units of E|y - y'|; at least 1/N, the bias
        that the distance of N wells has when pairs of a well with itself count.
    """
    own, far = shared.project_rows(x, np.float64), shared.project_rows(others, np.float64)
    spread = pdist(far).mean()
    distance = (2 * cdist(own, far).mean() - pdist(own).mean() - spread) / spread
    squares, typical = (own**2).mean(axis=0), (far**2).mean(axis=0)
    total = float((((x - shared.centre) / shared.scale) ** 2).sum(axis=1).mean())
    order = np.argsort(-typical)
    held = np.cumsum(typical[order]) / typical.sum()
    leading = order[: int(np.searchsorted(held, LEADING)) + 1]
    shares = [1 - float(squares[kept].sum()) / total for kept in (order, leading)]
    outside, trailing = (max(share, LEAST_SHARE) for share in shares)
    return outside, trailing, max(float(distance), 1 / len(x))


def shared_without(method: Method | None, rest: ControlStatistics) -> SharedPart:
    """Return the shared part of a method that is fitted on these controls."""
    return centred_features(rest) if method is None else method.share(rest)


def left_out_batches(controls: Controls, method: Method | None, *, seed: int = 0) -> pd.DataFrame:
    """Measure each batch of a reference under the shared part that is fitted without it.

    Returns columns batch, outside, trailing, distance; empty with fewer than two batches.
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
            limits[measure] = float(np.exp(middle + NUM_MADS * np.median(np.abs(logs - middle))))
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
