"""Condition ids, lists and contradictions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from phenoprints.screens.conditions import condition_lists, condition_table, contradictions


def rows(*entries: tuple) -> pd.DataFrame:
    names = ["perturbation", "concentration_um", "cell_type", "background", "kind", "gene", "guide"]
    return pd.DataFrame(list(entries), columns=names)


def test_ids_count_sorted_keys_and_missing_concentrations_come_last():
    table = rows(
        ("b", 1.0, "", "", "compound", None, None),
        ("a", np.nan, "", "", "crispr", "G", "a"),
        (None, np.nan, "", "", "compound", None, None),
        ("b", 0.1, "", "", "compound", None, None),
        ("b", np.nan, "", "", "compound", None, None),
        ("b", 0.1, "U2OS", "", "compound", None, None),
    )
    ids, conditions = condition_table(table)
    assert list(ids) == [3, 0, -1, 1, 4, 2]
    assert list(conditions["condition_id"]) == [0, 1, 2, 3, 4]
    assert list(conditions["perturbation"]) == ["a", "b", "b", "b", "b"]
    assert conditions["gene"].tolist()[0] == "G"
    assert conditions["gene"].isna().tolist() == [False, True, True, True, True]


def test_ids_do_not_depend_on_the_row_order():
    table = rows(*((f"p{i % 7}", float(i % 3), "", "x", "other", None, None) for i in range(40)))
    ids, conditions = condition_table(table)
    order = np.random.default_rng(0).permutation(len(table))
    other_ids, other = condition_table(table.iloc[order].reset_index(drop=True))
    assert (other_ids == ids[order]).all()
    pd.testing.assert_frame_equal(other, conditions)


def test_annotations_keep_the_first_known_value():
    table = rows(*(("p", 1.0, "", "", "compound", None, None),) * 3)
    _, conditions = condition_table(table.assign(moa=[None, "y", "x"]))
    assert conditions["moa"].tolist() == ["x"]


def test_one_perturbation_with_two_genes_is_named():
    table = rows(
        ("g1", np.nan, "", "", "crispr", "A", None), ("g1", np.nan, "", "", "crispr", "B", None)
    )
    ids, _ = condition_table(table)
    (problem,) = contradictions(table, ids, "wells.csv")
    assert str(problem).startswith('wells.csv: perturbation "g1" has more than one gene: "A", "B"')


def test_lists_are_sorted_distinct_empty_or_unknown():
    well_row = np.array([3, 0, 0, 0, 2, 2])
    ids = np.array([4, 5, 1, 5, 2, -1], dtype=np.int32)
    is_unperturbed = np.array([False, True, False, False, False])
    lists = condition_lists(well_row, ids, is_unperturbed).to_pandas()
    assert list(lists[0]) == [1, 5]
    assert list(lists[1]) == []
    assert lists[2] is None
    assert list(lists[3]) == [4]
    assert lists[4] is None
    assert lists[0].dtype == np.int32


def test_lists_of_a_screen_without_any_perturbation():
    nothing = np.array([], np.int64), np.array([], np.int32)
    lists = condition_lists(*nothing, np.array([True, False])).to_pandas()
    assert list(lists[0]) == []
    assert lists[1] is None
