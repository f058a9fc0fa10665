"""Sets of wells that copy the design of a condition, and the exactness of tests that use them."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest

from phenoprints.alignment import HeldOut
from phenoprints.foundations.errors import DataError
from phenoprints.maps.control_sets import (
    Folds,
    SetDrawer,
    Sets,
    all_sets,
    compare,
    comparisons,
    drawn_sets,
    permutation_tests,
    pools,
    relabelled,
    some_groups,
    strata,
)


def make_comparison(seed=0, offset=0.0, effect=0.0):
    """Group 0 on plates 0 and 1, group 1 on plate 1, group 2 on a plate without controls."""
    rng = np.random.default_rng(seed)
    group = np.array([0, 0, 0, 1, 1, 2, 2])
    plate = np.array([0, 0, 1, 1, 1, 9, 9])
    control_plate = np.repeat([0, 1], [4, 3])
    shift = offset * rng.normal(size=(10, 5))
    x = rng.normal(size=(7, 5)) + shift[plate]
    x[group == 0] += effect
    controls = rng.normal(size=(7, 5)) + shift[control_plate]
    return compare(x, group, controls, stratum=plate, control_stratum=control_plate)


def test_a_pool_holds_the_controls_and_the_own_wells_of_each_plate():
    comparison = make_comparison()
    first, second = pools(comparison)
    assert (first.number, second.number) == (0, 1)
    assert first.sizes == ((6, 2), (4, 1))
    assert first.rows[first.own].tolist() == [0, 1, 2]
    assert set(first.rows) == {0, 1, 2, *range(7, 14)}
    assert first.num_sets == comb(6, 2) * 4
    assert second.sizes == ((5, 2),)


def test_wells_without_a_vector_take_no_part():
    comparison = make_comparison()
    comparison.vectors[[0, 8]] = np.nan
    first = next(pools(comparison))
    assert first.sizes == ((4, 1), (4, 1))
    assert not {0, 8} & set(first.rows.tolist())


def test_all_sets_are_those_of_enumeration():
    sets = all_sets([(4, 2), (3, 1)])
    expected = {(*a, b) for a in combinations(range(4), 2) for b in range(4, 7)}
    assert {tuple(row) for row in sets.tolist()} == expected
    assert len(sets) == 18


def test_drawn_sets_are_equally_likely_and_hold_distinct_wells():
    sets = np.sort(drawn_sets([(4, 2), (3, 2)], 18_000, np.random.default_rng(0)), axis=1)
    found, counts = np.unique(sets, axis=0, return_counts=True)
    assert len(found) == 18
    assert (np.diff(found, axis=1) > 0).all()
    np.testing.assert_allclose(counts / 18_000, 1 / 18, atol=0.006)


def test_draws_depend_on_the_numbers_of_wells_alone():
    pool = next(pools(make_comparison()))
    drawer = SetDrawer(10, 3, "test")
    first = drawer.sets(pool)
    assert not first.are_all
    other = SetDrawer(10, 3, "test")
    other.sets(list(pools(make_comparison()))[1])
    np.testing.assert_array_equal(other.sets(pool).positions, first.positions)
    assert (SetDrawer(10, 4, "test").sets(pool).positions != first.positions).any()


@pytest.mark.parametrize(("are_all", "p"), [(True, 3 / 4), (False, 4 / 5)])
def test_ties_count_and_the_own_wells_are_a_set_like_any_other(are_all, p):
    sets = Sets(np.zeros((4, 1), np.int64), are_all)
    assert sets.p_value(np.array([1.0, 2, 2 - 1e-12, 3]), 2.0) == p


def first_component(comparison):
    """The mean of the first component of a set."""
    return lambda pool: lambda sets: comparison.vectors[pool.rows, 0][sets].mean(axis=1)


def test_the_p_value_is_that_of_exact_enumeration():
    comparison = make_comparison()
    table = permutation_tests(comparison, first_component, SetDrawer(1000, 0), threshold=1)
    x = comparison.vectors[:, 0]
    own = x[[0, 1, 2]].mean()
    values = [
        (x[a] + x[b] + x[c]) / 3
        for a, b in combinations([0, 1, 7, 8, 9, 10], 2)
        for c in (2, 11, 12, 13)
    ]
    assert table.loc[0, "value"] == pytest.approx(own)
    assert table.loc[0, "null_value"] == pytest.approx(np.mean(values))
    assert table.loc[0, "p_value"] == pytest.approx(np.mean(np.array(values) >= own - 1e-12))
    assert table.loc[0, "num_sets"] == 60


def test_groups_that_cannot_be_tested_say_why():
    table = permutation_tests(
        make_comparison(), first_component, SetDrawer(1000, 0), threshold=0.05
    )
    assert table["reason"].tolist() == ["", "too_few_sets", "no_controls"]
    assert table["p_value"].isna().tolist() == [False, True, True]
    assert table["num_sets"].tolist() == [60, 10, 0]
    assert table["num_compared"].tolist() == [3, 2, 0]
    assert table.loc[1, "smallest_p"] == pytest.approx(0.1)


def test_without_an_effect_p_values_are_uniform_whatever_the_offsets_of_plates():
    p = [
        permutation_tests(
            make_comparison(seed, offset=3.0), first_component, SetDrawer(1000, 0), threshold=1
        )["p_value"][0]
        for seed in range(400)
    ]
    for threshold in (0.1, 0.3, 0.6):
        sd = np.sqrt(threshold * (1 - threshold) / 400)
        assert abs(np.mean(np.array(p) <= threshold) - threshold) < 3.3 * sd


def test_folds_are_combined_by_cauchys_method():
    """Two folds of p 0.01 give 0.01; a mean of p-values would call too little without effect."""
    pool = next(pools(make_comparison()))
    folds = Folds(1)
    sets = Sets(np.zeros((99, 3), np.int64), False)
    for _ in range(2):
        folds.add(pool, sets, np.arange(99.0), 99.0)
    table = folds.table(0.05)
    assert table["p_value"].item() == pytest.approx(1 / 100)
    assert table["value"].item() == 99
    assert table["null_value"].item() == pytest.approx(49)


def test_relabelling_stays_within_plates_and_keeps_the_design():
    comparison = make_comparison(offset=100.0)
    mixed = relabelled(comparison, np.random.default_rng(0))
    np.testing.assert_array_equal(mixed.group, comparison.group)
    for plate in (0, 1, 9):
        rows = comparison.stratum == plate
        before, after = comparison.vectors[rows], mixed.vectors[rows]
        np.testing.assert_array_equal(np.sort(before, axis=0), np.sort(after, axis=0))
    assert (mixed.vectors != comparison.vectors).any()
    assert set(some_groups(comparison, np.array([1])).group) == {-1, 1}


class Reader:
    """Two folds of an experiment's controls; the other controls are NaN."""

    num_folds = 2

    def read_held_out(self, experiment, fold):
        held = np.arange(8) % 4 == 2 * fold + 1
        vectors = np.full((8, 3), float(fold), np.float32)
        vectors[np.arange(8) % 4 == 3 - 2 * fold] = np.nan
        return HeldOut(fold, vectors, held)


