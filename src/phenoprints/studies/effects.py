"""Paired differences between two arms over seeds: interval, verdict, power, seeds needed."""

# n seeds

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nct, t

Verdict = Literal["better", "worse", "equivalent", "not resolved"]
LEVEL, POWER = 0.05, 0.8
MOST_SEEDS = 10_000
MIN_SEEDS = 3
"""Fewest seeds of a verdict: measures that are counts can agree in two by chance."""


@dataclass(frozen=True)
class Effect:
    """The difference of two arms in one measure, over seeds that both have.

    `low` and `high` bound Student's 95 % interval of the mean; `equivalence_low` and
    `equivalence_high` the 90 % one, of which two one-sided tests at 5 % speak. `power` is the
    probability that so many seeds of this SD resolve a difference of `margin`; `seeds_needed` the
    fewest seeds that do with probability 0.8. NaN, and 0 seeds, where one seed or none is there.
    """

    num_seeds: int
    mean: float
    sd: float
    low: float
    high: float
    equivalence_low: float
    equivalence_high: float
    margin: float
    power: float
    seeds_needed: int

    @property
    def verdict(self) -> Verdict:
        """Return what the interval says: a difference, none beyond the margin, or nothing."""
        if self.num_seeds < MIN_SEEDS:
            return "not resolved"
        if self.low > 0:
            return "better"
        if self.high < 0:
            return "worse"
        if self.equivalence_low > -self.margin and self.equivalence_high < self.margin:
            return "equivalent"
        return "not resolved"


def paired_effect(differences: NDArray[np.float64], margin: float) -> Effect:
    """Estimate the mean of paired differences; NaN seeds are left out.

    Parameters
    ----------
    differences
        (n,) the arm minus the one that it is compared with, where larger is better.
    margin
        Above 0: differences below it do not matter, by a choice that was made beforehand.

    Source of equivalence: Schuirmann 1987, doi:10.1007/BF01068419.
    """
    if not margin > 0:
        raise ValueError(f"margin must be above 0, got {margin}.")
    values = differences[np.isfinite(differences)]
    n = len(values)
    if n < 2:
        mean = float(values.mean()) if n else np.nan
        nan = np.nan
        return Effect(n, mean, nan, nan, nan, nan, nan, margin, nan, 0)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    error = sd / np.sqrt(n)
    half, inner = (float(t.ppf(1 - LEVEL / k, n - 1)) * error for k in (2, 1))
    return Effect(
        num_seeds=n, mean=mean, sd=sd, low=mean - half, high=mean + half,
        equivalence_low=mean - inner, equivalence_high=mean + inner, margin=margin,
        power=power_of(n, sd, margin), seeds_needed=seeds_needed(sd, margin),
    )  # fmt: skip


def power_of(num_seeds: int, sd: float, difference: float) -> float:
    """Return the power of a two-sided paired t-test at 5 % for a true difference."""
    if sd == 0:
        return 1.0
    shift = difference * np.sqrt(num_seeds) / sd
    edge = t.ppf(1 - LEVEL / 2, num_seeds - 1)
    # Far from 0 scipy's tails are not numbers: the near one holds everything there.
    near, far = nct.sf(edge, num_seeds - 1, shift), nct.cdf(-edge, num_seeds - 1, shift)
    return float(np.nan_to_num(near, nan=1.0) + np.nan_to_num(far))


def seeds_needed(sd: float, difference: float) -> int:
    """Return the fewest seeds, 2 to MOST_SEEDS, that resolve a difference with power 0.8."""
    low, high = 2, MOST_SEEDS
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if power_of(middle, sd, difference) >= POWER else (middle + 1, high)
        )
    return low


def headline(name: str, effect: Effect) -> str:
    """Return one sentence: the verdict first, and what is missing where nothing is resolved."""
    interval = f"{effect.mean:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"
    seeds = f"{effect.num_seeds} seeds"
    if effect.num_seeds < MIN_SEEDS:
        return f"{name}: not resolved, {effect.num_seeds} of at least {MIN_SEEDS} seeds."
    if effect.verdict == "equivalent":
        return f"{name}: equivalent within ±{effect.margin:g}, {interval}, {seeds}."
    if effect.verdict == "not resolved":
        return (
            f"{name}: not resolved with {seeds} (power {effect.power:.2f} for ±{effect.margin:g}; "
            f"{effect.seeds_needed} seeds are needed), {interval}."
        )
    return f"{name}: {effect.verdict}, {interval}, {seeds}."
