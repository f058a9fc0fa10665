"""Bounds against scipy and against simulation: they hold when calls of a screen come together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from benchmarks.calibrate.bounds import effective_size, mean_bounds, rate_bounds
from scipy.stats import binomtest


def test_independent_tests_give_the_binomial_interval():
    called, tested = np.array([1, 0, 1, 0, 1, 0, 1, 0]), np.full(8, 50)
    assert effective_size(called, tested) == 400
    interval = binomtest(4, 400).proportion_ci(0.98, method="exact")
    assert rate_bounds(called, tested) == pytest.approx((interval.low, interval.high))


def test_calls_that_come_together_count_less():
    assert effective_size([20, 0, 0, 0], [50, 50, 50, 50]) < 20


@pytest.mark.parametrize(("called", "bounds"), [(0, (0.0, None)), (10, (None, 1.0))])
def test_none_and_all_have_a_bound_at_the_end(called, bounds):
    low, high = rate_bounds([called], [10])
    assert 0.0 <= low < high <= 1.0
    assert low == bounds[0] or high == bounds[1]


def test_without_tests_there_is_no_bound():
    assert all(math.isnan(bound) for bound in rate_bounds([0], [0]))


def test_the_lower_bound_holds_although_tests_of_a_screen_depend_on_each_other():
    """Rates differ between screens (beta): the bound exceeds the true rate in about 1 %."""
    rng = np.random.default_rng(0)
    above = 0
    for _ in range(1000):
        called = rng.binomial(60, rng.beta(2.0, 38.0, size=30))
        above += rate_bounds(called, np.full(30, 60))[0] > 0.05
    assert above <= 25


def test_bounds_of_a_mean_are_those_of_student():
    mean, low, high = mean_bounds([1.0, 2.0, 3.0, np.nan])
    reach = 6.964557 * 1.0 / np.sqrt(3)
    assert (mean, low, high) == pytest.approx((2.0, 2.0 - reach, 2.0 + reach), rel=1e-6)
    assert mean_bounds([1.0]) == (1.0, -math.inf, math.inf)
    assert all(math.isnan(value) for value in mean_bounds([np.nan]))
