from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprints.alignment import CenterScale, PCACenterScale, TypicalVariationNormalization
from phenoprints.alignment.positions import median_polish
from phenoprints.alignment.statistics import ControlStatistics, merge

METHODS = [TypicalVariationNormalization(), PCACenterScale(standardize_first=True), CenterScale()]


@st.composite
def screens(draw):
    """Batches of random sizes, a few features, about half of the wells controls."""
    sizes = draw(st.lists(st.integers(20, 50), min_size=1, max_size=4))
    num_features = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch = np.repeat([f"b{k}" for k in range(len(sizes))], sizes)
    x = rng.normal(size=(len(batch), num_features)) @ rng.normal(size=(num_features,) * 2)
    is_control = np.concatenate([np.arange(size) % 2 == 0 for size in sizes])
    return x, is_control, batch


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@given(screen=screens(), shift=st.floats(-100, 100))
def test_a_shift_of_a_whole_batch_disappears(method, screen, shift):
    x, is_control, batch = screen
    moved = x + shift * (batch == "b0")[:, None]
    if isinstance(method, CenterScale):
        expected = method.fit_transform(x, is_control, batch)
        np.testing.assert_allclose(
            method.fit_transform(moved, is_control, batch), expected, atol=1e-7
        )
    y = method.fit_transform(moved, is_control, batch)
    for name in np.unique(batch):
        assert np.abs(y[is_control & (batch == name)].mean(axis=0)).max() < 1e-6


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@given(screen=screens(), seed=st.integers(0, 1000))
def test_wells_that_are_no_controls_change_nothing_for_others(method, screen, seed):
    x, is_control, batch = screen
    other = x.copy()
    other[~is_control] = np.random.default_rng(seed).normal(size=other[~is_control].shape)
    y = method.fit_transform(x, is_control, batch)
    again = method.fit_transform(other, is_control, batch)
    np.testing.assert_array_equal(again[is_control], y[is_control])


@given(screen=screens(), scale=st.floats(0.01, 100))
def test_units_do_not_matter_to_tvn(screen, scale):
    x, is_control, batch = screen
    tvn = TypicalVariationNormalization()
    y, again = (tvn.fit_transform(v, is_control, batch) for v in (x, scale * x))
    # Components have no sign of their own; what is read from them does not depend on it.
    np.testing.assert_allclose(again @ again.T, y @ y.T, atol=1e-5)


@given(screen=screens(), cuts=st.lists(st.integers(0, 200), max_size=5))
def test_statistics_do_not_depend_on_how_rows_are_cut(screen, cuts):
    x = screen[0]
    parts = np.split(x, sorted(min(cut, len(x)) for cut in cuts))
    whole = ControlStatistics.of_rows(x)
    merged = merge((ControlStatistics.of_rows(part) for part in parts), num_features=x.shape[1])
    assert merged.num_wells == whole.num_wells
    np.testing.assert_allclose(merged.mean, whole.mean, atol=1e-10)
    np.testing.assert_allclose(merged.scatter(), whole.scatter(), atol=1e-7)


@given(
    num_rows=st.integers(2, 6),
    num_columns=st.integers(2, 6),
    seed=st.integers(0, 1000),
)
def test_a_median_polish_finds_additive_effects_exactly(num_rows, num_columns, seed):
    rng = np.random.default_rng(seed)
    row, column = (axis.ravel() for axis in np.indices((num_rows, num_columns)))
    values = rng.normal(size=(num_rows, 2))[row] + rng.normal(size=(num_columns, 2))[column]
    overall, rows, columns = median_polish(values, row, column, num_rows, num_columns)
    np.testing.assert_allclose(overall + rows[row] + columns[column], values, atol=1e-9)
