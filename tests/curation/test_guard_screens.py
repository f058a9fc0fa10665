"""Whole simulated screens: aligned, tested, judged, and measured by the guard."""

from __future__ import annotations

import numpy as np
import pytest

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.consistency import ConsistencySettings, screen_consistency
from phenoprints.curation import Rules, phenoprints_table
from phenoprints.curation.false_positives import expected_false, warnings_of
from phenoprints.curation.measured import measured_false
from phenoprints.curation.phenoprints import genes_table
from phenoprints.reports.stages.consistency import null_verdict
from phenoprints.simulation import Noise, PlateLayout, VectorEffects, draw_vectors, lay_out

RULES = Rules(judges=("j",), min_experiments=1, min_wells=1)


def judge(layout, effects, settings, *, seed=0, features=32, **alignment):
    """Tests, judged conditions and the measured rate of one screen."""
    wells, conditions = lay_out(layout, seed=seed)
    vectors = draw_vectors(wells, Noise.of(features, 0), effects, seed=seed)
    reader = fit_alignment(wells, vectors, AlignmentSettings(**alignment)).of(vectors)
    tests = screen_consistency(wells, conditions, reader, settings=settings, seed=seed)
    tables, by_screen = {"j": {"s": tests}}, {"s": settings}
    table = phenoprints_table(tables, conditions, RULES, settings=by_screen)
    return tests, table, measured_false(tables, RULES, settings=by_screen)["j"]


def compared(layout, effects, settings, screens=10, **options):
    truth, guards = [], []
    for seed in range(screens):
        _, table, guard = judge(layout, effects, settings, seed=seed, **options)
        truth.append(table["has_phenoprint"].mean())
        guards.append(guard)
    assert {guard["status"] for guard in guards} == {"RUN"}
    return np.array(truth), guards


def check_agreement(truth, guards):
    difference = np.array([guard["rate"] for guard in guards]) - truth
    error = difference.std(ddof=1) / np.sqrt(len(truth))
    allowed = max(0.01, 0.1 * truth.mean())
    assert abs(difference.mean()) <= allowed + 2.5 * error
    covered = [g["low"] <= t <= g["high"] for g, t in zip(guards, truth, strict=True)]
    assert np.mean(covered) >= 0.9


def test_replicates_on_one_plate_with_offsets_are_seen_by_the_guard():
    """The case where groups by position reported 0 % and the truth was 18 %."""
    layout = PlateLayout(experiments=4, plates=4, conditions=60, spread="one-plate", controls=16)
    settings = ConsistencySettings(null_model="experiment", num_null=1000)
    truth, guards = compared(layout, VectorEffects(plate=0.7), settings)
    assert truth.mean() > 0.05
    assert np.mean([guard["rate"] for guard in guards]) > 0.05
    check_agreement(truth, guards)


def test_the_guard_is_valid_after_positions_are_removed():
    layout = PlateLayout(experiments=2, conditions=60, positions="fixed", controls=48)
    settings = ConsistencySettings(num_null=1000)
    effects = VectorEffects(row=0.5)
    truth, guards = compared(layout, effects, settings, 8, remove_position="plate-rows-columns")
    check_agreement(truth, guards)


@pytest.mark.parametrize("null_model", ["plate-matched", "experiment"])
def test_a_screen_whose_null_sets_are_too_few_is_named_and_calls_nothing(null_model):
    layout = PlateLayout(experiments=4, plates=3, conditions=3, replicates=3, controls=8)
    settings = ConsistencySettings(null_model=null_model)
    tests, table, _ = judge(layout, VectorEffects(), settings, features=4)
    tables, by_screen = {"j": {"s": tests}}, {"s": settings}
    found = warnings_of(tables, table, RULES, by_screen)["resolution"]
    assert [problem.what.split(":")[0] for problem in found] == ["no test can fall below 0.01"]
    assert expected_false(table, RULES)["rate"] == 0
    config = {"screens": {"s": {"consistency": {"num_null": 10_000}}}}
    verdict = null_verdict(config, {"screen": "s", "encoder": "j"}, tests, 0.01)
    assert verdict.status == "CHECK"
    assert "12 of 12 tests cannot fall below 0.01" in verdict.finding


def test_the_rule_for_genes_is_measured_by_pseudo_genes():
    """Guides of a gene on one plate with an offset: genes are called without effect, and seen."""
    layout = PlateLayout(
        experiments=2, conditions=40, kind="crispr", series=2, replicates=2, spread="one-plate",
        controls=24,
    )  # fmt: skip
    settings = ConsistencySettings(null_model="experiment", num_null=600)
    rules = Rules(judges=("j",), min_experiments=1, min_wells=1, judge_by="gene")
    truth, guards = [], []
    for seed in range(6):
        wells, conditions = lay_out(layout, seed=seed)
        vectors = draw_vectors(wells, Noise.of(32, 0), VectorEffects(plate=0.9), seed=seed)
        reader = fit_alignment(wells, vectors, AlignmentSettings(folds=2)).of(vectors)
        tests = screen_consistency(wells, conditions, reader, settings=settings, seed=seed)
        options = {"conditions": conditions, "settings": {"s": settings}}
        guards.append(measured_false({"j": {"s": tests}}, rules, **options)["j"])
        truth.append(genes_table({"j": {"s": tests}}, rules)["has_phenoprint"].mean())
    assert {(guard["status"], guard["of"]) for guard in guards} == {("RUN", 20)}
    assert np.mean(truth) > 0.03
    check_agreement(np.array(truth, float), guards)
    by_guides = settings.replace(gene_level="guides")
    tests = screen_consistency(wells, conditions, reader, settings=by_guides, seed=0)
    guard = measured_false({"j": {"s": tests}}, rules, **options)["j"]
    assert (guard["status"], guard["reason"]) == ("NOT RUN", "genes")
