"""The control guard on simulated screens: it measures what plates and positions call."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from phenoprints.consistency import ConsistencySettings, screen_consistency
from phenoprints.consistency.contracts import CONSISTENCY
from phenoprints.curation import Rules, phenoprints_table
from phenoprints.curation.measured import measured_false
from phenoprints.simulation import Noise, PlateLayout, VectorEffects, draw_vectors, lay_out


class CrossFitted:
    """Vectors centred on the controls of an experiment, and the same without each fold of them."""

    def __init__(self, vectors, num_folds=3):
        self.vectors, self.num_folds = vectors, num_folds
        wells = vectors.wells
        self.experiment = wells["experiment"].to_numpy()
        self.is_control = (wells["role"] == "negative_control").to_numpy()
        order = np.random.default_rng(0).permutation(np.unique(wells["well"]))
        rank = pd.Series(np.arange(len(order)), index=order)[wells["well"]].to_numpy()
        controls = pd.Series(rank[self.is_control])
        plate = wells.loc[self.is_control, ["experiment", "plate"]].agg("/".join, axis=1)
        within = controls.groupby(plate.to_numpy()).rank().to_numpy(int) - 1
        self.fold = np.full(len(wells), -1)
        self.fold[self.is_control] = within % num_folds
        self.experiments = vectors.experiments

    def read(self, experiment):
        return self._centred(experiment, self.is_control)

    def held_out_controls(self, experiment):
        here = self.experiment == experiment
        rows = np.flatnonzero(self.is_control[here])
        return SimpleNamespace(rows=rows, fold=self.fold[here][rows])

    def read_held_out(self, experiment, fold):
        is_fitted = self.is_control & (self.fold != fold)
        x = self._centred(experiment, is_fitted)
        x[is_fitted[self.experiment == experiment]] = np.nan
        return SimpleNamespace(fold=fold, vectors=x)

    def _centred(self, experiment, is_fitted):
        here = self.experiment == experiment
        x = self.vectors.read(experiment).astype(np.float64)
        return x - x[is_fitted[here]].mean(axis=0)


def measure(layout, effects, screens=8, judges=("j",), scope="within-experiments", **rules):
    """Truth and guard of every screen; no condition has an effect."""
    settings = ConsistencySettings(num_null=400, scope=scope)
    rule = Rules(judges=judges, min_experiments=1, min_wells=1, **rules)
    noise = Noise.of(16, 0)
    truth, guards = [], []
    for seed in range(screens):
        wells, conditions = lay_out(layout, seed=seed)
        tables = {
            judge: {
                "s": screen_consistency(
                    wells,
                    conditions,
                    CrossFitted(draw_vectors(wells, noise, effects, seed=seed, item=judge)),
                    settings=settings,
                    seed=seed,
                )
            }
            for judge in judges
        }
        table = phenoprints_table(tables, conditions, rule, settings={"s": settings})
        truth.append(table["has_phenoprint"].mean())
        measured = measured_false(tables, rule, conditions=conditions, settings={"s": settings})
        guards.append(measured["any"])
    return np.array(truth), guards, tables


SMALL = PlateLayout(experiments=2, plates=4, conditions=40, replicates=4, controls=15)


@pytest.mark.parametrize("scope", ["within-experiments", "across-experiments"])
@pytest.mark.parametrize(
    ("layout", "effects"),
    [
        ({}, {}),
        ({"positions": "fixed"}, {"position": 0.7}),
        ({"spread": "one-plate"}, {}),
        ({"spread": "mixed"}, {}),
    ],
)
def test_the_measured_rate_agrees_with_the_truth(layout, effects, scope):
    design = PlateLayout(**{**vars(SMALL), **layout})
    truth, guards, _ = measure(design, VectorEffects(**effects), scope=scope)
    rate = np.array([guard["rate"] for guard in guards])
    difference = rate - truth
    error = difference.std(ddof=1) / np.sqrt(len(rate))
    assert abs(difference.mean()) < 0.015 + 3 * error
    covered = [g["low"] <= t <= g["high"] for g, t in zip(guards, truth, strict=True)]
    assert np.mean(covered) >= 0.85
    assert all(guard["status"] == "RUN" for guard in guards)


def test_position_effects_that_pass_for_phenoprints_are_measured():
    design = PlateLayout(**{**vars(SMALL), "positions": "fixed"})
    truth, guards, _ = measure(design, VectorEffects(position=1.0), screens=4)
    assert truth.mean() > 0.2
    assert np.mean([guard["rate"] for guard in guards]) > 0.5 * truth.mean()


def test_two_judges_are_measured_on_the_same_wells():
    truth, guards, tables = measure(SMALL, VectorEffects(), judges=("j", "k"), screens=6)
    of = {judge: tables[judge]["s"].query("level == 'control'") for judge in tables}
    keys = ["experiment", "condition_id", "name"]
    pd.testing.assert_frame_equal(of["j"][keys], of["k"][keys])
    assert abs(np.mean([guard["rate"] for guard in guards]) - truth.mean()) < 0.03


def test_perturbations_are_measured_where_controls_suffice():
    layout = PlateLayout(**{**vars(SMALL), "series": 2, "experiments": 1})
    _, guards, _ = measure(layout, VectorEffects(), screens=2, judge_by="perturbation")
    assert [guard["status"] for guard in guards] == ["RUN", "RUN"]
    assert guards[0]["of"] == 20
    layout = PlateLayout(**{**vars(SMALL), "series": 20, "experiments": 1})
    _, guards, _ = measure(layout, VectorEffects(), screens=1, judge_by="perturbation")
    assert (guards[0]["status"], guards[0]["reason"]) == ("NOT RUN", "perturbations")


@pytest.mark.parametrize(
    ("controls", "spread", "reason"),
    [(6, "one-plate", "too_few_controls"), (0, "many-plates", "no_controls")],
)
def test_what_controls_cannot_copy_is_not_run(controls, spread, reason):
    layout = PlateLayout(**{**vars(SMALL), "controls": controls, "spread": spread})
    wells, conditions = lay_out(layout)
    vectors = draw_vectors(wells, Noise.of(8, 0), VectorEffects(), seed=0)
    reader = CrossFitted(vectors) if controls else Untouched(vectors)
    settings = ConsistencySettings(num_null=100)
    table = screen_consistency(wells, conditions, reader, settings=settings)
    guard = measured_false({"j": {"s": table}}, Rules(judges=("j",)))["j"]
    assert (guard["status"], guard["reason"], guard["rate"]) == ("NOT RUN", reason, None)


class Untouched:
    """Vectors that were never fitted on controls."""

    num_folds = 1

    def __init__(self, vectors):
        self.experiments, self.read = vectors.experiments, vectors.read

    def held_out_controls(self, experiment):
        return SimpleNamespace(rows=np.array([], int), fold=np.array([], int))

    def read_held_out(self, experiment, fold):
        raise AssertionError("no control was held out")


def test_controls_that_no_map_was_fitted_on_are_tested_under_the_plain_map():
    wells, conditions = lay_out(SMALL)
    vectors = draw_vectors(wells, Noise.of(8, 0), VectorEffects(), seed=0)
    settings = ConsistencySettings(num_null=100)
    table = screen_consistency(wells, conditions, Untouched(vectors), settings=settings)
    CONSISTENCY.conform(table)
    control = table[table["level"] == "control"]
    assert control["p_value"].notna().all()
    assert (control["num_wells"] == 4).all()


def test_a_control_without_a_vector_leaves_its_pseudo_conditions():
    wells, conditions = lay_out(SMALL)
    vectors = draw_vectors(wells, Noise.of(8, 0), VectorEffects(), seed=0)
    row = int(np.flatnonzero(wells["role"] == "negative_control")[0])
    vectors.vectors[row] = np.nan
    settings = ConsistencySettings(num_null=100)
    table = screen_consistency(wells, conditions, Untouched(vectors), settings=settings)
    control = table[table["level"] == "control"]
    assert set(control["num_wells"]) == {3, 4}
    assert control["p_value"].notna().all()


def test_workers_do_not_change_the_guard():
    wells, conditions = lay_out(SMALL)
    reader = CrossFitted(draw_vectors(wells, Noise.of(8, 0), VectorEffects(), seed=0))
    settings = ConsistencySettings(num_null=100)
    one, two = (
        screen_consistency(wells, conditions, reader, settings=settings, workers=workers)
        for workers in (1, 2)
    )
    pd.testing.assert_frame_equal(one, two)
