from __future__ import annotations

import numpy as np
import pytest

from phenoprints.alignment import CenterScale, Limits, PCACenterScale, TypicalVariationNormalization
from phenoprints.alignment.statistics import ControlStatistics, merge
from phenoprints.foundations.errors import DataError

METHODS = [TypicalVariationNormalization(), PCACenterScale(), CenterScale()]


def make_screen(num_per_batch=90, num_features=10, seed=1):
    rng = np.random.default_rng(seed)
    batch = np.repeat(["w1", "w2", "w3"], num_per_batch)
    x = rng.normal(size=(len(batch), num_features)) @ rng.normal(size=(num_features,) * 2)
    x = x * rng.uniform(0.5, 2, num_features) + np.repeat(
        rng.normal(size=(3, num_features)), num_per_batch, axis=0
    )
    return x, rng.random(len(batch)) < 0.5, batch


def root(matrix, power):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**power) @ vectors.T


@pytest.mark.parametrize(
    ("num_per_batch", "num_features"),
    [(90, 10), (60, 40), (90, 60), (40, 50)],
    ids=["many wells", "few wells", "as many wells", "fewer wells than features in all"],
)
def test_controls_of_each_batch_have_the_mean_and_covariance_that_the_formula_gives(
    num_per_batch, num_features
):
    x, is_control, batch = make_screen(num_per_batch, num_features)
    y = TypicalVariationNormalization().fit_transform(x, is_control, batch)
    third_step = PCACenterScale(standardize_first=True).fit_transform(x, is_control, batch)
    identity = np.eye(y.shape[1])
    colour = root(np.cov(third_step[is_control], rowvar=False) + 0.5 * identity, 0.5)
    for name in np.unique(batch):
        rows = is_control & (batch == name)
        own = np.cov(third_step[rows], rowvar=False) + 0.5 * identity
        expected = colour @ (identity - np.linalg.inv(own) / 2) @ colour
        np.testing.assert_allclose(y[rows].mean(axis=0), 0, atol=1e-8)
        np.testing.assert_allclose(np.cov(y[rows], rowvar=False), expected, atol=1e-8)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_row_order_does_not_matter(method):
    x, is_control, batch = make_screen()
    order = np.random.default_rng(0).permutation(len(x))
    y = method.fit_transform(x, is_control, batch)
    again = method.fit_transform(x[order], is_control[order], batch[order])
    np.testing.assert_allclose(again, y[order], atol=1e-9)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_a_constant_feature_and_rows_of_nan_do_no_harm(method):
    x, is_control, batch = make_screen()
    x[:, 3] = 7.1
    x[5] = np.nan
    y = method.fit_transform(x, is_control, batch)
    assert np.isnan(y[5]).all()
    assert np.isfinite(np.delete(y, 5, axis=0)).all()
    if isinstance(method, CenterScale):
        np.testing.assert_allclose(np.delete(y[:, 3], 5), 0, atol=1e-12)


def test_large_features_keep_their_digits_in_float32():
    x, is_control, batch = make_screen()
    x = np.round(x * 64) / 64 + 4096  # exact in float32, so that only the map can lose digits
    expected = TypicalVariationNormalization().fit_transform(x, is_control, batch)
    actual = TypicalVariationNormalization().fit_transform(x.astype(np.float32), is_control, batch)
    np.testing.assert_allclose(actual, expected, atol=2e-4)


def test_components_that_are_rounding_are_left_out():
    x, is_control, batch = make_screen()
    doubled = np.hstack([x, x])
    method = PCACenterScale().fit(doubled, is_control, batch)
    assert method.num_components_ == x.shape[1]


def test_components_can_be_limited():
    x, is_control, batch = make_screen()
    whole = PCACenterScale().fit_transform(x, is_control, batch)
    some = PCACenterScale(limits=Limits(max_components=3)).fit_transform(x, is_control, batch)
    np.testing.assert_allclose(some, whole[:, :3], rtol=0, atol=1e-12)


def test_a_batch_with_too_few_controls_is_named():
    x, is_control, batch = make_screen()
    is_control[batch == "w2"] = False
    is_control[np.flatnonzero(batch == "w2")[:3]] = True
    with pytest.raises(DataError, match=r'batch "w2": 3 usable control wells') as error:
        CenterScale().fit(x, is_control, batch)
    assert "small_batches: skip" in str(error.value)


def test_a_skipped_batch_becomes_nan_with_a_reason():
    x, is_control, batch = make_screen()
    is_control[batch == "w2"] = False
    method = TypicalVariationNormalization(limits=Limits(small_batches="skip")).fit(
        x, is_control, batch
    )
    y = method.transform(x, batch)
    assert np.isnan(y[batch == "w2"]).all()
    assert np.isfinite(y[batch != "w2"]).all()
    assert method.skipped_ == {"w2": "too_few_controls (0)"}


def test_few_controls_are_noted():
    x, is_control, batch = make_screen()
    is_control[batch == "w1"] = False
    is_control[:15] = True
    assert CenterScale().fit(x, is_control, batch).notes_ == [
        'batch "w1": 15 control wells; fewer than 16 make its map uncertain'
    ]


def test_no_controls_anywhere_is_an_error():
    x, _, batch = make_screen()
    with pytest.raises(DataError, match="no batch has 4 control wells"):
        CenterScale(limits=Limits(small_batches="skip")).fit(x, np.zeros(len(x), bool), batch)


def test_controls_that_do_not_vary_are_an_error():
    with pytest.raises(DataError, match="do not vary"):
        PCACenterScale().fit(np.ones((20, 3)), np.ones(20, bool), ["a"] * 20)


def test_an_unknown_batch_is_named():
    x, is_control, batch = make_screen()
    with pytest.raises(DataError, match='batch "w9" was not fitted'):
        CenterScale().fit(x, is_control, batch).transform(x[:2], ["w1", "w9"])


def test_lengths_are_checked():
    with pytest.raises(DataError, match=r"x has shape \(3, 2\)"):
        CenterScale().fit(np.zeros((3, 2)), [True, False], ["a", "a", "a"])


def test_statistics_of_parts_are_those_of_the_whole():
    x = np.random.default_rng(2).normal(size=(60, 4)) + 1e6
    parts = merge(ControlStatistics.of_rows(part) for part in (x[:1], x[1:20], x[20:20], x[20:]))
    np.testing.assert_allclose(parts.mean, x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(parts.covariance(), np.cov(x, rowvar=False), rtol=1e-8)
    assert parts.num_wells == 60
