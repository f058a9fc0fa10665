"""experiment_consistency: reasons, ties, errors, and what must not change a result."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

from phenoprints.consistency import Design, drawing
from phenoprints.consistency import experiment_consistency as any_null_consistency
from phenoprints.consistency.nulls import null_counts
from phenoprints.consistency.pool import Pool
from phenoprints.consistency.shared import Comparison
from phenoprints.consistency.vectors import Vectors
from phenoprints.foundations.errors import ConfigurationError, DataError


def experiment_consistency(x, condition, design=None, *, null_model="experiment", **options):
    """Most tests here are about one experiment without plates."""
    return any_null_consistency(x, condition, design, null_model=null_model, **options)


def experiment(num_conditions=12, num_wells=4, num_features=8, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((num_conditions * num_wells, num_features))
    condition = np.repeat([f"c{i:02}" for i in range(num_conditions)], num_wells)
    x[condition == "c03"] += 6.0
    return x, condition


def test_a_planted_condition_is_found_and_the_table_is_sorted():
    x, condition = experiment()
    table = experiment_consistency(x, condition, num_null=2000)
    assert table.columns.tolist() == [
        "condition", "num_wells", "statistic", "p_value", "reason", "num_sets", "smallest_p",
    ]  # fmt: skip
    assert table["condition"].is_monotonic_increasing
    assert table.set_index("condition")["p_value"].idxmin() == "c03"
    assert table["p_value"].min() <= 2 / 2000
    assert (table["num_wells"] == 4).all()


def test_every_reason():
    x, condition = experiment(6, 3)
    x[condition == "c00"] = 0.0
    x[np.flatnonzero(condition == "c01")[0], 2] = np.inf
    condition[np.flatnonzero(condition == "c02")[:2]] = "c04"
    condition[condition == "c05"] = "c04"
    table = experiment_consistency(x, condition).set_index("condition")
    assert table["reason"].to_dict() == {
        "c00": "zero_vector",
        "c01": "not_finite",
        "c02": "too_few_wells",
        "c03": "",
        "c04": "too_few_conditions",  # eight wells; a null set has at most one of each condition
    }
    assert (table["p_value"].isna() == (table["reason"] != "")).all()
    assert table["statistic"].isna().to_dict()["c00"]


def test_too_few_conditions_when_there_is_one():
    table = experiment_consistency(np.eye(3), ["a", "a", "a"])
    assert table["reason"].tolist() == ["too_few_conditions"]
    assert table["statistic"].tolist() == pytest.approx([1 / 3])


def test_equal_wells_tie_with_every_null_set():
    x = np.tile(np.random.default_rng(0).standard_normal(7), (60, 1)) * np.arange(1, 61)[:, None]
    table = experiment_consistency(x, np.repeat(np.arange(20), 3), num_null=500)
    assert table["p_value"].tolist() == [1.0] * 20


def test_forms_of_the_p_value():
    x, condition = experiment(40, 3)
    x[condition == "c00"] = [50.0] * 8
    least = experiment_consistency(x, condition, num_null=100)["p_value"].min()
    plus = experiment_consistency(x, condition, num_null=100, p_value_formula="plus-1")[
        "p_value"
    ].min()
    assert (least, plus) == (1 / 100, 1 / 101)


def test_wells_without_a_condition_are_drawn_from_but_not_tested():
    x, condition = experiment(30, 2)
    labels = np.where(np.arange(60) < 20, condition, None)
    table = experiment_consistency(x, labels, Design(group=condition), num_null=200)
    assert table["condition"].tolist() == sorted(set(condition[:20]))
    assert not table["p_value"].isna().any()


def test_rows_in_any_order_give_the_same_table():
    x, condition = experiment(30, 3)
    well_id = np.random.default_rng(5).permutation(90).astype(np.uint64)
    shuffled = np.random.default_rng(6).permutation(90)
    for null in ("experiment", "plate-matched", "any-wells", "layout-matched"):
        one, two = (
            experiment_consistency(
                x[rows], condition[rows],
                Design(
                    well_id=well_id[rows],
                    plate=well_id[rows] % 3,
                    edge=well_id[rows] % 2,
                ),
                null_model=null, num_null=300,
            )
            for rows in (np.arange(90), shuffled)
        )  # fmt: skip
        pd.testing.assert_frame_equal(one, two)


def test_the_stream_is_keyed_by_seed_and_experiment():
    x, condition = experiment(30, 3)
    values = {
        key: tuple(
            experiment_consistency(x, condition, Design(key[1]), seed=key[0], num_null=300)[
                "p_value"
            ]
        )
        for key in [(0, "a"), (0, "b"), (1, "a")]
    }
    assert len(set(values.values())) == 3


def test_length_of_vectors_does_not_matter():
    x, condition = experiment(30, 3)
    scale = 2.0 ** np.random.default_rng(0).integers(-20, 20, 90)[:, None]
    one = experiment_consistency(x.astype("f4"), condition, num_null=300)
    two = experiment_consistency((x * scale).astype("f4"), condition, num_null=300)
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize("null_model", ["plate-matched", "layout-matched"])
def test_matched_sets_copy_the_plates(null_model):
    """Two plates with opposite offsets: only a null that knows the plates sees no effect."""
    rng = np.random.default_rng(0)
    plate = np.repeat([0, 1], 60)
    x = rng.standard_normal((120, 6)) + np.where(plate == 0, 4.0, -4.0)[:, None]
    condition = np.tile(np.repeat(np.arange(20), 3), 2) + 20 * plate
    free = experiment_consistency(x, condition, num_null=500)["p_value"]
    design = Design(plate=plate, edge=np.zeros(120))
    matched = experiment_consistency(x, condition, design, num_null=500, null_model=null_model)
    assert free.max() < 0.35
    assert 0.3 < matched["p_value"].mean() < 0.7


def test_layout_matched_sets_copy_the_edge():
    """Wells on the rim differ from others: only a null that knows the rim sees no effect."""
    rng = np.random.default_rng(0)
    edge = np.tile(np.repeat([0, 1], 30), 2)
    plate = np.repeat([0, 1], 60)
    x = rng.standard_normal((120, 6)) + np.where(edge == 0, 4.0, -4.0)[:, None]
    condition = np.tile(np.arange(60), 2)
    p = {
        null_model: experiment_consistency(
            x, condition, Design(plate=plate, edge=edge), num_null=500, null_model=null_model
        )["p_value"]
        for null_model in ("plate-matched", "layout-matched")
    }
    assert p["plate-matched"].max() < 0.6
    assert 0.4 < p["layout-matched"].mean() < 0.6


def test_with_one_plate_plate_matched_differs_by_sets_with_several_own_wells():
    """With 60 conditions of three wells fewer than one in 500 sets have two own wells."""
    for num_conditions, is_equal in ((60, True), (30, False)):
        x, condition = experiment(num_conditions, 3)
        design = Design("e", plate=np.zeros(len(x)))
        one, two = (
            experiment_consistency(x, condition, design, num_null=3000, null_model=null_model)
            for null_model in ("experiment", "plate-matched")
        )
        assert one.equals(two) == is_equal
        assert np.abs(one["p_value"] - two["p_value"]).max() < 0.01


def test_across_experiments_sets_copy_experiments_and_plates():
    """Plates of one name in two experiments are different plates."""
    rng = np.random.default_rng(1)
    name = np.repeat(["e1", "e2"], 80)
    plate = np.tile(np.repeat([0, 1], 40), 2)
    x = rng.standard_normal((160, 6)) + 4.0 * rng.standard_normal((4, 6))[np.arange(160) // 40]
    condition = np.tile(np.arange(40), 4) + 40 * (np.arange(160) // 80)  # two plates of one each
    by_plate, by_experiment = (
        experiment_consistency(
            x, condition, Design(name, plate=plate), num_null=500, null_model=null_model
        )["p_value"]
        for null_model in ("plate-matched", "experiment")
    )
    assert 0.35 < by_plate.mean() < 0.65
    assert abs(by_experiment.mean() - 0.5) > 0.15


def test_plates_with_too_few_conditions():
    alone = experiment_consistency(
        np.eye(4), ["a", "a", "b", "b"], Design(plate=[0, 0, 1, 1]), null_model="plate-matched"
    )
    assert alone["reason"].tolist() == ["too_few_conditions"] * 2
    assert alone[["num_sets", "smallest_p"]].isna().all(axis=None)


def test_too_few_sets_is_told_and_no_other_null_steps_in():
    """Ten conditions of one well on each of two plates: 90 pairs of different conditions."""
    x = np.random.default_rng(0).standard_normal((20, 4))
    condition, plate = np.tile(np.arange(10), 2), np.repeat([0, 1], 10)
    table = experiment_consistency(x, condition, Design(plate=plate), null_model="plate-matched")
    assert (table["reason"] == "too_few_sets").all()
    assert table["p_value"].isna().all()
    assert table["statistic"].notna().all()
    assert (table["num_sets"] == 90).all()
    assert table["smallest_p"].tolist() == [1 / 91] * 10
    enough = experiment_consistency(
        x, condition, Design(plate=plate), null_model="plate-matched", threshold=0.02
    )
    assert (enough["reason"] == "").all()
    assert enough["p_value"].min() >= 1 / 91


def test_smallest_p_and_num_sets_of_every_null_model():
    condition = np.repeat(np.arange(12), 2)
    design = Design(plate=np.tile([0, 1], 12), edge=np.zeros(24), is_control=condition > 8)
    x = np.random.default_rng(0).standard_normal((24, 4))
    labels = np.where(condition < 9, condition, -1).astype(object)
    labels[condition > 8] = None
    expected = {  # nine conditions of two wells, six controls
        "experiment": (36 * 4, 1 / 145),
        "plate-matched": (72, 1 / 73),
        "layout-matched": (72, 1 / 73),
        "any-wells": (153, 1 / 153),
        "negative-controls": (15, 1 / 16),
    }
    for null_model, (num_sets, smallest) in expected.items():
        table = experiment_consistency(x, labels, design, null_model=null_model, threshold=0.5)
        assert table["num_sets"].tolist() == [num_sets] * 9, null_model
        assert table["smallest_p"].tolist() == [smallest] * 9, null_model
    drawn = experiment_consistency(x, labels, design, num_null=100, null_model="experiment")
    assert drawn[["num_sets", "smallest_p"]].to_numpy().tolist() == [[144, 0.01]] * 9
    plus = experiment_consistency(x, labels, design, num_null=100, p_value_formula="plus-1")
    assert plus["smallest_p"].tolist() == [1 / 101] * 9


def test_wells_outside_of_the_pool_are_tested_against_it():
    """Pseudo-conditions of controls: null sets are treatments, with the controls' design."""
    rng = np.random.default_rng(0)
    plate = np.tile([0, 1], 60)
    treated = np.arange(120) < 80
    x = rng.standard_normal((120, 5)) + np.where(plate == 0, 3.0, -3.0)[:, None]
    pseudo = np.where(treated, None, np.arange(120) // 4)  # two wells on each plate
    group = np.where(treated, np.arange(120) // 4, None)
    table = experiment_consistency(
        x, pseudo, Design(group=group, plate=plate), null_model="plate-matched", num_null=500
    )
    assert table["condition"].tolist() == list(range(20, 30))
    assert (table["num_wells"] == 4).all()
    assert 0.2 < table["p_value"].mean() < 0.8
    alone = experiment_consistency(
        x, group, Design(plate=plate), null_model="plate-matched", num_null=500
    )
    by_size = alone.set_index("condition")["num_sets"]
    assert table["num_sets"].iloc[0] == pytest.approx(by_size.iloc[0], rel=0.05)
    shifted = x.copy()
    shifted[~treated] = rng.standard_normal((40, 5))  # controls that no longer enter the null
    moved = experiment_consistency(
        shifted, group, Design(plate=plate), null_model="plate-matched", num_null=500
    )
    pd.testing.assert_frame_equal(alone, moved)


def test_wells_outside_of_the_pool_cannot_draw_themselves():
    """Under any-wells a set can draw itself only where its wells are in the pool."""
    x = np.random.default_rng(0).standard_normal((12, 3))
    label = np.array([None] * 8 + ["c"] * 2 + ["d"] * 2, dtype=object)
    group = np.array([*range(8), *[None] * 4], dtype=object)
    table = experiment_consistency(x, label, Design(group=group), null_model="any-wells")
    assert table["smallest_p"].tolist() == [1 / 29] * 2


def arrays(pool):
    return drawing.PoolArrays(pool.strata, pool.groups, pool.rows, pool.offsets)


def test_crowded_strata_are_drawn_uniformly():
    """Twelve of thirteen conditions in a set: blind draws fail, and each is left out as often."""
    pool = Pool.of(np.repeat(np.arange(13), 2), np.tile([0, 1], 13))
    random = np.random.default_rng(0)
    sets, *_ = drawing.draw_matched(np.repeat([0, 1], 6), arrays(pool), 13_000, random)
    groups = np.sort(sets // 2, axis=1)
    assert (np.diff(groups, axis=1) > 0).all()
    assert (sets[:, :6] % 2 == 0).all()
    assert (sets[:, 6:] % 2 == 1).all()
    missing = 78 - groups.sum(axis=1)
    assert chisquare(np.bincount(missing, minlength=13)).pvalue > 1e-3
    too_many, *_ = drawing.draw_matched(np.repeat([0, 1], 7), arrays(pool), 5, random)
    assert (too_many == -1).all()


@pytest.mark.parametrize(("num_wells", "is_possible"), [(1200, True), (1500, False)])
def test_conditions_of_very_many_wells_are_drawn_and_not_listed(num_wells, is_possible):
    """As a compound on every plate of a large screen: neither recursion nor overflow."""
    pool = Pool.of(np.arange(1400), np.repeat([0, 1], 700))
    vectors = Vectors.of(np.random.default_rng(0).standard_normal((1400, 4)))
    test = Comparison(np.repeat([0, 1], num_wells // 2), np.zeros(1))
    [counts] = null_counts(vectors, pool, [test], 50, lambda _: np.random.default_rng(1))
    assert (counts is not None) == is_possible


def test_distinct_draws_are_uniform_and_their_prefixes_too():
    pool = Pool.of(np.repeat(np.arange(6), 2), np.zeros(12, dtype=np.int64))
    uniforms = np.random.default_rng(0).random((12_000, 4, 2))
    sets = pool.rows[
        drawing.draw_distinct(np.zeros(4, np.int64), pool.strata, pool.offsets, uniforms)
    ]
    assert (np.diff(np.sort(sets // 2, axis=1), axis=1) > 0).all()
    for j in range(4):
        assert chisquare(np.bincount(sets[:, j], minlength=12)).pvalue > 1e-3
    pairs = np.bincount(sets[:, 0] // 2 * 6 + sets[:, 1] // 2, minlength=36).reshape(6, 6)
    assert chisquare(pairs[~np.eye(6, dtype=bool)]).pvalue > 1e-3


def test_errors_name_every_problem_at_once():
    with pytest.raises(DataError) as error:
        any_null_consistency(np.eye(3), ["a", "b"], Design(well_id=[1]))
    assert "condition: 2 values for 3 wells" in str(error.value)
    assert "well_id: 1 values for 3 wells" in str(error.value)
    assert "plate: not given" in str(error.value)
    assert 'null_model="experiment"' in str(error.value)
    with pytest.raises(DataError, match="plate: a value is missing"):
        any_null_consistency(np.eye(2), ["a", "b"], Design(plate=["p", None]))
    with pytest.raises(DataError, match="1 dimensions"):
        experiment_consistency([1.0, 2.0], ["a", "b"])
    with pytest.raises(DataError, match="is_control: not given"):
        experiment_consistency(np.eye(2), ["a", "b"], null_model="negative-controls")
    with pytest.raises(ConfigurationError, match="one of plate-matched, experiment"):
        experiment_consistency(np.eye(2), ["a", "b"], null_model="distinct")
    with pytest.raises(ConfigurationError, match="at least 1"):
        experiment_consistency(np.eye(2), ["a", "b"], num_null=0)
