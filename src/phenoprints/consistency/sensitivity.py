"""What the tests of a screen can find: nulls and noise as the consistency table shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm, pearson3

from phenoprints.consistency.power import (
    LARGEST_DIMENSION,
    Sensitivity,
    deconvolve,
    effect_length,
    effective_dimension,
    more_found,
    null_skewness,
    smallest_effect,
)

MIN_TESTS = 8
"""Tests from which mean and spread of a null, or the noise, are estimated."""

SHARED_COSINE = 0.05
"""Mean cosine of null sets above that of control wells from which a phenotype counts as shared."""


@dataclass(frozen=True)
class ScreenPower:
    """The smallest effect that is found, and how similar unrelated wells are.

    Attributes
    ----------
    smallest_effect
        Length of a condition's mean shift, in units of the root mean squared well noise, that the
        rule finds with probability 0.8; NaN where none is, or where too few tests exist.
    num_wells, num_experiments
        The design that it holds for: the most frequent one.
    num_below, num_conditions
        Conditions whose estimated effect is smaller, of those with a p-value.
    dimension
        Effective dimension of the well noise.
    null_cosine, control_cosine
        Mean off-diagonal cosine of null sets, and of sets of control wells (NaN without the
        control guard).
    one_more
        Phenoprints that one more such experiment would add.
    """

    smallest_effect: float
    num_wells: int
    num_experiments: int
    num_below: int
    num_conditions: int
    dimension: float
    null_cosine: float
    control_cosine: float
    one_more: float = np.nan

    @property
    def is_shared(self) -> bool:
        """Whether null sets are clearly more alike than control wells."""
        return bool(self.null_cosine - self.control_cosine > SHARED_COSINE)


def screen_power(
    table: pd.DataFrame, threshold: float, *, combine: str = "cauchy"
) -> ScreenPower | None:
    """Estimate the power of the tests of one screen and judge; None without enough tests.

    Parameters
    ----------
    table
        As in phenoprints.consistency.contracts.
    threshold
        Of the combined p-value.
    combine
        ``cauchy`` or ``any-experiment``.

    Notes
    -----
    The null of n wells has the mean and standard deviation for which the p-values of the
    conditions are the tail probabilities of their statistics. The noise is that of sets of control
    wells, or else that of the null.
    """
    tests = table[(table["level"] == "condition") & table["p_value"].notna()]
    design = _typical_design(tests)
    if design is None:
        return None
    n, num_experiments = design
    own = tests[tests["num_wells"] == n]
    null = null_moments(own["statistic"], own["p_value"], n)
    if null is None:
        return None
    controls = _controls(table, n)
    null_dimension = 2.0 * (n - 1) / (n**3 * null[1] ** 2)
    has_controls = len(controls) >= MIN_TESTS
    dimension = effective_dimension(controls, n) if has_controls else null_dimension
    floor = float(own["smallest_p"].median()) if "smallest_p" in own else 1e-4
    of_design = [Sensitivity(n, *null, dimension, floor)] * num_experiments
    least = smallest_effect(of_design, threshold, combine=combine)
    control_cosine = cosine_of(float(controls.mean()), n) if has_controls else np.nan
    background = 0.0 if np.isnan(control_cosine) else control_cosine
    lengths, error = _lengths(tests, background), _error(n, num_experiments, dimension)
    share = deconvolve(np.square(lengths.to_numpy()), np.full(len(lengths), error))
    return ScreenPower(
        smallest_effect=least,
        num_wells=n,
        num_experiments=num_experiments,
        num_below=int((lengths < least).sum()),
        num_conditions=len(lengths),
        dimension=dimension,
        null_cosine=cosine_of(null[0], n),
        control_cosine=control_cosine,
        one_more=len(lengths) * more_found(share, of_design, threshold, combine=combine),
    )


def null_moments(
    statistic: pd.Series, p_value: pd.Series, num_wells: int
) -> tuple[float, float] | None:
    """Return mean and standard deviation of the null that gives these p-values.

    A least-squares line through the statistics over the quantiles of their p-values, of the
    distribution of Pearson's type III with the skewness of the null. None with fewer than
    `MIN_TESTS` p-values strictly between their smallest possible and 1.
    """
    p = p_value.to_numpy(dtype=np.float64)
    inner = (p > p.min(initial=1.0)) & (p < 1.0)
    if np.count_nonzero(inner) < MIN_TESTS:
        return None
    s, p = statistic.to_numpy(dtype=np.float64)[inner], p[inner]
    z = norm.isf(p)
    slope, mean = np.polyfit(z, s, 1)
    skewness = null_skewness(2.0 * (num_wells - 1) / (num_wells**3 * slope**2), num_wells)
    if slope > 0 and skewness > 0:
        slope, mean = np.polyfit(pearson3.isf(p, skewness), s, 1)
    return (float(mean), float(slope)) if slope > 0 else None


def cosine_of(statistic: float, num_wells: int) -> float:
    """Return the mean off-diagonal cosine c of a statistic s = 1/n + (1 - 1/n)·c."""
    return (num_wells * statistic - 1.0) / (num_wells - 1.0)


def _typical_design(tests: pd.DataFrame) -> tuple[int, int] | None:
    """Return the most frequent number of wells of a test, and of tests of a condition with it."""
    tests = tests[tests["num_wells"] > 1]
    if len(tests) < MIN_TESTS:
        return None
    n = int(tests["num_wells"].mode().iloc[-1])
    of_condition = tests[tests["num_wells"] == n].groupby("condition_id").size()
    return n, int(of_condition.mode().iloc[-1])


def _controls(table: pd.DataFrame, num_wells: int) -> pd.Series:
    chosen = (table["level"] == "control") & (table["num_wells"] == num_wells)
    statistics: pd.Series = table.loc[chosen, "statistic"].dropna()
    return statistics


def _error(num_wells: int, num_experiments: int, dimension: float) -> float:
    """Return the standard deviation of a mean cosine without effect: its pairs are uncorrelated."""
    pairs = num_experiments * num_wells * (num_wells - 1) / 2
    return float(np.sqrt(1.0 / (min(dimension, LARGEST_DIMENSION) * pairs)))


def _lengths(tests: pd.DataFrame, background: float) -> pd.Series:
    """Return the estimated effect of each condition, from the mean cosine of its tests."""
    n = tests["num_wells"].to_numpy(dtype=np.float64)
    cosine = (n * tests["statistic"].to_numpy(dtype=np.float64) - 1.0) / (n - 1.0) - background
    mean = pd.Series(cosine).groupby(tests["condition_id"].to_numpy()).mean()
    lengths = effect_length((1.0 + mean) / 2.0, 2.0)  # the statistic of two wells of that cosine
    return pd.Series(lengths, index=mean.index)
