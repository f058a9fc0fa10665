"""experiment_consistency: reasons, ties, errors, and what must not change a result."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

from phenoprints.consistency import Design, experiment_consistency, kernels
from phenoprints.consistency.nulls import Pool, StratifiedPool, Vectors, matched_null
from phenoprints.foundations.errors import ConfigurationError, DataError


def experiment(num_conditions=12, num_wells=4, num_features=8, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((num_conditions * num_wells, num_features))
    condition = np.repeat([f"c{i:02}" for i in range(num_conditions)], num_wells)
    x[condition == "c03"] += 6.0
    return x, condition


def test_a_planted_condition_is_found_and_the_table_is_sorted():
    x, condition = experiment()
    table = experiment_consistency(x, condition, num_null=2000)
    assert table.columns.tolist() == ["condition", "num_wells", "statistic", "p_value", "reason"]
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
    plus = experiment_consistency(x, condition, num_null=100, p_form="plus-1")["p_value"].min()
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
    for null in ("distinct-conditions", "any-wells", "layout-matched"):
        one, two = (
            experiment_consistency(
                x[rows], condition[rows],
                Design(
                    well_id=well_id[rows],
                    stratum=well_id[rows] % 3 if null == "layout-matched" else None,
                ),
                null=null, num_null=300,
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


def test_layout_matched_sets_copy_the_strata():
    """Two plates with opposite offsets: only a null that knows the plates sees no effect."""
    rng = np.random.default_rng(0)
    plate = np.repeat([0, 1], 60)
    x = rng.standard_normal((120, 6)) + np.where(plate == 0, 4.0, -4.0)[:, None]
    condition = np.tile(np.repeat(np.arange(20), 3), 2) + 20 * plate
    free = experiment_consistency(x, condition, num_null=500)["p_value"]
    matched = experiment_consistency(
        x, condition, Design(stratum=plate), num_null=500, null="layout-matched"
    )["p_value"]
    assert free.max() < 0.35
    assert 0.3 < matched.mean() < 0.7


def test_a_stratum_with_too_few_conditions():
    table = experiment_consistency(
        np.random.default_rng(0).standard_normal((6, 4)),
        ["a", "a", "b", "b", "c", "c"],
        Design(stratum=[0, 0, 0, 1, 1, 1]),
        null="layout-matched",
    )
    assert table["reason"].tolist() == ["", "", ""]
    alone = experiment_consistency(
        np.eye(4), ["a", "a", "b", "b"], Design(stratum=[0, 0, 1, 1]), null="layout-matched"
    )
    assert alone["reason"].tolist() == ["too_few_conditions"] * 2


def test_crowded_strata_are_drawn_uniformly():
    """Twelve of thirteen conditions in a set: blind draws fail, and each is left out as often."""
    pool = StratifiedPool.of(np.repeat(np.arange(13), 2), np.tile([0, 1], 13))
    sets = kernels.draw_matched(
        np.repeat([0, 1], 6), pool.strata, pool.groups, pool.rows, pool.offsets, 13_000,
        np.random.default_rng(0),
    )  # fmt: skip
    groups = np.sort(sets // 2, axis=1)
    assert (np.diff(groups, axis=1) > 0).all()
    assert (sets[:, :6] % 2 == 0).all()
    assert (sets[:, 6:] % 2 == 1).all()
    missing = 78 - groups.sum(axis=1)
    assert chisquare(np.bincount(missing, minlength=13)).pvalue > 1e-3
    too_many = kernels.draw_matched(
        np.repeat([0, 1], 7), pool.strata, pool.groups, pool.rows, pool.offsets, 5,
        np.random.default_rng(0),
    )  # fmt: skip
    assert (too_many == -1).all()


@pytest.mark.parametrize(("num_wells", "is_possible"), [(1200, True), (1500, False)])
def test_conditions_of_very_many_wells_are_drawn_and_not_listed(num_wells, is_possible):
    """As a compound on every plate of a large screen: neither recursion nor overflow."""
    pool = StratifiedPool.of(np.arange(1400), np.repeat([0, 1], 700))
    vectors = Vectors.of(np.random.default_rng(0).standard_normal((1400, 4)))
    slots = np.repeat([0, 1], num_wells // 2)
    null = matched_null(vectors, pool, slots, 50, lambda _: np.random.default_rng(1))
    assert (null is not None) == is_possible


def test_distinct_draws_are_uniform_and_their_prefixes_too():
    pool = Pool.of(np.repeat(np.arange(6), 2))
    uniforms = np.random.default_rng(0).random((12_000, 4, 2))
    sets = kernels.draw_distinct(pool.rows, pool.offsets, uniforms)
    assert (np.diff(np.sort(sets // 2, axis=1), axis=1) > 0).all()
    for j in range(4):
        assert chisquare(np.bincount(sets[:, j], minlength=12)).pvalue > 1e-3
    pairs = np.bincount(sets[:, 0] // 2 * 6 + sets[:, 1] // 2, minlength=36).reshape(6, 6)
    assert chisquare(pairs[~np.eye(6, dtype=bool)]).pvalue > 1e-3


def test_errors_name_every_problem_at_once():
    with pytest.raises(DataError) as error:
        experiment_consistency(np.eye(3), ["a", "b"], Design(well_id=[1]), null="layout-matched")
    assert "condition: 2 values for 3 wells" in str(error.value)
    assert "well_id: 1 values for 3 wells" in str(error.value)
    assert "stratum: not given" in str(error.value)
    with pytest.raises(DataError, match="1 dimensions"):
        experiment_consistency([1.0, 2.0], ["a", "b"])
    with pytest.raises(DataError, match="is_control: not given"):
        experiment_consistency(np.eye(2), ["a", "b"], null="negative-controls")
    with pytest.raises(ConfigurationError, match="one of distinct-conditions"):
        experiment_consistency(np.eye(2), ["a", "b"], null="distinct")
    with pytest.raises(ConfigurationError, match="at least 1"):
        experiment_consistency(np.eye(2), ["a", "b"], num_null=0)
