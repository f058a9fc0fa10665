"""The suite: the same records in any process, units that are kept, tables that are written."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from benchmarks.calibrate import measure, units
from benchmarks.calibrate.cells import all_cells, cell_of
from benchmarks.calibrate.judging import judge_cell
from benchmarks.calibrate.tables import (
    END,
    LIST_END,
    LIST_START,
    START,
    not_run_list,
    write_docs,
    write_results,
)
from benchmarks.calibrate.units import Unit, full_screens, run_unit, run_units

SMALL = cell_of("small", "covering", conditions=40, controls=16, experiments=1, features=16,
                replicates=2, judges=2)  # fmt: skip


def without_time(records):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def test_a_screen_depends_on_its_cell_and_number_alone():
    first, again = (measure.measure_screen(SMALL, 3) for _ in range(2))
    assert without_time([first]) == without_time([again])
    assert without_time([first]) != without_time([measure.measure_screen(SMALL, 4)])


def test_finished_units_are_read_and_not_measured_again(tmp_path, monkeypatch):
    unit = Unit(SMALL, 0)
    records = run_unit(unit, tmp_path)
    monkeypatch.setattr(units, "measure_screen", lambda cell, number: pytest.fail("measured again"))
    assert run_unit(unit, tmp_path) == records
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_a_unit_of_another_code_or_cell_is_another_file(tmp_path, monkeypatch):
    other = cell_of("small", "covering", conditions=17)
    names = {Unit(SMALL, 0).file(tmp_path), Unit(other, 0).file(tmp_path)}
    monkeypatch.setattr(units, "source_digest", lambda: "changed")
    names.add(Unit(SMALL, 0).file(tmp_path))
    assert len(names) == 3


def test_records_of_several_processes_are_those_of_one(tmp_path):
    work = Unit.of(SMALL, 10)
    results = run_units(work, tmp_path / "two", processes=2)["small"]
    here = [record for unit in work for record in run_unit(unit, tmp_path / "one")]
    assert without_time(results) == without_time(here)


def test_no_unit_is_started_after_the_time(tmp_path):
    work = Unit.of(SMALL, 30)
    results = run_units(work, tmp_path, processes=1, seconds=0.0)
    assert 5 <= len(results["small"]) < 30
    again = run_units(work[:1], tmp_path, seconds=0.0)  # kept, and read again
    assert without_time(again["small"]) == without_time(results["small"][:5])


def test_tables_hold_a_row_for_every_judged_figure(tmp_path):
    rows = judge_cell(SMALL, [measure.measure_screen(SMALL, k) for k in range(2)])
    write_results(rows, [SMALL], tmp_path)
    table = pd.read_csv(tmp_path / "calibration.tsv", sep="\t")
    stored = json.loads((tmp_path / "calibration.json").read_text())
    assert len(table) == len(stored["rows"]) == len(rows)
    assert set(table["test"]) >= {"conditions", "guard", "activity", "doses"}
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    write_docs(rows, [SMALL], page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "\nold\n" not in text
    assert "| small | plate-matched | 2 | 160 |" in text


def test_a_full_run_has_5000_conditions_and_50_screens_in_every_cell():
    for cell in all_cells():
        screens = full_screens(cell)
        assert screens >= 50
        assert screens * cell.layout.conditions >= 5_000


def test_the_page_lists_every_cell_whose_guard_may_be_silent():
    page = (Path(__file__).parents[2] / "docs" / "calibration.md").read_text(encoding="utf-8")
    listed = page.split(LIST_START)[1].split(LIST_END)[0].strip()
    assert listed == not_run_list(all_cells())
