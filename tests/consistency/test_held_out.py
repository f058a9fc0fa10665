"""The null of controls: sets of one fold's controls, under the map that was fitted without them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from phenoprints.alignment import AlignmentSettings, HeldOut, HeldOutControls, fit_alignment
from phenoprints.consistency import (
    ConsistencySettings,
    Design,
    experiment_consistency,
    held_out_consistency,
    screen_consistency,
)
from phenoprints.foundations.errors import DataError
from phenoprints.testing.simulation.embeddings import simulate_embeddings


def folds_of(x, is_control, num_folds, seed=0, shift=0.0):
    """Maps that differ by a shift of everything: as their centres do."""
    rng = np.random.default_rng(seed)
    fold = np.where(is_control, np.cumsum(is_control) % num_folds, -1)
    folds = []
    for f in range(num_folds):
        vectors = (x + shift * rng.standard_normal(x.shape[1])).astype(np.float32)
        vectors[is_control & (fold != f)] = np.nan
        folds.append(HeldOut(f, vectors, fold == f))
    return folds


def mean_cosine(x):
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return (unit @ unit.T).mean()


def small(num_controls=12, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((num_controls + 9, 5))
    is_control = np.arange(len(x)) < num_controls
    condition = np.where(is_control, None, (np.arange(len(x)) - num_controls) // 3 + 4).astype(
        object
    )
    return x, is_control, condition


def test_exceedances_are_summed_over_folds_and_folds_are_never_mixed():
    x, is_control, condition = small()
    folds = folds_of(x, is_control, 3, shift=2.0)
    table = held_out_consistency(folds, condition, Design("e")).set_index("condition")
    for label in table.index:
        own = condition == label
        b, total, statistics = 0, 0, []
        for held_out in folds:
            v = held_out.vectors.astype(float)
            statistics.append(mean_cosine(v[own]))
            sets = list(combinations(np.flatnonzero(held_out.is_control), 3))
            b += sum(mean_cosine(v[list(s)]) >= statistics[-1] - 1e-12 for s in sets)
            total += len(sets)
        assert total == 3 * 4
        assert table.loc[label, "p_value"] == pytest.approx((b + 1) / (total + 1))
        assert table.loc[label, "statistic"] == pytest.approx(np.mean(statistics), abs=1e-6)
        assert table.loc[label, ["num_sets", "smallest_p"]].tolist() == [12, 1 / 13]


def test_one_fold_is_the_plain_test():
    x, is_control, condition = small()
    alone = held_out_consistency(folds_of(x, is_control, 1), condition, Design("e"))
    plain = experiment_consistency(
        x.astype(np.float32), condition, Design("e", is_control=is_control),
        null_model="negative-controls",
    )  # fmt: skip
    pd.testing.assert_frame_equal(alone, plain)


def test_drawn_sets_are_k_over_all_folds():
    x, is_control, condition = small(100)
    table = held_out_consistency(folds_of(x, is_control, 3), condition, num_null=1000)
    assert (table["smallest_p"] == 1 / 1000).all()
    assert table["p_value"].between(1 / 1000, 1).all()
    again = held_out_consistency(folds_of(x, is_control, 3), condition, num_null=1000)
    pd.testing.assert_frame_equal(table, again)


def test_a_fold_smaller_than_a_condition_gives_a_reason():
    x, is_control, condition = small(8)
    table = held_out_consistency(folds_of(x, is_control, 3), condition)  # folds of 2 or 3 controls
    assert (table["reason"] == "too_few_controls").all()
    assert table["p_value"].isna().all()
    assert table["statistic"].notna().all()


def test_reasons_of_the_condition_itself():
    x, is_control, condition = small()
    x[condition == 4] = np.nan
    condition[condition == 5] = [5, None, None]
    table = held_out_consistency(folds_of(x, is_control, 3), condition).set_index("condition")
    assert table["reason"].to_dict() == {4: "not_finite", 5: "too_few_wells", 6: ""}


def test_controls_are_tested_in_their_own_fold():
    """Pseudo-conditions of one fold's controls exist under that fold's map only."""
    x, is_control, _ = small(24)
    folds = folds_of(x, is_control, 3, shift=1.0)
    label = np.full(len(x), None, dtype=object)
    for f, held_out in enumerate(folds):
        label[np.flatnonzero(held_out.is_control)[:3]] = f"pseudo {f}"
    table = held_out_consistency(folds, label)
    assert (table["reason"] == "").all()
    assert (table["num_sets"] == 56).all()  # of 8 controls, 3


def test_without_effect_no_more_is_called_than_promised():
    """Folds whose maps have an error of their centre, which all wells of a map share.

    A mean over folds is less spread than one p-value, so small ones are rarer than uniform.
    """
    p_values = []
    for seed in range(400):
        x, is_control, condition = small(60, seed)
        folds = folds_of(x, is_control, 3, seed, shift=0.5)
        p_values += held_out_consistency(folds, condition, seed=seed)["p_value"].tolist()
    for alpha in (0.01, 0.05, 0.2):
        called = np.sum(np.array(p_values) <= alpha)
        assert called <= binom.ppf(0.999, len(p_values), alpha)
    assert np.mean(np.array(p_values) <= 0.05) > 0.01
    assert 0.45 < np.mean(p_values) < 0.55


def test_alignments_without_folds_are_refused():
    with pytest.raises(DataError, match=r"set alignment\.folds"):
        held_out_consistency([], ["a"])


class Fake:
    """A CrossFittedReader of one screen: a shift per fold stands for its map."""

    def __init__(self, screen, num_folds=3):
        self.screen, self.experiments, self.num_folds = screen, screen.experiments, num_folds
        is_control = (screen.wells["role"] == "negative_control").to_numpy()
        self.fold = np.where(is_control, np.cumsum(is_control) % num_folds, -1)

    def rows(self, experiment):
        return np.flatnonzero((self.screen.wells["experiment"] == experiment).to_numpy())

    def read(self, experiment):
        return self.screen.vectors[self.rows(experiment)] * np.float32(5.0)  # never to be compared

    def held_out_controls(self, experiment):
        fold = self.fold[self.rows(experiment)]
        rows = np.flatnonzero(fold >= 0).astype(np.int32)
        vectors = self.screen.vectors[self.rows(experiment)][rows]
        return HeldOutControls(rows, fold[rows].astype(np.int16), vectors)

    def read_held_out(self, experiment, fold):
        rows = self.rows(experiment)
        vectors = self.screen.vectors[rows] + np.float32(0.1 * fold)
        vectors[(self.fold[rows] >= 0) & (self.fold[rows] != fold)] = np.nan
        return HeldOut(fold, vectors, self.fold[rows] == fold)


def treatments(wells):
    """The condition of each treatment well, None for others."""
    first = wells["conditions"].map(lambda ids: ids[0] if len(ids) else None).astype(object)
    return first.where(wells["role"] == "treatment", None).to_numpy(dtype=object)


@pytest.fixture(scope="module")
def screen():
    return simulate_embeddings(
        num_conditions=20,
        full_share=0.2,
        num_controls=24,
        num_experiments=2,
        dimensions=12,
        batch=0.0,
        effect=12.0,
    )


AGAINST_CONTROLS = ConsistencySettings(
    null_model="negative-controls", num_null=600, control_guard=False
)


def test_a_screen_against_its_controls_is_tested_fold_by_fold(screen):
    reader = Fake(screen)
    table = screen_consistency(screen.wells, screen.conditions, reader, settings=AGAINST_CONTROLS)
    experiment = screen.experiments[0]
    wells = screen.wells[screen.wells["experiment"] == experiment]
    alone = held_out_consistency(
        [reader.read_held_out(experiment, fold) for fold in range(3)],
        treatments(wells), Design(experiment, well_id=wells["well_id"]), num_null=600,
    )  # fmt: skip
    rows = table[(table["experiment"] == experiment) & (table["level"] == "condition")]
    np.testing.assert_array_equal(rows["p_value"], alone["p_value"])
    found = rows.merge(screen.truth, on="condition_id")
    assert found["p_value"][found["truth"] == "full"].max() < 0.01


def test_across_experiments_folds_are_those_of_the_whole_screen(screen):
    settings = AGAINST_CONTROLS.model_copy(update={"scope": "across-experiments"})
    table = screen_consistency(screen.wells, screen.conditions, Fake(screen), settings=settings)
    conditions = table[table["level"] == "condition"].merge(screen.truth, on="condition_id")
    assert (conditions["experiment"] == "").all()
    assert conditions["p_value"].notna().all()
    assert conditions["p_value"][conditions["truth"] == "full"].max() < 0.01


def test_controls_that_no_map_was_fitted_on_are_read_under_the_plain_map(screen):
    class Untouched(Fake):
        def held_out_controls(self, experiment):
            empty = super().held_out_controls(experiment)
            return HeldOutControls(empty.rows[:0], empty.fold[:0], empty.vectors[:0])

    table = screen_consistency(
        screen.wells, screen.conditions, Untouched(screen), settings=AGAINST_CONTROLS
    )
    plain = Untouched(screen)
    experiment = screen.experiments[1]
    wells = screen.wells[screen.wells["experiment"] == experiment]
    is_control = (wells["role"] == "negative_control").to_numpy()
    alone = held_out_consistency(
        [HeldOut(-1, plain.read(experiment), is_control)], treatments(wells),
        Design(experiment, well_id=wells["well_id"]), num_null=600,
    )  # fmt: skip
    rows = table[(table["experiment"] == experiment) & (table["level"] == "condition")]
    np.testing.assert_array_equal(rows["p_value"], alone["p_value"])


def test_a_reader_without_held_out_controls_is_refused(screen):
    with pytest.raises(DataError, match=r"set alignment\.folds"):
        screen_consistency(screen.wells, screen.conditions, screen, settings=AGAINST_CONTROLS)


@pytest.mark.parametrize(("num_controls", "num_features"), [(16, 32), (24, 384)])
def test_conditions_without_effect_differ_from_held_out_controls_as_promised(
    num_controls, num_features
):
    """TVN shrinks the wells that it was fitted on: in-sample controls call up to 72 % here."""
    screen = simulate_embeddings(
        num_conditions=60, full_share=0.0, partial_share=0.0, num_controls=num_controls,
        num_experiments=2, dimensions=num_features, batch=1.0,
    )  # fmt: skip
    aligned = fit_alignment(screen.wells, screen, AlignmentSettings()).of(screen)
    table = screen_consistency(screen.wells, screen.conditions, aligned, settings=AGAINST_CONTROLS)
    tests = table[table["level"] == "condition"].merge(screen.truth, on="condition_id")
    p = tests["p_value"][tests["truth"] == "none"].dropna()
    assert len(p) > 100
    assert np.sum(p < 0.01) <= binom.ppf(0.99, len(p), 0.02)
