"""Roles, usable wells and the single condition of a well."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprints.foundations.errors import DataError
from phenoprints.wells import conditions as conditions_module
from phenoprints.wells import (
    control_role,
    control_wells,
    describe_wells,
    failed_wells,
    inactive_role,
    single_condition,
    usable_wells,
)
from phenoprints.wells import roles as roles_module


def wells_of(roles, experiment="e"):
    return pd.DataFrame(
        {"experiment": experiment, "role": roles, "well_id": np.arange(len(roles), dtype="u8")}
    )


def test_examples_of_docstrings():
    for module in (roles_module, conditions_module):
        assert doctest.testmod(module).failed == 0


def test_unperturbed_wells_are_controls_where_every_experiment_has_enough():
    wells = pd.concat(
        [wells_of(["unperturbed"] * 4 + ["negative_control"], e) for e in ("a", "b")],
        ignore_index=True,
    )
    assert control_role(wells) == "unperturbed"
    assert control_role(wells, min_controls=5) == "negative_control"
    assert control_role(wells, is_usable=wells.index != 2) == "negative_control"
    assert control_role(wells[1:].reset_index(drop=True)) == "negative_control"
    assert control_role(wells, "negative_control") == "negative_control"


def test_one_unperturbed_well_does_not_make_the_control_set():
    wells = wells_of(["negative_control"] * 20 + ["unperturbed"] + ["treatment"] * 19)
    mask, role = control_wells(wells)
    assert role == "negative_control"
    assert mask.sum() == 20


def test_control_wells_are_usable_ones_of_their_role():
    wells = wells_of(["negative_control", "treatment", "negative_control"])
    mask, _ = control_wells(wells, is_usable=np.array([False, True, True]))
    assert mask.tolist() == [False, False, True]
    with pytest.raises(DataError, match="Roles in the screen: negative_control, treatment"):
        control_wells(wells, "unperturbed")


def test_wells_that_stand_for_inactive_treatments_are_negative_controls_if_there_are_any():
    assert inactive_role(["unperturbed", "negative_control"]) == "negative_control"
    assert inactive_role(["unperturbed", "treatment"]) == "unperturbed"


def test_a_well_fails_by_its_own_row_not_by_one_of_its_sites():
    quality = pd.DataFrame(
        {
            "well_id": np.array([1, 1, 2, 2, 3], dtype="u8"),
            "site": [-1, 1, -1, 1, -1],
            "verdict": ["fail", "pass", "pass", "fail", "not assessed"],
        }
    )
    wells = wells_of(["treatment"] * 5)
    assert failed_wells(quality).tolist() == [1]
    assert usable_wells(wells, quality).tolist() == [True, False, True, True, True]


LISTS = st.lists(st.none() | st.lists(st.integers(0, 3), max_size=4))


@given(LISTS)
def test_the_single_condition_is_the_only_distinct_one(lists):
    expected = [-1 if not c or len(set(c)) > 1 else c[0] for c in lists]
    assert single_condition(pd.Series(lists, dtype=object)).tolist() == expected
    arrow = pa.array(lists, pa.list_(pa.int32()))
    assert single_condition(pa.chunked_array([arrow, arrow])).tolist() == expected * 2
    assert single_condition(arrow[1:]).tolist() == expected[1:]


def test_described_wells_have_the_columns_of_their_single_condition():
    wells = wells_of(["treatment"] * 4).assign(conditions=[[1], [0, 1], None, [7]])
    conditions = pd.DataFrame(
        {"condition_id": [0, 1], "gene": ["", "TP53"], "concentration_um": [1.0, 2.0]}
    )
    described = describe_wells(wells, conditions)
    assert described["condition_id"].tolist() == [1, -1, -1, -1]
    assert described["gene"].tolist() == ["TP53", "", "", ""]
    assert described["concentration_um"].isna().tolist() == [False, True, True, True]
    assert "concentration_um" not in describe_wells(wells, conditions, ["gene"])
