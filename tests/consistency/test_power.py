"""The smallest effect that is found, against simulated wells and the real test."""

from __future__ import annotations

import numpy as np
import pytest

from phenoprints.consistency import combine_cauchy, experiment_consistency
from phenoprints.consistency.power import (
    Sensitivity,
    effect_length,
    effective_dimension,
    power,
    smallest_effect,
)


def screen(random, *, effect, experiments, n, num_active=60, num_null=60, scales=None):
    """p-values of active conditions, combined; statistics of conditions without effect."""
    scales = np.ones(24) if scales is None else scales
    noise = np.sqrt((scales**2).sum())
    direction = random.normal(size=(num_active, len(scales)))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    p, null, active = [], [], []
    condition = np.repeat(np.arange(num_active + num_null), n)
    for _ in range(experiments):
        x = random.normal(size=(len(condition), len(scales))) * scales
        x[: num_active * n] += effect * noise * np.repeat(direction, n, axis=0)
        pool = np.where(condition >= num_active, condition, -1)
        group = np.array([g if g >= 0 else None for g in pool], dtype=object)
        table = _tested(x, condition, group)
        p.append(table["p_value"][:num_active])
        null.append(table["statistic"][num_active:])
        active.append(table["statistic"][:num_active])
    return combine_cauchy(np.clip(p, 1e-3, 1 - 1e-3), axis=0), np.array(null), np.array(active)


def _tested(x, condition, group):
    from phenoprints.consistency import Design

    return experiment_consistency(
        x, condition, Design(group=group), null_model="experiment", num_null=1000
    )


def sensitivity(n, dimension):
    """A test whose null consists of wells without effect."""
    return Sensitivity(n, 1 / n, np.sqrt(2 * (n - 1) / (n**3 * dimension)), dimension, 1e-3)


def test_the_effective_dimension_is_that_of_the_noise():
    random = np.random.default_rng(0)
    for scales in (np.ones(24), np.r_[3.0, np.ones(40)]):
        x = random.normal(size=(4000, 4, len(scales))) * scales
        u = x / np.linalg.norm(x, axis=2, keepdims=True)
        s = (u.sum(axis=1) ** 2).sum(axis=1) / 16
        expected = 1 / ((u[:, 0] * u[:, 1]).sum(axis=1) ** 2).mean()
        assert effective_dimension(s, 4) == pytest.approx(expected, rel=0.15)
    assert np.isnan(effective_dimension([0.3], 4))
    assert effective_dimension([0.3, 0.3], 4) == np.inf


def test_effect_lengths_are_those_of_the_shift():
    random = np.random.default_rng(1)
    for effect in (0.3, 0.7, 1.5):
        _, _, active = screen(random, effect=effect, experiments=3, n=6)
        mean = effect_length(active.mean(), 6)
        assert mean == pytest.approx(effect, rel=0.07)
    assert effect_length([0.2, np.nan, 1.0], 4)[0] == 0.0


@pytest.mark.parametrize(
    ("experiments", "n", "scales"),
    [
        (1, 4, np.ones(24)),
        (4, 4, np.ones(24)),
        (2, 2, np.ones(24)),
        (3, 8, np.r_[2.0, np.ones(40)]),
    ],
)
def test_the_smallest_effect_is_found_with_the_probability_that_is_claimed(experiments, n, scales):
    dimension = (scales**2).sum() ** 2 / (scales**4).sum()
    tests = [sensitivity(n, dimension)] * experiments
    effect = smallest_effect(tests, 0.01)
    random = np.random.default_rng(2)
    found = []
    for _ in range(6):
        p, _, _ = screen(random, effect=effect, experiments=experiments, n=n, scales=scales)
        found.append((p < 0.01).mean())
    tolerance = 0.07 if n > 2 else 0.1  # one cosine alone is bounded, which the form is not
    assert np.mean(found) == pytest.approx(0.8, abs=tolerance)


def test_power_is_the_threshold_without_effect_and_grows():
    tests = [sensitivity(4, 24.0)]
    assert power(0.0, tests, 0.01) == pytest.approx(0.01, abs=0.006)
    values = [power(effect, tests, 0.01) for effect in (0.0, 0.2, 0.4, 0.8)]
    assert values == sorted(values)
    more = smallest_effect([sensitivity(8, 24.0)], 0.01)
    assert more < smallest_effect(tests, 0.01)
    assert smallest_effect(tests * 4, 0.01) < smallest_effect(tests, 0.01)


def test_a_test_that_cannot_reach_the_threshold_finds_nothing():
    coarse = Sensitivity(3, 1 / 3, 0.1, 24.0, 1 / 28)
    assert np.isnan(smallest_effect([coarse], 0.01))
    assert np.isnan(smallest_effect([], 0.01))
