"""The measured rate: combined as conditions are, weighed by condition, with an honest interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from phenoprints.curation import Rules
from phenoprints.curation.measured import interval, measured_false


def rows(level, tests):
    """Rows of a consistency table: (experiment, condition_id, name, p_value)."""
    table = pd.DataFrame(tests, columns=["experiment", "condition_id", "name", "p_value"])
    return table.assign(
        level=level, num_wells=4, statistic=0.5, single_position=False, reason=""
    ).astype({"p_value": float})


def conditions(*ids):
    return rows("condition", [("a", each, "", 0.5) for each in ids])


def measure(*parts, **rules):
    tables = {"j": {"s": pd.concat(parts, ignore_index=True)}}
    return measured_false(tables, Rules(judges=("j",), **rules))["any"]


def test_tests_are_combined_over_experiments_before_they_count():
    controls = rows("control", [("a", 0, "0/0", 0.001), ("b", 0, "0/0", 0.9),
                                ("a", 0, "0/1", 0.2), ("b", 0, "0/1", 0.3)])  # fmt: skip
    cauchy = measure(conditions(0), controls)
    assert (cauchy["tests"], cauchy["below"], cauchy["rate"]) == (2, 1, 0.5)
    stricter = measure(conditions(0), controls, p_value=0.0015)
    assert stricter["rate"] == 0.0
    either = measure(conditions(0), controls, p_value=0.0015, combine="any-experiment")
    assert either["rate"] == 0.5


def test_any_judge_and_each_judge():
    first = rows("control", [("a", 0, "0/0", 0.001), ("a", 0, "0/1", 0.5)])
    second = rows("control", [("a", 0, "0/0", 0.5), ("a", 0, "0/1", 0.001)])
    tables = {
        judge: {"s": pd.concat([conditions(0), part])}
        for judge, part in zip("jk", (first, second), strict=True)
    }
    found = measured_false(tables, Rules(judges=("j", "k")))
    assert {name: each["rate"] for name, each in found.items()} == {"j": 0.5, "k": 0.5, "any": 1.0}


def test_every_condition_weighs_the_same():
    tests = [("a", 0, f"{r}/0", 0.001) for r in range(10)] + [("a", 1, "0/0", 0.5)]
    assert measure(conditions(0, 1), rows("control", tests))["rate"] == 0.5


def test_held_out_experiments_do_not_count():
    controls = rows("control", [("a", 0, "0/0", 0.5), ("b", 0, "0/0", 0.001)])
    assert measure(conditions(0), controls)["rate"] == 1.0
    assert measure(conditions(0), controls, hold_out=("b",))["rate"] == 0.0


def test_few_copied_conditions_are_not_run():
    one = rows("control", [("a", 0, "0/0", 0.5)])
    missing = rows("control", [("", each, "", np.nan) for each in (1, 2)])
    missing["reason"] = "too_few_controls"
    found = measure(conditions(0, 1, 2), one, missing)
    assert (found["status"], found["reason"]) == ("NOT RUN", "too_few_controls")
    assert (found["conditions"], found["of"], found["rate"]) == (1, 3, None)
    assert measure(conditions(0), one)["status"] == "RUN"
    assert measure(conditions(0))["status"] == "NOT RUN"
    assert measure(conditions(0), one, judge_by="gene")["reason"] == "genes"
    assert measured_false({}, Rules()) == {}


def test_of_large_screens_a_sample_of_the_designs_is_copied():
    one = rows("control", [("a", 0, "0/0", 0.5), ("a", 1, "0/0", 0.5)])
    found = measure(conditions(*range(30)), one)
    assert (found["status"], found["conditions"], found["of"]) == ("RUN", 2, 2)


def test_the_interval_counts_what_shares_no_well():
    few = [("a", 0, f"{r}/{c}", 0.5) for r in range(50) for c in range(4)]
    many = [("a", 0, f"{r}/{c}", 0.5) for r in range(5) for c in range(40)]
    wide, narrow = (measure(conditions(*range(60)[:1]), rows("control", each))
                    for each in (few, many))  # fmt: skip
    assert (wide["separate"], narrow["separate"]) == (4, 40)
    assert wide["tests"] == narrow["tests"] == 200


@given(rate=st.floats(0.0, 1.0), separate=st.integers(1, 500), conditions=st.integers(1, 1000))
def test_an_interval_contains_its_rate_and_narrows(rate, separate, conditions):
    low, high = interval(rate, separate, conditions)
    assert 0.0 <= low <= rate + 1e-12
    assert rate - 1e-12 <= high <= 1.0
    closer = interval(rate, separate * 4, conditions * 4)
    assert closer[1] - closer[0] <= high - low + 0.02


@pytest.mark.parametrize("rate", [0.005, 0.01, 0.05, 0.2, 0.7])
@pytest.mark.parametrize(("separate", "conditions"), [(16, 60), (60, 60), (200, 80), (40, 10)])
def test_an_interval_contains_rate_and_share_of_this_screen(rate, separate, conditions):
    random = np.random.default_rng(0)
    called = binom.rvs(separate, rate, size=2_000, random_state=random) / separate
    share = binom.rvs(conditions, rate, size=2_000, random_state=random) / conditions
    ends = np.array([interval(each, separate, conditions) for each in called])
    assert np.mean((ends[:, 0] <= rate) & (rate <= ends[:, 1])) >= 0.95
    assert np.mean((ends[:, 0] <= share) & (share <= ends[:, 1])) >= 0.9
