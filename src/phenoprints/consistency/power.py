"""The smallest effect that the consistency test finds, from its nulls and the well noise."""

# E experiments · R repetitions

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import norm, pearson3

from phenoprints.consistency.cauchy import combine_cauchy
from phenoprints.foundations.randomness import generator

REPETITIONS = 4_000
"""Simulated conditions per effect; the same random numbers serve all effects."""

LARGEST_DIMENSION = 1e5
"""Effective dimensions are cut here; cosines of unrelated wells are practically 0 beyond."""

LARGEST = 20.0
"""Effects above this length are not looked for."""

EFFECT_LENGTHS = np.concatenate([[0.0], np.geomspace(0.1, 12.0, 32)])
"""Grid of effect lengths, in units of the root mean squared well noise."""

EM_STEPS = 200

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """One test of a condition in one experiment, as far as its power is concerned.

    Attributes
    ----------
    num_wells
        Wells n of the condition.
    null_mean, null_sd
        Mean and standard deviation of the statistic over its null sets.
    dimension
        Effective dimension of the well noise, see `effective_dimension`.
    smallest_p
        The smallest p-value that the test can reach.
    """

    num_wells: int
    null_mean: float
    null_sd: float
    dimension: float
    smallest_p: float


def effective_dimension(statistic: ArrayLike, num_wells: int) -> float:
    """Return the number of independent directions of equal strength that the well noise has.

    For n wells without effect in d directions of equal noise the off-diagonal cosines are
    uncorrelated and have the variance 1/d, so that

        var(s) = 2(n - 1)/(n³d)  and  d = 2(n - 1)/(n³ var(s)).

    For unequal directions d is that of equal ones with the same mean squared cosine, which is near
    (Σλ)²/Σλ² for variances λ (Satterthwaite's approximation).

    Parameters
    ----------
    statistic : (m,) float
        Statistics of m sets of `num_wells` wells without effect; NaN is left out.
    num_wells : int
        Wells n of each set, at least 2.

    Returns
    -------
    float
        NaN for fewer than two statistics, infinite where all are equal.
    """
    s = np.asarray(statistic, dtype=np.float64)
    s = s[~np.isnan(s)]
    if len(s) < 2:
        return np.nan
    variance = float(s.var(ddof=1))
    return 2.0 * (num_wells - 1) / (num_wells**3 * variance) if variance > 0 else np.inf


def null_skewness(dimension: float, num_wells: int) -> float:
    """Return the skewness of the statistic of n wells without effect, √(8/d)(n - 2)/√(n(n - 1))."""
    n = num_wells
    return float(np.sqrt(8.0 / dimension) * (n - 2) / np.sqrt(n * (n - 1)))


