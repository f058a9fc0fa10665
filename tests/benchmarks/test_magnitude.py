from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance as scipy_energy_distance

from phenoprints.benchmarks import energy_distance, energy_distances
from phenoprints.benchmarks.magnitude import magnitude_summary
from phenoprints.benchmarks.matched_energy import MAX_STRATA, cross_fitted_energy, matched_energy
from phenoprints.foundations.errors import DataError
from phenoprints.maps.control_sets import compare


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


def make_plates(seed=0, offset=0.0, spread=0.0, num=40, size=5, plates=4, is_one_plate=False):
    """Wells and controls of plates that differ in position and in spread, without effects."""
    rng = np.random.default_rng(seed)
    shift = offset * rng.normal(size=(plates, 30))
    scale = np.exp(spread * rng.normal(size=plates))
    group = np.repeat(np.arange(num), size)
    plate = rng.integers(plates, size=len(group))
    if is_one_plate:
        plate = np.repeat(rng.integers(plates, size=num), size)
    control_plate = np.repeat(np.arange(plates), 8)
    wells, controls = (
        shift[at] + scale[at, None] * rng.normal(size=(len(at), 30))
        for at in (plate, control_plate)
    )
    return compare(wells, group, controls, stratum=plate, control_stratum=control_plate)


def matched_by_brute_force(comparison, number):
    """The mean over pairs of wells of the four terms, pair by pair."""
    x, stratum = comparison.vectors, comparison.stratum
    distance = cdist(x, x)
    controls = {
        s: np.flatnonzero(comparison.is_control & (stratum == s)) for s in np.unique(stratum)
    }
    own = np.flatnonzero(comparison.group == number)
    values = []
    for i in own:
        for j in own[own != i]:
            p, q = controls[stratum[i]], controls[stratum[j]]
            among = [distance[a, b] for a in p for b in q if a != b]
            values.append(
                distance[i, q].mean() + distance[j, p].mean() - distance[i, j] - np.mean(among)
            )
    return np.mean(values)


def test_the_matched_distance_is_that_of_brute_force():
    comparison = make_plates(offset=1.0, num=6, size=7)
    expected = [matched_by_brute_force(comparison, g) for g in range(6)]
    np.testing.assert_allclose(matched_energy(comparison), expected, atol=1e-9)


def test_on_one_plate_the_matched_distance_is_the_u_statistic():
    comparison = make_plates(num=6, plates=1)
    x, controls = comparison.vectors[comparison.group >= 0], comparison.vectors[-8:]
    table = energy_distances(x, comparison.group[comparison.group >= 0], controls)
    np.testing.assert_allclose(matched_energy(comparison), table["unbiased"], atol=1e-9)


@pytest.mark.parametrize("is_one_plate", [True, False])
@pytest.mark.parametrize("size", [2, 5, 20])
def test_without_an_effect_it_is_0_whatever_plates_add_to_their_wells(size, is_one_plate):
    """The plain U-statistic of the same wells is not."""
    matched, plain, typical = [], [], []
    for seed in range(50):
        wells = make_plates(seed, 0.6, 0.2, num=20, size=size, is_one_plate=is_one_plate)
        matched.append(matched_energy(wells, min_wells=2).mean())
        own = wells.group >= 0
        table = energy_distances(
            wells.vectors[own], wells.group[own], wells.vectors[~own], min_wells=2
        )
        plain.append(table["unbiased"].mean())
        typical.append(cdist(wells.vectors[::7], wells.vectors[::7]).mean())
    bound = 0.01 * np.mean(typical)
    assert abs(np.mean(matched)) < bound
    if is_one_plate:
        assert np.mean(plain) > 3 * bound


def test_an_effect_is_found_beside_offsets_of_plates():
    wells = make_plates(offset=1.0)
    plain = matched_energy(wells)
    wells.vectors[wells.group >= 0] += 0.7
    assert (matched_energy(wells) > plain).all()
    assert matched_energy(wells).min() > 0


def test_values_are_means_over_folds_and_wells_beside_no_controls_are_left_out():
    folds = [make_plates(seed) for seed in range(2)]
    folds[1].stratum[folds[1].group == 3] = 99
    single = [cross_fitted_energy(fold) for fold in folds]
    both = cross_fitted_energy(iter(folds))
    expected = (single[0]["energy_distance"] + single[1]["energy_distance"]) / 2
    np.testing.assert_allclose(both["energy_distance"].drop(3), expected.drop(3), atol=0.2)
    assert np.isnan(single[1]["unbiased"][3])
    assert both["unbiased"][3] == single[0]["unbiased"][3]
    assert (both["num_wells"] == 5).all()


def test_of_many_plates_some_are_drawn():
    rng = np.random.default_rng(0)
    plates = 2 * MAX_STRATA
    wells = compare(
        rng.normal(size=(plates, 5)), np.zeros(plates, int), rng.normal(size=(2 * plates, 5)),
        stratum=np.arange(plates), control_stratum=np.repeat(np.arange(plates), 2),
    )  # fmt: skip
    assert matched_energy(wells, seed=1)[0] == matched_energy(wells, seed=1)[0]
    assert matched_energy(wells, seed=1)[0] != matched_energy(wells, seed=2)[0]
