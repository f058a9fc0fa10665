"""Alignment equals EFAAR_benchmarking 1.0 where that is right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from phenoprints.alignment import CenterScale, PCACenterScale, TypicalVariationNormalization


@pytest.fixture(scope="module")
def screen():
    rng = np.random.default_rng(3)
    batch = np.repeat(["a", "b", "c"], 120)
    mixing = rng.normal(size=(12, 12))
    x = rng.normal(size=(360, 12)) @ mixing + 3 * rng.normal(size=12)
    x += np.repeat(rng.normal(size=(3, 12)), 120, axis=0)
    is_control = rng.random(360) < 0.5
    table = pd.DataFrame({"batch": batch, "pert": np.where(is_control, "dmso", "drug")})
    return x, is_control, batch, table


def test_tvn_of_form_efaar_equals_efaar(efaar, screen):
    x, is_control, batch, table = screen
    expected = efaar.tvn_on_controls(x, table, "pert", "dmso", "batch")
    tvn = TypicalVariationNormalization(tvn_variant="efaar-1.0")
    np.testing.assert_allclose(
        tvn.fit_transform(x, is_control, batch), expected, rtol=0, atol=1e-10
    )
    single = tvn.fit_transform(x.astype(np.float32), is_control, batch)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=0, atol=2e-4)


def test_center_scale_equals_efaar(efaar, screen):
    x, is_control, batch, table = screen
    expected = efaar.centerscale_on_controls(x, table, "pert", "dmso", "batch")
    actual = CenterScale().fit_transform(x, is_control, batch)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("standardize_first", [False, True])
def test_pca_center_scale_equals_scikit_learn(screen, standardize_first):
    x, is_control, batch, _ = screen
    expected = x
    if standardize_first:
        expected = StandardScaler().fit(x[is_control]).transform(x)
    expected = PCA().fit(expected[is_control]).transform(expected)
    for name in np.unique(batch):
        rows = batch == name
        scaler = StandardScaler().fit(expected[rows & is_control])
        expected[rows] = scaler.transform(expected[rows])
    actual = PCACenterScale(standardize_first=standardize_first).fit_transform(x, is_control, batch)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10)


def test_offsets_between_batches_survive_efaar_and_not_the_current_form(screen):
    """EFAAR 1.0 standardises globally, so a batch's offset stays: a defect ours does not share."""
    x, is_control, batch, _ = screen
    x = x + 5.0 * (batch == "a")[:, None]
    gap = {}
    for form in ("efaar-1.0", "current"):
        y = TypicalVariationNormalization(tvn_variant=form).fit_transform(x, is_control, batch)
        means = [y[is_control & (batch == name)].mean(axis=0) for name in ("a", "b")]
        gap[form] = np.abs(means[0] - means[1]).max()
    assert gap["efaar-1.0"] > 0.5
    assert gap["current"] < 1e-10
