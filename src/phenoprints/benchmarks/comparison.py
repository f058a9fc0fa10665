"""What many encoders together say: do probes foretell benchmarks, and does training pay."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import linregress, spearmanr

MIN_ENCODERS = 3
"""Fewer encoders have no rank correlation and no line worth printing."""


def probes_and_benchmarks(accuracies: pd.DataFrame, benchmarks: pd.DataFrame) -> pd.DataFrame:
    """Spearman correlation, over encoders, of probe accuracies with each benchmark (Figure 4).

    Parameters
    ----------
    accuracies
        Columns task, encoder, balanced_accuracy: one row per task and encoder.
    benchmarks
        Rows of benchmark tables: benchmark, source, metric, encoder, value.

    Returns
    -------
    Columns task, benchmark, source, metric, spearman, num_encoders; NaN below three encoders or
    where one side does not vary. Ties get mean ranks.
    """
    rows = []
    keys = ["benchmark", "source", "metric"]
    for task, probe in accuracies.groupby("task", sort=True):
        accuracy = probe.groupby("encoder")["balanced_accuracy"].mean()
        for key, results in benchmarks.groupby(keys, sort=True):
            value = results.groupby("encoder")["value"].mean()
            both = pd.concat([accuracy, value], axis=1).dropna().to_numpy()
            rows.append([task, *key, _spearman(both), len(both)])
    return pd.DataFrame(rows, columns=["task", *keys, "spearman", "num_encoders"])


def training_pays(benchmarks: pd.DataFrame, flops: pd.Series) -> pd.DataFrame:
    """The line of each benchmark against log10 of the training FLOPs of encoders (Figure 9).

    Parameters
    ----------
    benchmarks
        Columns benchmark, source, metric, encoder, value.
    flops
        Training FLOPs by encoder; encoders without (or with 0) are left out.

    Returns
    -------
    Columns benchmark, source, metric, slope (per decade), intercept, r_squared, num_encoders; NaN
    below three encoders.
    """
    known = flops[flops > 0]
    rows = []
    keys = ["benchmark", "source", "metric"]
    for key, results in benchmarks.groupby(keys, sort=True):
        value = results.groupby("encoder")["value"].mean()
        both = pd.concat([np.log10(known), value], axis=1, join="inner").dropna().to_numpy()
        slope = intercept = r_squared = float("nan")
        if len(both) >= MIN_ENCODERS and np.ptp(both[:, 0]) > 0:
            line = linregress(both[:, 0], both[:, 1])
            slope, intercept, r_squared = line.slope, line.intercept, line.rvalue**2
        rows.append([*key, slope, intercept, r_squared, len(both)])
    columns = [*keys, "slope", "intercept", "r_squared", "num_encoders"]
    return pd.DataFrame(rows, columns=columns)


def _spearman(both: np.ndarray) -> float:
    if len(both) < MIN_ENCODERS or (np.ptp(both, axis=0) == 0).any():
        return float("nan")
    return float(spearmanr(both[:, 0], both[:, 1]).statistic)
