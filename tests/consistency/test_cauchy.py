"""combine_cauchy: what it drops, weighs, clips and refuses."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from phenoprints.consistency import cauchy, combine_cauchy, experiment
from phenoprints.foundations.errors import DataError


def test_equal_values_return_themselves():
    for p in (1e-300, 1e-17, 0.01, 0.5, 0.99, 1.0):
        assert combine_cauchy([p] * 5) == pytest.approx(p, rel=1e-12)


def test_published_checks():
    assert combine_cauchy([1e-4, 1 - 1e-4]) == pytest.approx(0.5)
    assert combine_cauchy([1e-4, 0.99]) == pytest.approx(2.0e-4, rel=0.02)
    assert combine_cauchy([1e-3] + [0.5] * 9) == pytest.approx(0.00999, abs=1e-5)


def test_missing_values_are_dropped_and_weights_renormalised():
    p = [[0.01, np.nan, 0.2], [np.nan, np.nan, np.nan]]
    combined = combine_cauchy(p, weights=[1.0, 5.0, 3.0])
    assert combined[0] == combine_cauchy([0.01, 0.2], weights=[0.25, 0.75])
    assert np.isnan(combined[1])


def test_an_absent_weight_does_not_vote():
    assert combine_cauchy([0.01, 1.0], weights=[1.0, 0.0]) == pytest.approx(0.01)


def test_ends_of_the_range():
    assert combine_cauchy([0.0, 0.3]) == 0.0
    assert combine_cauchy([1.0, 1e-9]) == 1.0
    assert combine_cauchy([1.0, 0.0]) == 1.0
    assert combine_cauchy([1.0, 1e-9], clip=(1e-4, 1 - 1e-4)) == pytest.approx(0.5)


def test_any_axis():
    p = np.random.default_rng(0).random((3, 4, 5))
    weights = np.arange(1.0, 5.0)
    expected = combine_cauchy(np.moveaxis(p, 1, -1), weights=weights)
    np.testing.assert_array_equal(combine_cauchy(p, axis=1, weights=weights), expected)


@pytest.mark.parametrize("strange", [-1e-9, 1.0001, np.inf])
def test_values_outside_the_range_are_refused(strange):
    with pytest.raises(DataError, match=r"1 values outside \[0, 1\]"):
        combine_cauchy([0.5, strange])


@pytest.mark.parametrize("weights", [[-1.0, 2.0], [0.0, 0.0], [np.inf, 1.0]])
def test_weights_that_cannot_be_shares_are_refused(weights):
    with pytest.raises(DataError, match="weights"):
        combine_cauchy([0.5, 0.1], weights=weights)


@pytest.mark.parametrize("module", [cauchy, experiment])
def test_examples_of_the_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
