"""The distance of concentrations from the controls of their plates, and its test."""

from __future__ import annotations

import numpy as np
import pytest

from phenoprints.maps.control_sets import compare, pools
from phenoprints.maps.doses import contrasts, dose_lengths


def make_doses(seed=0, num=40, offset=0.0, effect=0.0, plates=6, wells=4, is_spread=True):
    """Concentrations of four wells, of 20 components, on plates of six controls."""
    rng = np.random.default_rng(seed)
    shift = offset * rng.normal(size=(plates, 20))
    group = np.repeat(np.arange(num), wells)
    one = np.repeat(rng.integers(plates, size=num), wells)
    plate = rng.integers(plates, size=num * wells) if is_spread else one
    control_plate = np.repeat(np.arange(plates), 6)
    x = shift[plate] + rng.normal(size=(num * wells, 20)) + effect
    controls = shift[control_plate] + rng.normal(size=(len(control_plate), 20))
    return compare(x, group, controls, stratum=plate, control_stratum=control_plate)


def test_the_length_is_that_of_the_mean_difference_from_the_controls_of_the_plates():
    comparison = make_doses(offset=5.0)
    table = dose_lengths(comparison, num_null=20)
    x, is_control = comparison.vectors, comparison.is_control
    for number in (0, 7):
        own = np.flatnonzero(comparison.group == number)
        differences = [
            x[row] - x[is_control & (comparison.stratum == comparison.stratum[row])].mean(axis=0)
            for row in own
        ]
        expected = np.linalg.norm(np.mean(differences, axis=0))
        assert table.loc[number, "length"] == pytest.approx(expected)


def test_every_set_is_compared_with_the_wells_that_it_leaves_over():
    comparison = make_doses(offset=5.0, num=1)
    pool = next(pools(comparison))
    x = comparison.vectors[pool.rows]
    z = contrasts(x, pool)
    stratum = comparison.stratum[pool.rows]
    chosen = np.concatenate(
        [np.flatnonzero(stratum == s)[: (comparison.stratum[:4] == s).sum()] for s in set(stratum)]
    )
    expected = np.zeros(20)
    for s in set(stratum):
        inside = np.isin(np.arange(len(x)), chosen) & (stratum == s)
        outside = (stratum == s) & ~inside
        expected += inside.sum() / 4 * (x[inside].mean(axis=0) - x[outside].mean(axis=0))
    np.testing.assert_allclose(z[chosen].sum(axis=0), expected)


@pytest.mark.parametrize("is_spread", [True, False])
def test_without_an_effect_as_many_are_called_as_the_threshold_says(is_spread):
    """Concentrations of one screen share its controls: few of each of many screens."""
    p = np.concatenate(
        [
            dose_lengths(
                make_doses(seed, num=8, offset=0.6, is_spread=is_spread),
                num_null=200,
                activity_p_value=0.05,
            )["p_value"]
            for seed in range(250)
        ]
    )
    assert (p <= 0.01).mean() <= 0.02
    assert 0.035 <= (p <= 0.05).mean() <= 0.065


def test_effects_are_found_beside_offsets_of_plates():
    table = dose_lengths(make_doses(offset=3.0, effect=1.0), num_null=1000)
    assert (table["p_value"] < 0.01).mean() > 0.9
    assert (table["length"] > table["null_length"]).mean() > 0.9


def test_a_constant_added_to_all_wells_changes_nothing():
    comparison = make_doses()
    before = dose_lengths(comparison, num_null=50)
    comparison.vectors[:] += 100
    after = dose_lengths(comparison, num_null=50)
    np.testing.assert_allclose(before["length"], after["length"])
    np.testing.assert_array_equal(before["p_value"], after["p_value"])


def test_lengths_and_p_values_are_combined_over_folds():
    folds = [make_doses(seed) for seed in range(3)]
    single = [dose_lengths(fold, num_null=200) for fold in folds]
    whole = dose_lengths(iter(folds), num_null=200)
    np.testing.assert_allclose(whole["length"], np.mean([t["length"] for t in single], axis=0))
    p = np.array([t["p_value"] for t in single])
    assert ((p.min(axis=0) <= whole["p_value"]) & (whole["p_value"] <= p.max(axis=0))).all()


def test_too_few_controls_leave_a_concentration_untested():
    comparison = make_doses(num=5, wells=1)
    table = dose_lengths(comparison)
    assert (table["reason"] == "too_few_sets").all()
    assert table["p_value"].isna().all()
    assert table["length"].notna().all()