def make_wells():
    return pd.DataFrame({"experiment": "e", "plate": ["p", "q"] * 4})


def test_a_comparison_of_a_fold_holds_its_controls_and_the_wells_of_groups():
    group = np.array([0, -1, -1, -1, 1, -1, 2, -1])
    usable = np.ones(8, bool)
    usable[[4, 5]] = False
    wells = make_wells()
    first, second = comparisons(wells, Reader(), group, stratum=strata(wells), is_usable=usable)
    assert first.group.tolist() == [0, -1, 2]
    assert first.is_control.tolist() == [False, True, False]
    assert first.stratum.tolist() == [0, 1, 0]
    assert first.num_groups == 3
    assert (second.vectors == 1).all()
    assert second.is_control.sum() == 2


def test_an_alignment_without_folds_is_refused():
    class Plain:
        num_folds = 0

    wells = make_wells()
    with pytest.raises(DataError, match=r"alignment\.folds"):
        next(
            comparisons(
                wells, Plain(), np.zeros(8, int), stratum=strata(wells), is_usable=np.ones(8, bool)
            )
        )


def test_strata_are_plates_or_experiments():
    wells = pd.DataFrame({"experiment": ["a", "a", "b", "b"], "plate": ["1", "2", "1", "1"]})
    assert strata(wells).tolist() == [0, 1, 2, 2]
    assert strata(wells, "experiment").tolist() == [0, 0, 1, 1]


def test_no_usable_control_is_an_error():
    comparison = make_comparison()
    comparison.vectors[comparison.is_control] = np.nan
    with pytest.raises(DataError, match="no control well"):
        permutation_tests(comparison, first_component, SetDrawer(10, 0), threshold=1)
