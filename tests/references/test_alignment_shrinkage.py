"""Oracle approximating shrinkage equals scikit-learn's, dense and from few wells."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import oas

from phenoprints.alignment import PCACenterScale, TypicalVariationNormalization
from phenoprints.alignment.covariances import InverseRoot, Regularization, oas_shrinkage
from phenoprints.alignment.statistics import ControlStatistics

SIZES = [(16, 4), (40, 40), (12, 60), (5, 200), (300, 20), (30, 1)]


@pytest.mark.parametrize(("num_wells", "num_features"), SIZES)
def test_covariance_equals_scikit_learn(num_wells, num_features):
    rng = np.random.default_rng(num_wells)
    x = rng.normal(size=(num_wells, num_features)) * rng.uniform(0.2, 3, num_features) + 2
    expected, rho = oas(x)
    wells = ControlStatistics.of_rows(x)
    assert oas_shrinkage(wells)[0] == pytest.approx(rho, rel=0, abs=1e-10)
    gain, ridge, divisor = Regularization("oas").of(wells)
    actual = gain * wells.scatter() / divisor + ridge * np.eye(num_features)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("num_wells", "num_features"), SIZES[:5])
@pytest.mark.parametrize("thin", [True, False])
def test_inverse_roots_are_those_of_scikit_learns_covariance(num_wells, num_features, thin):
    x = np.random.default_rng(3).normal(size=(num_wells, num_features)) + 1
    values, vectors = np.linalg.eigh(oas(x)[0])
    expected = (vectors * values**-0.5) @ vectors.T
    wells = ControlStatistics.of_rows(x)
    root = InverseRoot.of(wells if thin else wells.summed(), Regularization("oas"), np.float64)
    np.testing.assert_allclose(root.after(np.eye(num_features)), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("num_per_batch", "num_features"), [(90, 10), (40, 50)])
def test_tvn_with_oas_colours_by_scikit_learns_covariances(num_per_batch, num_features):
    rng = np.random.default_rng(5)
    batch = np.repeat(["a", "b", "c"], num_per_batch)
    x = rng.normal(size=(len(batch), num_features)) @ rng.normal(size=(num_features,) * 2)
    is_control = rng.random(len(batch)) < 0.5
    y = TypicalVariationNormalization(shrinkage="oas").fit_transform(x, is_control, batch)
    third = PCACenterScale(standardize_first=True).fit_transform(x, is_control, batch)
    colour = power(oas(third[is_control])[0], 0.5)
    for name in np.unique(batch):
        here = batch == name
        whiten = power(oas(third[here & is_control])[0], -0.5)
        np.testing.assert_allclose(y[here], third[here] @ whiten @ colour, atol=1e-8)


def power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T
