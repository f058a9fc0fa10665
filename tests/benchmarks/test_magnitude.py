from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance as scipy_energy_distance

from phenoprints.benchmarks import energy_distance, energy_distances
from phenoprints.benchmarks.magnitude import magnitude_summary
from phenoprints.foundations.errors import DataError


def brute_force(x, y, *, unbiased=False):
    n, m = len(x), len(y)
    within = cdist(x, x).sum() / (n * (n - 1) if unbiased else n * n)
    among = cdist(y, y).sum() / (m * (m - 1) if unbiased else m * m)
    return 2 * cdist(x, y).mean() - within - among


@pytest.mark.parametrize("unbiased", [False, True])
def test_every_group_has_the_distance_of_brute_force(unbiased):
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat(np.arange(-1, 9), np.arange(5, 15)))
    x = rng.normal(size=(len(group), 12)) + group[:, None] / 5
    controls = rng.normal(size=(70, 12))
    table = energy_distances(x, group, controls)
    column = "unbiased" if unbiased else "energy_distance"
    expected = [brute_force(x[group == g], controls, unbiased=unbiased) for g in range(9)]
    np.testing.assert_allclose(table[column], expected, atol=1e-9)
    assert energy_distance(x[group == 4], controls, unbiased=unbiased) == pytest.approx(expected[4])
    single = energy_distances(x.astype(np.float32), group, controls.astype(np.float32))
    np.testing.assert_allclose(single[column], expected, atol=1e-4)


def test_in_one_dimension_it_is_the_square_of_scipys():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=30), rng.normal(1, 2, size=40)
    expected = scipy_energy_distance(x, y) ** 2
    assert energy_distance(x[:, None], y[:, None]) == pytest.approx(expected)


def test_without_effect_the_v_statistic_is_biased_by_n_and_the_u_statistic_is_not():
    rng = np.random.default_rng(2)
    controls = rng.normal(size=(1000, 64))
    for size, stated in ((5, 2.23), (10, 1.13)):
        group = np.repeat(np.arange(200), size)
        table = energy_distances(rng.normal(size=(len(group), 64)), group, controls)
        assert table["energy_distance"].mean() == pytest.approx(stated, abs=0.05)
        assert table["unbiased"].mean() == pytest.approx(0, abs=0.05)


def test_far_from_the_origin_nothing_is_lost():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(8, 6)), rng.normal(size=(50, 6))
    expected = brute_force(x, y)
    assert energy_distance(x + 1e5, y + 1e5) == pytest.approx(expected, abs=1e-8)


def test_duplicates_have_distance_zero_and_not_nan():
    x = np.repeat(np.random.default_rng(4).normal(size=(1, 5)), 6, axis=0)
    assert energy_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_too_few_wells_have_no_distance():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(9, 3))
    x[0] = np.nan
    table = energy_distances(x, np.repeat([0, 1], [5, 4]), rng.normal(size=(20, 3)))
    assert table["num_wells"].tolist() == [4, 4]
    assert table["energy_distance"].isna().all()
    with pytest.raises(DataError, match="no control well"):
        energy_distances(x, np.zeros(9, int), np.full((3, 3), np.nan))
    with pytest.raises(DataError, match="Expected at least 2"):
        energy_distance(x[1:2], x, unbiased=True)


def test_the_summary_is_mean_and_median_absolute_deviation():
    assert magnitude_summary([1.0, 2, 3, 10, np.nan]) == (4.0, 1.0, 4)
    assert np.isnan(magnitude_summary([np.nan])[0])
