"""Bounds of rates whose unit of independence is the simulated screen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.stats import beta, t

CONFIDENCE = 0.99
"""Of the one-sided bounds that are compared with limits."""


def effective_size(called: Any, tested: Any) -> float:
    """Return how many independent tests are worth as much as these, at most their number.

    The number of tests over the design effect: the variance of the rate between screens (S,),
    linearised as for a ratio, over that of independent tests. With fewer than two screens, or
    none called or all, it is the number of tests.
    """
    called, tested = np.asarray(called, float), np.asarray(tested, float)
    total, screens = tested.sum(), int((tested > 0).sum())
    rate = called.sum() / total if total else 0.0
    if screens < 2 or rate in (0.0, 1.0):
        return float(total)
    residual = (called - rate * tested)[tested > 0]
    variance = screens / (screens - 1) * np.square(residual).sum() / total**2
    return float(total / max(1.0, variance / (rate * (1.0 - rate) / total)))


def rate_bounds(called: Any, tested: Any, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the one-sided lower and the one-sided upper bound of the rate of calls.

    Clopper-Pearson with the effective number of tests (Korn & Graubard 1998). NaN without tests.
    """
    total = float(np.sum(tested))
    if not total:
        return math.nan, math.nan
    size = effective_size(called, tested)
    successes = float(np.sum(called)) / total * size
    low = beta.ppf(1.0 - confidence, successes, size - successes + 1.0) if successes else 0.0
    has_failures = size - successes > 1e-9
    high = beta.ppf(confidence, successes + 1.0, size - successes) if has_failures else 1.0
    return float(low), float(high)


def mean_bounds(values: Any, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Return the mean over screens with one-sided bounds by Student's t; NaN without values.

    With one value the bounds are infinite.
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return math.nan, math.nan, math.nan
    mean = float(values.mean())
    if len(values) == 1:
        return mean, -math.inf, math.inf
    reach = t.ppf(confidence, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return mean, mean - float(reach), mean + float(reach)
