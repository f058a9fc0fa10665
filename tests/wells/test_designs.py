"""Designs of conditions, and which rows of a reader belong to which wells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.errors import DataError
from phenoprints.wells import (
    check_reader,
    compositions,
    design_table,
    experiment_rows,
    single_plate,
    single_position,
)
from phenoprints.wells.designs import fixed_positions

WELLS = pd.DataFrame(
    [
        ("e1", "p1", "A01", "x"), ("e1", "p1", "A02", "x"), ("e1", "p2", "A01", "x"),
        ("e1", "p1", "B01", "y"), ("e1", "p2", "B01", "y"),
        ("e1", "p2", "C01", "z"), ("e1", "p2", "C02", "z"),
        ("e2", "p1", "B01", "y"), ("e2", "p1", "D01", None), ("e2", "p1", "D02", "w"),
    ],
    columns=["experiment", "plate", "well", "label"],
)  # fmt: skip


def test_a_design_counts_wells_by_experiment_plate_and_position():
    design = design_table(WELLS, WELLS["label"])
    assert design["num_wells"].sum() == 9
    x = design[design["label"] == "x"]
    assert x[["plate", "well"]].to_numpy().tolist() == [["p1", "A01"], ["p1", "A02"], ["p2", "A01"]]


def test_compositions_count_wells_of_each_plate():
    found = compositions(design_table(WELLS, WELLS["label"]))
    assert found[("e1", "x")] == (("p1", 2), ("p2", 1))
    assert found[("e1", "y")] == (("p1", 1), ("p2", 1))
    assert found[("e2", "y")] == (("p1", 1),)
    positions = compositions(design_table(WELLS, WELLS["label"]), by="well")
    assert positions[("e1", "x")] == (("A01", 2), ("A02", 1))


def test_single_position_and_single_plate_need_two_wells():
    assert single_position(WELLS, WELLS["label"]).to_dict() == {
        "w": False, "x": False, "y": True, "z": False,
    }  # fmt: skip
    assert single_plate(WELLS, WELLS["label"]).to_dict() == {
        "w": False, "x": False, "y": False, "z": True,
    }  # fmt: skip


def test_fixed_positions_are_the_share_of_conditions_that_never_move():
    assert fixed_positions(WELLS, WELLS["label"]) == 0.5
    assert np.isnan(fixed_positions(WELLS[5:7], WELLS["label"][5:7]))


class Reader:
    attributes: dict = {}  # noqa: RUF012

    def __init__(self, *experiments):
        self.experiments = list(experiments)


def test_rows_of_experiments_are_ascending_in_any_order_of_the_table():
    mixed = WELLS.iloc[::-1].reset_index(drop=True)
    rows = experiment_rows(mixed)
    assert list(rows) == ["e1", "e2"]
    assert rows["e2"].tolist() == [0, 1, 2]


def test_a_reader_of_other_experiments_is_refused_with_all_of_them_named():
    wells = WELLS.assign(well_id=np.arange(len(WELLS), dtype="u8"))
    check_reader(wells, Reader("e1", "e2"))
    with pytest.raises(DataError, match=r'"e2" is missing[\s\S]*"e3" is not in the wells table'):
        check_reader(wells, Reader("e1", "e3"))
