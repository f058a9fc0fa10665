"""How many conditions can pass each step: counted from the layout, by the rules themselves."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

from phenoprints.consistency import ConsistencySettings, best_case
from phenoprints.curation import Rules, feasibility

LIMITS = {"compound": {"min_experiments": 1, "min_wells": 2}}


def screen_of(layout):
    """Tables of a screen from the numbers of wells of each condition in each experiment."""
    rows = [
        {"experiment": experiment, "conditions": [condition], "role": "treatment"}
        for experiment, sizes in layout.items()
        for condition, size in enumerate(sizes)
        for _ in range(size)
    ]
    wells = pd.DataFrame(rows)
    number = wells.groupby("experiment").cumcount()
    wells = wells.assign(
        well_id=np.arange(len(wells), dtype=np.uint64), screen="s", plate="p",
        row=(number // 24 + 1).astype(np.int16), column=(number % 24 + 1).astype(np.int16),
        well=[f"{chr(65 + n // 24)}{n % 24 + 1:02d}" for n in number],
        plate_format=np.int32(384), modality="cell-painting", cell_type="U2OS", background="",
        replicate_group="",
    )  # fmt: skip
    names = sorted({condition for listed in wells["conditions"] for condition in listed})
    conditions = pd.DataFrame(
        {"condition_id": np.array(names, dtype=np.int32), "perturbation": [f"c{n}" for n in names],
         "kind": "compound", "gene": None, "guide": None, "concentration_um": np.nan}
    )  # fmt: skip
    return wells, conditions


def best(wells, conditions, settings):
    none = np.zeros(len(wells), dtype=bool)
    return best_case(wells, conditions, settings, is_fitted=none, folds=0)


def found(layout, *, scope="within-experiments", num_null=10_000, **rules):
    wells, conditions = screen_of(layout)
    settings = ConsistencySettings(scope=scope, num_null=num_null, null_model="experiment")
    tests = best(wells, conditions, settings)
    options = Rules(**{"limits": LIMITS, "judges": ("j",), **rules})
    return feasibility(wells, conditions, options, tests=tests, settings=settings)


def num_sets(sizes, n):
    """Sets of n wells of different conditions, by listing them."""
    wells = [[(c, w) for w in range(size)] for c, size in enumerate(sizes)]
    return sum(1 for chosen in combinations(wells, n) for _ in product(*chosen))


@pytest.mark.parametrize("sizes", [[3] * 6, [2, 3, 4, 2, 3, 3], [2] * 30])
def test_the_best_case_is_that_of_an_enumeration(sizes):
    wells, conditions = screen_of({"e": sizes})
    settings = ConsistencySettings(scope="within-experiments", null_model="experiment")
    tests = best(wells, conditions, settings)
    tests = tests[tests["level"] == "condition"].set_index("condition_id")
    for condition, n in enumerate(sizes):
        sets = num_sets(sizes, n)
        if sets >= 100:  # fewer are too few for a test
            assert tests.loc[condition, "p_value"] == pytest.approx(1 / (sets + 1))


def test_the_best_case_is_1_over_k_where_there_are_many_sets():
    wells, conditions = screen_of({"e": [3] * 60})
    settings = ConsistencySettings(scope="within-experiments", null_model="experiment")
    tests = best(wells, conditions, settings)
    tests = tests[tests["level"] == "condition"]
    assert len(tests) == 60
    assert (tests["p_value"] == 1e-4).all()
    plus = best(wells, conditions, settings.replace(p_value_formula="plus-1"))
    assert plus.loc[plus["level"] == "condition", "p_value"].unique() == [1 / 10_001]


def test_across_experiments_one_well_in_each_is_enough():
    layout = {"a": [1] * 40, "b": [1] * 40, "c": [1] * 40}
    assert found(layout).can_pass_step_5 == 0
    assert found(layout, scope="across-experiments", num_null=1000).can_pass_step_5 == 40


def test_conditions_are_counted_by_step():
    result = found({"a": [2, 2, 2, 1] + [2] * 30, "b": [2, 2, 0, 0]}, p_value=0.01)
    assert (result.conditions, result.reach_step_3) == (34, 33)
    assert (result.most_experiments, result.most_wells) == (2, 4)
    assert result.can_pass_step_5 == 33
    assert found({"a": [2, 2, 2, 1]}, p_value=0.01).can_pass_step_5 == 0


def test_what_is_held_out_does_not_count():
    layout = {"a": [2] * 30, "b": [2] * 30}
    assert found(layout).most_experiments == 2
    assert found(layout, hold_out=("a",)).most_experiments == 1
    assert found(layout, hold_out=("s/a", "b")).reach_step_3 == 0


def test_controls_and_crowded_wells_are_no_conditions_to_judge():
    wells, conditions = screen_of({"e": [2, 2, 2]})
    wells.loc[wells.index[4:], "role"] = "negative_control"
    wells.at[0, "conditions"] = [0, 1]
    rules = Rules(limits=LIMITS, max_perturbations=1)
    result = feasibility(wells, conditions, rules)
    assert result.conditions == 2
    assert result.reach_step_3 == 1
    assert result.can_pass_step_5 == 0