def effect_length(
    statistic: ArrayLike, num_wells: ArrayLike, background: ArrayLike = 0.0
) -> Floats:
    """Return the effect that a statistic points to, in units of the root mean squared well noise.

    Wells μ + ε have the expected off-diagonal cosine δ²/(1 + δ²) with δ = |μ|/√E|ε|², so that
    δ = √(c/(1 - c)) with c = (n·s - 1)/(n - 1), less the `background` cosine of wells without
    effect. A c of at most 0 gives 0; NaN stays NaN.
    """
    n = np.asarray(num_wells, dtype=np.float64)
    s = np.asarray(statistic, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = (n * s - 1.0) / (n - 1.0) - np.asarray(background, dtype=np.float64)
        cosine = np.clip(cosine, 0.0, 1.0 - 1e-12)
        length: Floats = np.sqrt(cosine / (1.0 - cosine))
    return length


def power(
    effect: float,
    tests: Sequence[Sensitivity],
    threshold: float,
    *,
    combine: str = "cauchy",
    seed: int = 0,
) -> float:
    """Return the probability that a condition with an effect falls below the threshold.

    The off-diagonal sum of n normal vectors with the mean shift δ is a quadratic form with the
    eigenvalues n - 1 (once per direction, along the mean of the wells) and -1, so that

        n·s = 1 + [(n - 1)/n · χ²'(d, n·d·δ²) - 1/n · χ²((n - 1)d)] / (d(1 + δ²))

    with d from the noise and χ²' noncentral. The null has the same form with its own mean and
    standard deviation; its tail is that of Pearson's type III with the skewness of the form,
    √(8/d)·(n - 2)/√(n(n - 1)). p-values of all experiments are combined as the rule does.

    Parameters
    ----------
    effect : float
        δ: length of the mean shift over the root of the mean squared well noise.
    tests : sequence of Sensitivity
        The tests of the condition, one per experiment.
    threshold : float
        Of the combined p-value.
    combine : str
        ``cauchy`` or ``any-experiment``.
    seed : int
        Key of the random numbers.
    """
    p = np.stack([_p_values(effect, test, seed, e) for e, test in enumerate(tests)], axis=1)
    combined = p.min(axis=1) if combine == "any-experiment" else combine_cauchy(p)
    return float((combined < threshold).mean())


def _p_values(effect: float, test: Sensitivity, seed: int, number: int) -> Floats:
    random = generator(seed, "consistency", "power", number)
    n, d = test.num_wells, min(test.dimension, LARGEST_DIMENSION)
    # χ²'(d, λ) = (z + √λ)² + χ²(d - 1), for any real d above 1
    along = (random.standard_normal(REPETITIONS) + np.sqrt(n * d) * effect) ** 2
    mean_of_wells = along + random.chisquare(max(d - 1.0, 1e-9), REPETITIONS)
    between_wells = random.chisquare((n - 1) * d, REPETITIONS)
    form = ((n - 1) * mean_of_wells - between_wells) / (n * d * (1.0 + effect**2))
    z = ((1.0 + form) / n - test.null_mean) / test.null_sd
    skewness = null_skewness(2.0 * (n - 1) / (n**3 * test.null_sd**2), n)
    p = pearson3.sf(z, skewness) if skewness > 0 else norm.sf(z)
    clipped: Floats = np.clip(p, test.smallest_p, 1.0 - test.smallest_p)
    return clipped


def smallest_effect(
    tests: Sequence[Sensitivity],
    threshold: float,
    *,
    wanted: float = 0.8,
    combine: str = "cauchy",
    seed: int = 0,
) -> float:
    """Return the effect δ that the rule finds with the probability `wanted`.

    NaN where no effect up to `LARGEST` is found so often, such as with too few null sets.
    """

    def missing(effect: float) -> float:
        return power(effect, tests, threshold, combine=combine, seed=seed) - wanted

    if not tests or missing(LARGEST) < 0:
        return np.nan
    if missing(0.0) >= 0:
        return 0.0
    return float(brentq(missing, 0.0, LARGEST, xtol=1e-3))


def deconvolve(estimate: Floats, error: Floats, lengths: Floats = EFFECT_LENGTHS) -> Floats:
    """Return the shares (G,) of effect lengths that make these estimates most likely.

    Estimates of δ² are taken as normal around δ² with the variance error² · (1 + 4 δ²): the noise
    of the product of two wells grows with the effect. 200 steps of expectation and maximisation
    (Laird 1978). `error` (C,) is the standard deviation without effect.
    """
    squared = np.square(lengths)
    sd = error[:, None] * np.sqrt(1.0 + 4.0 * squared)
    likelihood = np.exp(-0.5 * ((estimate[:, None] - squared) / sd) ** 2) / sd
    likelihood = np.maximum(likelihood, 1e-300)
    share = np.full(len(lengths), 1.0 / len(lengths))
    for _ in range(EM_STEPS):
        weight = likelihood * share
        share = (weight / weight.sum(axis=1, keepdims=True)).mean(axis=0)
    return share


def more_found(
    share: Floats, tests: Sequence[Sensitivity], threshold: float, *, combine: str = "cauchy"
) -> float:
    """Return by how much the share of found conditions grows with one more such experiment.

    `share` (G,) is the distribution over EFFECT_LENGTHS; the additional experiment is like the last
    one of `tests`.
    """
    more = [*tests, tests[-1]]
    gains = [
        power(effect, more, threshold, combine=combine)
        - power(effect, tests, threshold, combine=combine)
        for effect in EFFECT_LENGTHS
    ]
    return max(0.0, float(share @ np.array(gains)))
