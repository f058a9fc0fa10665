"""Paired effects against scipy, simulation and the definitions of the verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from phenoprints.studies.effects import headline, paired_effect, power_of, seeds_needed


def test_the_interval_is_scipys() -> None:
    values = np.random.default_rng(0).normal(0.1, 1.0, 9)
    effect = paired_effect(values, 0.5)
    for level, low, high in [
        (0.95, effect.low, effect.high),
        (0.9, effect.equivalence_low, effect.equivalence_high),
    ]:
        expected = ttest_1samp(values, 0).confidence_interval(level)
        assert (low, high) == pytest.approx(tuple(expected))


def test_power_is_the_share_of_simulated_studies_that_find_the_difference() -> None:
    stream = np.random.default_rng(1)
    for n, difference in [(5, 1.0), (12, 0.6)]:
        samples = stream.normal(difference, 1.0, (20_000, n))
        found = (ttest_1samp(samples, 0, axis=1).pvalue < 0.05).mean()
        assert power_of(n, 1.0, difference) == pytest.approx(found, abs=0.015)


def test_fewest_seeds_have_the_power_and_one_fewer_has_not() -> None:
    for sd, difference in [(0.074, 0.02), (1.0, 1.0), (0.1, 1.0)]:
        n = seeds_needed(sd, difference)
        assert power_of(n, sd, difference) >= 0.8
        assert n == 2 or power_of(n - 1, sd, difference) < 0.8


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.1, 0.12, 0.09, 0.11], "better"),
        ([-0.1, -0.12, -0.09, -0.11], "worse"),
        ([0.001, -0.002, 0.0, 0.001], "equivalent"),
        ([0.5, -0.4, 0.2, -0.3], "not resolved"),
        ([0.1], "not resolved"),
        ([0.125, 0.125], "not resolved"),
        ([], "not resolved"),
        ([0.1, np.nan], "not resolved"),
    ],
)
def test_verdicts(values: list[float], verdict: str) -> None:
    effect = paired_effect(np.array(values), 0.05)
    assert effect.verdict == verdict
    assert verdict in headline("probe", effect)


def test_without_a_difference_one_study_in_twenty_calls_one() -> None:
    samples = np.random.default_rng(3).normal(0, 1, (4000, 5))
    called = [paired_effect(row, 1e-9).verdict in ("better", "worse") for row in samples]
    assert np.mean(called) == pytest.approx(0.05, abs=0.011)


def test_what_is_not_resolved_names_power_and_seeds() -> None:
    text = headline("probe", paired_effect(np.array([0.5, -0.4, 0.2, -0.3]), 0.05))
    assert "power 0.0" in text
    assert "seeds are needed" in text


def test_a_margin_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        paired_effect(np.zeros(3), 0.0)
