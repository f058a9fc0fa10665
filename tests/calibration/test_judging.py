"""Verdicts on planted records: what must fail fails, what is allowed passes."""

from __future__ import annotations

import pytest
from benchmarks.calibrate.cells import cell_of
from benchmarks.calibrate.judging import (
    FAIL,
    NOT_JUDGED,
    PASS,
    _distance_row,
    judge_all,
    judge_cell,
    may_not_run,
)


def counts(called, *, null_model="plate-matched", test="conditions", judge="judge-1", **more):
    row = {"null_model": null_model, "test": test, "judge": judge, "tested": 80}
    return {**row, "called_0.01": called, "called_0.05": 4, **more}


def guard(rate, low, high, *, null_model="plate-matched", judge="judge-1", reason=None):
    return {
        "null_model": null_model, "judge": judge, "tests": 40, "below": 0, "rate": rate,
        "low": low, "high": high, "reason": reason,
    }  # fmt: skip


def records(make_counts, make_guard=lambda k: [], screens=20, warnings=()):
    return [
        {"screen": k, "counts": make_counts(k), "guard": make_guard(k), "warnings": warnings}
        for k in range(screens)
    ]


def verdicts(rows):
    return {(row["null_model"], row["test"], row["judge"]): row["verdict"] for row in rows}


def test_nominal_rates_pass_and_inflated_ones_fail():
    cell = cell_of("x", "covering")
    assert verdicts(judge_cell(cell, records(lambda k: [counts(k % 2)])))[
        ("plate-matched", "conditions", "each")
    ] == PASS  # fmt: skip
    rows = judge_cell(cell, records(lambda k: [counts(4)]))
    assert rows[0]["verdict"] == FAIL
    assert "5.00% at 0.01" in rows[0]["reason"]


def test_a_single_strange_screen_proves_nothing():
    rows = judge_cell(cell_of("x", "covering"), records(lambda k: [counts(40 if k == 0 else 0)]))
    assert rows[0]["called_0.01"] == pytest.approx(0.025)
    assert rows[0]["verdict"] == PASS


def test_either_of_two_judges_has_twice_the_limit():
    cell = cell_of("x", "covering", judges=2)
    rows = judge_cell(cell, records(lambda k: [counts(2, judge="any")]))
    assert rows[0]["verdict"] == PASS
    rows = judge_cell(cell, records(lambda k: [counts(4, judge="any")]))
    assert rows[0]["verdict"] == FAIL


@pytest.mark.parametrize(
    ("levels", "null_model"),
    [({"positions": "fixed", "place": "edge"}, "plate-matched"),
     ({"spread": "one-plate", "offset": 0.3}, "experiment")],
)  # fmt: skip
def test_what_no_null_or_this_null_cannot_separate_is_not_judged(levels, null_model):
    cell = cell_of("x", "covering", null_model=null_model, **levels)
    rows = judge_cell(cell, records(lambda k: [counts(40, null_model=null_model)]))
    assert rows[0]["verdict"] == NOT_JUDGED
    assert rows[0]["reason"]


def test_the_default_null_is_judged_on_one_plate_with_an_offset():
    cell = cell_of("x", "covering", spread="one-plate", offset=0.6)
    assert judge_cell(cell, records(lambda k: [counts(40)]))[0]["verdict"] == FAIL


def test_a_guard_must_be_near_the_truth_and_its_interval_contain_it():
    cell = cell_of("x", "covering")

    def verdict(rate, low, high):
        rows = judge_cell(
            cell, records(lambda k: [counts(k % 2)], lambda k: [guard(rate, low, high)])
        )
        return verdicts(rows)[("plate-matched", "guard", "each")]

    assert verdict(0.008, 0.0, 0.05) == PASS
    assert verdict(0.04, 0.0, 0.09) == FAIL
    assert verdict(0.008, 0.007, 0.05) == FAIL


def test_a_large_rate_allows_a_tenth_of_it():
    cell = cell_of("x", "covering", null_model="experiment", spread="one-plate", offset=0.6)

    def verdict(rate):
        rows = judge_cell(
            cell,
            records(lambda k: [counts(40, null_model="experiment")],
                    lambda k: [guard(rate, 0.3, 0.7, null_model="experiment")]),
        )  # fmt: skip
        return verdicts(rows)[("experiment", "guard", "each")]

    assert verdict(0.46) == PASS
    assert verdict(0.4) == FAIL


def test_a_guard_that_does_not_run_where_it_must_fails():
    cell = cell_of("x", "covering", controls=96)
    silent = records(
        lambda k: [counts(0)], lambda k: [guard(None, None, None, reason="too few controls")]
    )
    rows = judge_cell(cell, silent)
    assert verdicts(rows)[("plate-matched", "guard", "each")] == FAIL
    assert judge_all(rows, [cell])["verdict"] == FAIL


def test_power_is_compared_with_the_paper_s_null_screen_by_screen():
    def verdict(own, other, **levels):
        cell = cell_of("x", "power", null_model="experiment", active=0.25, effect=0.5, **levels)
        made = records(
            lambda k: [counts(own + k % 2, planted=True), counts(0, planted=False),
                       counts(other + k % 2, planted=True, null_model="experiment")]
        )  # fmt: skip
        return verdicts(judge_cell(cell, made))[("plate-matched", "power", "each")]

    assert verdict(40, 42, offset=0.0) == PASS
    assert verdict(30, 42, offset=0.0) == FAIL
    assert verdict(30, 10, offset=0.6) == PASS
    assert verdict(30, 30, offset=0.6) == FAIL


@pytest.mark.parametrize(
    ("levels", "warnings", "expected"),
    [
        ({}, (), PASS),
        ({}, ("too few",), FAIL),
        ({"positions": "fixed", "place": "edge"}, (), FAIL),
        ({"positions": "fixed", "place": "edge"}, ("positions",), PASS),
        ({"positions": "fixed"}, ("positions",), PASS),
        ({"spread": "one-plate", "controls": 8}, ("controls",), PASS),
        ({"spread": "one-plate", "conditions": 3}, (), FAIL),
    ],
)
def test_check_warns_where_it_must_and_nowhere_else(levels, warnings, expected):
    cell = cell_of("x", "covering", **{"conditions": 80, **levels})
    rows = judge_cell(cell, records(lambda k: [counts(0)], warnings=warnings))
    assert verdicts(rows)[("plate-matched", "check", "each")] == expected


@pytest.mark.parametrize(
    ("spread", "controls", "may"),
    [("one-plate", 8, True), ("one-plate", 16, False), ("mixed", 8, False),
     ("many-plates", 8, False)],
)  # fmt: skip
def test_the_guard_may_be_silent_only_where_a_fold_cannot_copy_most_conditions(
    spread, controls, may
):
    assert bool(may_not_run(cell_of("x", "covering", spread=spread, controls=controls))) == may


@pytest.mark.parametrize(("screens", "verdict"), [(5, NOT_JUDGED), (25, FAIL)])
def test_the_energy_distance_is_judged_from_twenty_screens_on(screens, verdict):
    record = {"distance": {"unbiased": -0.05, "between_wells": 1.0}}
    row = _distance_row([record] * screens)
    assert row["verdict"] == verdict
    assert row["difference"] == pytest.approx(-0.05)
