"""A small part of the calibration: three designs, five screens each."""

from __future__ import annotations

import pytest
from benchmarks.calibrate.cells import all_cells
from benchmarks.calibrate.judging import FAIL, judge_cell
from benchmarks.calibrate.measure import measure_screen

CELLS = {cell.name: cell for cell in all_cells()}


@pytest.fixture(scope="module")
def rows():
    """The rows of one cell, measured once."""
    kept = {}

    def of(name):
        if name not in kept:
            records = [measure_screen(CELLS[name], number) for number in range(5)]
            kept[name] = judge_cell(CELLS[name], records)
        return kept[name]

    return of


def one(rows, null_model, test):
    return next(r for r in rows if (r["null_model"], r["test"]) == (null_model, test))


@pytest.mark.parametrize("name", ["p-one-plate-0.6", "p-many-plates-0.6", "c28"])
def test_no_judged_row_fails(rows, name):
    assert [row for row in rows(name) if row["verdict"] == FAIL] == []


def test_plates_that_pass_for_phenoprints_are_called_and_the_guard_reports_it(rows):
    """Replicates on one plate, tested as in the paper: the rate is large, and is measured."""
    cell = rows("p-one-plate-0.6")
    assert one(cell, "experiment", "conditions")["called_0.01"] > 0.3
    assert one(cell, "experiment", "guard")["guard"] > 0.3
    assert one(cell, "plate-matched", "conditions")["called_0.01"] < 0.03


def test_spread_replicates_lose_their_calls_to_plates_under_the_paper_s_null(rows):
    cell = rows("p-many-plates-0.6")
    assert one(cell, "experiment", "conditions")["called_0.05"] < 0.02
    assert one(cell, "plate-matched", "conditions")["called_0.05"] > 0.02
