"""combine_cauchy against arithmetic of 400 digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from phenoprints.consistency import combine_cauchy

NAMED = [
    [1e-300, 0.5],
    [1e-300] * 3,
    [1e-10, 1 - 1.0001e-10],
    [1e-4, 1 - 1e-4],
    [1e-200, 1 - 1e-12],
    [1e-3] + [0.5] * 9,
]


def exact(p):
    with mpmath.workdps(400):
        total = sum(mpmath.cot(mpmath.pi * mpmath.mpf(float(value))) for value in p) / len(p)
        return mpmath.atan2(1, total) / mpmath.pi


def mixed_sets(count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        p = 10.0 ** -rng.uniform(0, 14, rng.integers(1, 8))
        yield np.where(rng.random(len(p)) < 0.4, 1 - p, p).tolist()


@pytest.mark.parametrize("p", [*NAMED, *mixed_sets(150)], ids=str)
def test_relative_error_below_1e_12(p):
    expected = exact(p)
    assert abs(mpmath.mpf(float(combine_cauchy(p))) - expected) <= 1e-12 * expected
