"""The alignments are scikit-learn estimators; controls and batch are metadata."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from phenoprints.alignment import CenterScale, Limits, PCACenterScale, TypicalVariationNormalization
from phenoprints.foundations.errors import DataError

ESTIMATORS = [TypicalVariationNormalization, PCACenterScale, CenterScale]

SKIPPED = {"check_array_api_input": "needs SCIPY_ARRAY_API; arrays are NumPy's here"}
"""Checks of scikit-learn that do not apply, and why."""


@pytest.fixture
def screen():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 5)) @ rng.normal(size=(5, 5))
    batch = np.tile(["a", "b"], 60)
    x[batch == "b"] += 4
    return x, np.arange(120) % 3 == 0, batch


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_checks_of_scikit_learn_pass(estimator):
    results = check_estimator(estimator(), on_fail=None, on_skip=None)
    missed = {of["check_name"]: of["exception"] for of in results if of["status"] != "passed"}
    assert set(missed) <= set(SKIPPED), missed
    assert len(results) > 40


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_clone_has_the_parameters_and_is_not_fitted(estimator, screen):
    x, is_control, batch = screen
    fitted = estimator(limits=Limits(min_controls=5)).fit(x, is_control, batch)
    again = clone(fitted)
    assert again.get_params() == fitted.get_params()
    assert again.set_params(limits=None).limits is None
    with pytest.raises(NotFittedError, match="call fit"):
        again.transform(x, batch)
    with pytest.raises(DataError, match="is not fitted yet"):
        again.transform(x, batch)


def test_parameters_have_the_names_of_the_settings():
    tvn = TypicalVariationNormalization(tvn_variant="efaar-1.0", shrinkage="oas", ridge=1.0)
    assert tvn.get_params() == {
        "limits": None, "ridge": 1.0, "shrinkage": "oas", "tvn_variant": "efaar-1.0",
    }  # fmt: skip
    assert "shrinkage='oas'" in repr(tvn)


def test_a_misspelt_parameter_is_named(screen):
    for wrong in ({"tvn_variant": "new"}, {"shrinkage": "lasso"}):
        with pytest.raises(DataError, match=f'{next(iter(wrong))}: "{next(iter(wrong.values()))}"'):
            TypicalVariationNormalization(**wrong).fit(*screen)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_mask_may_be_given_by_name_or_in_place_of_y(estimator, screen):
    x, is_control, batch = screen
    expected = estimator().fit_transform(x, is_control, batch)
    named = estimator().fit_transform(x, is_control=is_control, batch=batch)
    np.testing.assert_array_equal(named, expected)
    target = np.arange(len(x)) % 2
    beside = estimator().fit_transform(x, target, batch, is_control=is_control)
    np.testing.assert_array_equal(beside, expected)


def test_with_one_batch_none_need_be_named(screen):
    x, is_control, _ = screen
    alone = CenterScale().fit(x, is_control)
    one = CenterScale().fit(x, is_control, np.full(len(x), "only"))
    np.testing.assert_array_equal(alone.transform(x), one.transform(x))
    np.testing.assert_allclose(CenterScale().fit(x).transform(x).mean(axis=0), 0, atol=1e-12)


def test_a_batch_that_is_needed_and_missing_is_asked_for(screen):
    x, is_control, batch = screen
    with pytest.raises(DataError, match="after a fit on 2 batches"):
        CenterScale().fit(x, is_control, batch).transform(x)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_pipelines_route_controls_and_batch(estimator, screen):
    x, is_control, batch = screen
    target = np.random.default_rng(1).integers(0, 2, len(x))
    with config_context(enable_metadata_routing=True):
        aligned = (
            estimator()
            .set_fit_request(is_control=True, batch=True)
            .set_transform_request(batch=True)
        )
        pipeline = make_pipeline(aligned, LogisticRegression())
        pipeline.fit(x, target, is_control=is_control, batch=batch)
        found = pipeline.predict_proba(x, batch=batch)
    y = estimator().fit_transform(x, is_control, batch)
    expected = LogisticRegression().fit(y, target).predict_proba(y)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_tables_go_in_and_out(screen):
    x, is_control, batch = screen
    table = pd.DataFrame(x, columns=list("abcde"))
    tvn = TypicalVariationNormalization().set_output(transform="pandas")
    y = tvn.fit(table, is_control, batch).transform(table, batch)
    assert list(y.columns) == [f"typicalvariationnormalization{k}" for k in range(5)]
    assert list(tvn.get_feature_names_out()) == list(y.columns)
    assert list(tvn.feature_names_in_) == list("abcde")
    expected = TypicalVariationNormalization().fit_transform(x, is_control, batch)
    np.testing.assert_array_equal(y.to_numpy(), expected)


def test_single_precision_stays_single(screen):
    x, is_control, batch = screen
    y = TypicalVariationNormalization().fit_transform(x.astype(np.float32), is_control, batch)
    assert y.dtype == np.float32
