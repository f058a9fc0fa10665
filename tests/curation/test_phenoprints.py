"""phenoprints_table and genes_table: combination, verdicts, clips and what they refuse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.consistency import ConsistencySettings, combine_cauchy
from phenoprints.curation import Rules, curate, genes_table, phenoprints_table, unite_conditions
from phenoprints.curation.false_positives import (
    expected_false,
    false_rate,
    held_out_judges,
    overlap_of_judges,
    unreachable_limits,
    unreachable_threshold,
    warnings_of,
)
from phenoprints.curation.phenoprints import judged_units
from phenoprints.foundations.errors import ConfigurationError, DataError


def table_of(rows, level="condition"):
    """A consistency table of (experiment, condition_id or name, p_value[, num_wells])."""
    table = pd.DataFrame(
        [(*row, 4)[:4] for row in rows], columns=["experiment", "unit", "p_value", "num_wells"]
    )
    is_condition = level == "condition"
    return table.assign(
        level=level,
        condition_id=table["unit"] if is_condition else -1,
        name="" if is_condition else table["unit"],
        statistic=0.5,
        single_position=False,
        reason=np.where(table["p_value"].isna(), "too_few_wells", ""),
    )


def conditions_of(count, per_perturbation=1):
    index = np.arange(count)
    return pd.DataFrame(
        {
            "condition_id": index.astype(np.int32),
            "perturbation": [f"p{i // per_perturbation}" for i in index],
            "kind": "compound",
            "gene": "",
            "guide": "",
            "concentration_um": (index % per_perturbation).astype(float),
            "cell_type": "",
            "background": "",
        }
    )


def judged(rows, count=4, settings=None, per_perturbation=1, **rules):
    """The table of one judge `j` on one screen `s`."""
    tests = rows if isinstance(rows, dict) else {"j": {"s": table_of(rows)}}
    return phenoprints_table(
        tests,
        conditions_of(count, per_perturbation),
        Rules(judges=tuple(tests), **rules),
        settings={"s": settings or ConsistencySettings()},
    )


def test_p_values_are_combined_over_experiments():
    table = judged([("a", 0, 0.02), ("b", 0, 0.004), ("c", 0, np.nan), ("a", 1, 0.3)])
    assert table["p_value_j"][0] == combine_cauchy([0.02, 0.004])
    assert table["p_value_j"][1] == pytest.approx(0.3)
    assert table["p_value_j"][2:].isna().all()
    assert table["smallest_p_value_j"][:2].tolist() == [0.004, 0.3]
    assert table["num_experiments_j"].tolist() == [2, 1, 0, 0]
    assert table["has_phenoprint"].tolist() == [True, False, False, False]
    assert table["is_testable"].tolist() == [True, True, False, False]


def test_the_threshold_itself_is_not_below_it():
    assert judged([("a", 0, 0.01)])["has_phenoprint"].tolist()[0] is False


def test_either_judge_suffices():
    tests = {
        "one": {"s": table_of([("a", 0, 0.001), ("a", 1, 0.5)])},
        "two": {"s": table_of([("a", 1, 0.001), ("a", 2, 0.5)])},
        "three": {"s": table_of([("a", 1, 0.002)])},
    }
    table = judged(tests)
    assert table["has_phenoprint"].tolist() == [True, True, False, False]
    overlap = overlap_of_judges(table, Rules(judges=("one", "two", "three")))
    found = {tuple(each["judges"]): each["units"] for each in overlap if each["units"]}
    assert found == {(): 2, ("one",): 1, ("two", "three"): 1}


def test_any_experiment_instead_of_the_combination():
    rows = [("a", 0, 0.005), ("b", 0, 1.0), ("a", 1, 0.02)]
    assert judged(rows)["has_phenoprint"].tolist()[:2] == [False, False]
    either = judged(rows, combine="any-experiment")
    assert either["has_phenoprint"].tolist()[:2] == [True, False]


def test_one_concentration_keeps_its_perturbation():
    rows = [("a", 0, 0.001), ("a", 3, 0.5)]
    assert judged(rows, per_perturbation=2)["has_phenoprint"].tolist() == [True, *[False] * 3]
    table = judged(rows, per_perturbation=2, judge_by="perturbation")
    assert table["has_phenoprint"].tolist() == [True, True, False, False]
    assert table["is_testable"].tolist() == [True] * 4


def guides_and_a_compound():
    """Two guides of GENE1, two of GENE2, one of GENE3 without a gene test, and a compound."""
    genes = ["GENE1", "GENE1", "GENE2", "GENE2", "GENE3", ""]
    kinds = ["crispr"] * 5 + ["compound"]
    return conditions_of(6).assign(gene=genes, kind=kinds)


def judged_by_gene(judge_by="gene"):
    guides = [("a", 0, 0.5), ("a", 1, 0.3), ("a", 2, 0.001), ("a", 3, 0.6), ("a", 4, 0.001)]
    rows = table_of([*guides, ("a", 5, 0.002)])
    genes = table_of([("a", "GENE1", 0.001), ("b", "GENE1", 0.002), ("a", "GENE2", 0.4)], "gene")
    tests = {"j": {"s": pd.concat([rows, genes], ignore_index=True)}}
    rules = Rules(judges=("j",), judge_by=judge_by)
    table = phenoprints_table(tests, guides_and_a_compound(), rules)
    return table, genes_table(tests, rules), rules


def test_the_verdict_of_a_gene_is_that_of_all_its_guides():
    table, _, _ = judged_by_gene()
    assert table["has_phenoprint"].tolist() == [True, True, False, False, False, True]
    assert table["is_testable"].tolist() == [True, True, True, True, False, True]
    by_condition, _, _ = judged_by_gene("condition")
    assert by_condition["has_phenoprint"].tolist() == [False, False, True, False, True, True]
    own = by_condition.drop(columns=["has_phenoprint", "is_testable"])
    pd.testing.assert_frame_equal(table[own.columns], own)


def test_wells_of_a_gene_s_guides_stay_or_leave_together():
    table, genes, rules = judged_by_gene()
    wells = pd.DataFrame(
        {
            "well_id": np.arange(12, dtype=np.uint64), "screen": "s", "experiment": "a",
            "role": "treatment", "conditions": [[i // 2] for i in range(12)],
            "plate": "p", "well": "A01", "row": 1, "column": 1, "cell_type": "",
            "background": "", "modality": "cell-painting", "replicate_group": "",
        }
    )  # fmt: skip
    funnel = curate(wells, table, rules.replace(min_experiments=1, min_wells=1))
    assert np.flatnonzero(funnel.is_kept).tolist() == [0, 1, 2, 3, 10, 11]
    left = funnel.reasons.set_index("well_id")["reason"]
    assert left.tolist() == ["no_phenoprint"] * 4 + ["untestable"] * 2
    units = judged_units(table, genes, rules)
    assert len(units) == 3
    assert overlap_of_judges(units, rules)[1] == {"judges": ["j"], "units": 2}
    assert expected_false(units, rules)["units"] == 3
    assert judged_units(table, genes, rules.replace(judge_by="condition")) is table


def test_a_p_value_of_one_does_not_erase_what_others_found():
    rows = [("a", 0, 1e-4), ("b", 0, 1.0), ("a", 1, 0.5)]
    plain = judged(rows)
    assert plain["p_value_j"][0] == pytest.approx(0.5)
    assert plain["depends_on_clip_j"].tolist() == [True, False, False, False]
    clipped = judged(rows, settings=ConsistencySettings(p_value_clip=0.99))
    assert clipped["p_value_j"][0] == pytest.approx(2.0e-4, rel=0.02)
    assert clipped["has_phenoprint"].tolist()[:2] == [True, False]
    assert clipped["depends_on_clip_j"].tolist()[:2] == [True, False]


@pytest.mark.parametrize("clips", [(None, None), (0.99, 0.99), (0.99, None), (None, 0.99)])
def test_the_clip_of_one_screen_changes_nothing_for_another(clips):
    tests = {"j": {f"s{i}": table_of([(e, i, 1e-4) for e in "abc"]) for i in range(2)}}
    settings = {f"s{i}": ConsistencySettings(p_value_clip=clip) for i, clip in enumerate(clips)}
    table = phenoprints_table(tests, conditions_of(2), Rules(judges=("j",)), settings=settings)
    assert table["p_value_j"].to_numpy() == pytest.approx([1e-4, 1e-4])
    assert table["is_testable"].tolist() == [True, True]
    assert table["has_phenoprint"].tolist() == [True, True]


def test_p_values_below_the_floor_count_as_the_floor():
    assert judged([("a", 0, 1e-9)])["p_value_j"][0] == pytest.approx(1e-4)


def test_weights_by_root_of_wells():
    rows = [("a", 0, 0.02, 16), ("b", 0, 0.4, 4)]
    weighted = judged(rows, settings=ConsistencySettings(weights="sqrt-wells"))
    assert weighted["p_value_j"][0] == combine_cauchy([0.02, 0.4], weights=[4, 2])
    assert judged(rows)["p_value_j"][0] == combine_cauchy([0.02, 0.4])


def test_false_discovery_rates_are_of_benjamini_and_hochberg():
    p = [0.001, 0.02, 0.03, 0.5]
    table = judged([("a", i, value) for i, value in enumerate(p)], count=6)
    assert table["q_value_j"][:4].tolist() == pytest.approx([0.004, 0.04, 0.04, 0.5])
    assert table["q_value_j"][4:].isna().all()


def test_held_out_experiments_do_not_judge():
    rows = [("a", 0, 0.5), ("b", 0, 0.001)]
    assert judged(rows, hold_out=("b",))["p_value_j"][0] == 0.5
    assert judged(rows, hold_out=("s/b",))["num_experiments_j"][0] == 1
    assert judged(rows, hold_out=("t/b",))["num_experiments_j"][0] == 2


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(0)
    rows = [(f"e{e}", c, rng.random()) for e in range(6) for c in range(4)]
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    pd.testing.assert_frame_equal(judged(rows), judged(shuffled))


def test_without_judges_nothing_is_said():
    table = phenoprints_table({}, conditions_of(3), Rules())
    assert table["has_phenoprint"].isna().all()
    assert genes_table({}, Rules()).empty
    assert overlap_of_judges(table, Rules()) == []


def test_genes():
    tests = {"j": {"s": table_of([("a", "B", 0.5), ("b", "B", 0.001), ("a", "A", 1e-4)], "gene")}}
    table = genes_table(tests, Rules(judges=("j",)))
    assert table["gene"].tolist() == ["A", "B"]
    assert table["has_phenoprint"].tolist() == [True, True]
    assert table["num_experiments_j"].tolist() == [1, 2]


def test_screens_share_the_conditions_of_equal_key():
    one, two = conditions_of(3), conditions_of(4).iloc[1:].assign(condition_id=[0, 1, 2])
    union, new_ids = unite_conditions({"s": one, "t": two})
    assert union["perturbation"].tolist() == ["p0", "p1", "p2", "p3"]
    assert new_ids["s"].tolist() == [0, 1, 2]
    assert new_ids["t"].tolist() == [1, 2, 3]
    tests = {"s": table_of([("a", 1, 0.02)]), "t": table_of([("a", 0, 0.004)])}
    table = phenoprints_table({"j": tests}, union, Rules(judges=("j",)), new_ids=new_ids)
    assert table["p_value_j"][1] == combine_cauchy([0.02, 0.004])


def test_missing_parts_of_a_key_are_equal():
    one = conditions_of(2).assign(concentration_um=np.nan, gene=None)
    union, new_ids = unite_conditions({"s": one, "t": one.assign(gene="")})
    assert len(union) == 2
    assert new_ids["s"].tolist() == new_ids["t"].tolist() == [0, 1]


def test_tests_of_unknown_conditions_are_refused():
    union, new_ids = unite_conditions({"s": conditions_of(3)})
    with pytest.raises(
        DataError, match="1 rows have a condition_id that its conditions table lacks"
    ):
        phenoprints_table(
            {"j": {"s": table_of([("a", 7, 0.1)])}}, union, Rules(judges=("j",)), new_ids=new_ids
        )


def test_p_values_outside_the_range_are_refused():
    with pytest.raises(DataError, match=r"1 values outside \[0, 1\]"):
        judged([("a", 0, 1.5), ("a", 1, 0.5)])


def test_expected_false_phenoprints_of_published_rules():
    assert false_rate([2, 16, 20], 0.01).round(3).tolist() == [0.020, 0.149, 0.182]
    judges = ("one", "two")
    rows = [(f"e{e}", c, 0.5) for e in range(10) for c in range(16)]
    tests = {judge: {"s": table_of(rows)} for judge in judges}
    conditions = conditions_of(16, 8)
    for options, rate, units in [
        ({}, 0.0199, 16),
        ({"judge_by": "perturbation"}, 0.1485, 2),
        ({"combine": "any-experiment"}, 0.1821, 16),
    ]:
        rules = Rules(judges=judges, **options)
        expected = expected_false(phenoprints_table(tests, conditions, rules), rules)
        assert expected["rate"] == pytest.approx(rate, abs=1e-4)
        assert expected["units"] == units
        assert expected["count"] == pytest.approx(units * expected["rate"])


def test_expected_false_says_at_most_where_judges_may_agree():
    tests = {judge: {"s": table_of([("a", c, 0.5) for c in range(4)])} for judge in ("j", "k")}
    two, one = (
        phenoprints_table(chosen, conditions_of(4), Rules(judges=tuple(chosen)))
        for chosen in (tests, {"j": tests["j"]})
    )
    assert expected_false(two, Rules())["is_upper_bound"]
    assert not expected_false(one, Rules())["is_upper_bound"]


def test_expected_false_wells_of_several_perturbations():
    table = judged([("a", c, 0.5) for c in range(4)])
    wells = expected_false(table, Rules(), judged_wells=(0, 60, 40))["wells"]
    assert wells["count"] == pytest.approx(60 * 0.01 + 40 * (1 - 0.99**2))
    assert wells["rate"] == pytest.approx(wells["count"] / 100)


def test_tests_that_cannot_reach_the_threshold_give_no_false_phenoprints():
    rows = table_of([(e, 0, 0.5) for e in "abc"])
    for smallest, units in ((1 / 28, 0), (1 / 400, 1)):
        table = judged({"j": {"s": rows.assign(smallest_p=smallest, num_sets=1 / smallest)}})
        assert table["reachable_p_value_j"][0] == pytest.approx(smallest)
        expected = expected_false(table, Rules())
        assert expected["units"] == units
        assert expected["rate"] == pytest.approx(0.01 * units)


def test_a_screen_none_of_whose_tests_can_reach_the_threshold_is_warned_of():
    rows = table_of([("a", c, np.nan) for c in range(3)])
    rows = rows.assign(reason="too_few_sets", smallest_p=1 / 28, num_sets=27.0)
    table = judged({"j": {"s": rows}})
    found = told(warnings_of({"j": {"s": rows}}, table, Rules(judges=("j",)), {}))
    assert "no test can fall below 0.01: at most 27 distinct null sets" in found["resolution"]
    assert expected_false(table, Rules())["rate"] == 0
    one = rows.assign(
        smallest_p=[1 / 28, 1 / 28, 1e-4], num_sets=[27, 27, 1e5], p_value=[np.nan, np.nan, 0.5],
        reason=["too_few_sets", "too_few_sets", ""],
    )  # fmt: skip
    assert told(warnings_of({"j": {"s": one}}, table, Rules(judges=("j",)), {})) == {}


def test_warnings():
    rules = Rules(judges=("j",))
    rows = [(f"e{e}", 0, 0.5) for e in range(30)]
    coarse = {"s": ConsistencySettings(num_null=2000)}
    fine = {"s": ConsistencySettings(num_null=3000)}
    table = judged(rows)
    quiet, loud = (
        {"j": {"s": pd.concat([table_of(rows), controls_of(below, 100)])}} for below in (2, 3)
    )
    assert told(warnings_of(quiet, table, rules, fine)) == {}
    found = told(warnings_of(quiet, table, rules, coarse))
    assert "num_null 2000 cannot resolve a combined p-value of 0.01 over 30" in found["resolution"]
    found = told(warnings_of(loud, table, rules, fine))
    assert list(found) == ["control"]
    assert "the rule calls 3.0% of pseudo-conditions of control wells" in found["control"]


def controls_of(below, total, condition=0):
    """Pseudo-conditions of one round that copy a condition; `below` of them have p = 0.001."""
    table = table_of([("e0", condition, 0.001 if i < below else 0.5) for i in range(total)])
    return table.assign(level="control", name=[f"0/{i}" for i in range(total)])


def told(warnings):
    """The words of the only warning of each kind that has one."""
    return {kind: problem.what for kind, problems in warnings.items() for problem in problems}


def test_rules_refuse_everything_wrong_at_once():
    with pytest.raises(ConfigurationError) as error:
        Rules(
            p_value=0.0, judge_by="x", combine="y", rare_condition_rule="z",
            sampling_fractions={"treatment": 0.5}, max_perturbations=0, min_wells=0,
            limits={"virus": {}},
        )  # fmt: skip
    for key in ("p_value", "judge_by", "combine", "rare_condition_rule",
                "sampling_fractions.treatment", "max_perturbations", "min_wells",
                "limits.virus"):  # fmt: skip
        assert key in str(error.value)


def test_thresholds_that_no_p_value_can_reach():
    rules = Rules(judges=("j",), p_value=0.01)
    assert unreachable_threshold(rules, {"s": ConsistencySettings(num_null=101)}) == []
    [problem] = unreachable_threshold(rules, {"s": ConsistencySettings(num_null=100)})
    assert "the smallest p-value, 0.01, is not below the threshold 0.01" in problem.what
    assert unreachable_threshold(Rules(), {"s": ConsistencySettings(num_null=100)}) == []


def test_limits_that_no_condition_reaches():
    reached = {
        "crispr": {"min_wells": 12, "min_experiments": 2},
        "orf": {"min_wells": 0, "min_experiments": 0},
    }
    problems = unreachable_limits(Rules(min_wells=12, min_experiments=3), reached)
    assert [p.what for p in problems] == [
        "no condition of kind crispr reaches min_experiments 3: the most is 2"
    ]


def test_tests_across_experiments_have_seen_what_is_held_out():
    across, within = table_of([("", 0, 0.5)]), table_of([("a", 0, 0.5)])
    untested = table_of([("", 0, np.nan)])
    tests = {"j": {"s": across, "t": within, "u": untested}, "k": {"s": within}}
    assert held_out_judges(tests, Rules(judges=("j", "k"))) == []
    [problem] = held_out_judges(tests, Rules(judges=("j", "k"), hold_out=("a",)))
    assert problem.where == 'consistency of "s"'
    assert "have seen the experiments that are held out" in problem.what
