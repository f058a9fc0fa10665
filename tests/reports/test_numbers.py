"""How figures are written."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from phenoprints.reports import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12345, "12,345"),
        (0.9123, "0.912"),
        (2.0, "2"),
        (1234.5, "1,234"),
        (0.00012345, "0.000123"),
        (1e-5, "1.00e-05"),
        (-0.5, "-0.500"),
        (math.inf, "∞"),
        (math.nan, "–"),
        (None, "–"),
        (np.float32(0.25), "0.250"),
    ],
)
def test_number_has_three_significant_digits(value: float, text: str) -> None:
    assert numbers.number(value) == text


def test_missing_is_a_dash_everywhere_and_never_zero() -> None:
    for write in (numbers.count, numbers.percent, numbers.duration, numbers.size):
        assert write(math.nan) == "–"
        assert write(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.44, "0.4\u00a0s"),
        (12, "12\u00a0s"),
        (185, "3\u00a0min 05\u00a0s"),
        (7800, "2\u00a0h 10\u00a0min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_sizes_are_decimal() -> None:
    assert [numbers.size(n) for n in (12, 1500, 2.5e9)] == [
        "12\u00a0B",
        "1.5\u00a0kB",
        "2.5\u00a0GB",
    ]


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (37, 40), (1, 5000)])
def test_wilson_interval_equals_statsmodels(successes: int, trials: int) -> None:
    expected = proportion_confint(successes, trials, method="wilson")
    assert numbers.wilson_interval(successes, trials) == pytest.approx(expected, abs=1e-12)


def test_wilson_interval_of_nothing_is_unknown() -> None:
    assert all(math.isnan(end) for end in numbers.wilson_interval(0, 0))
