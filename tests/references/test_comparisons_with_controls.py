"""Tests of wells against controls through the real alignments, on screens without any effect."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.benchmarks import cross_fitted_energy, phenotypic_activity
from phenoprints.foundations.randomness import well_ids
from phenoprints.maps.control_sets import comparisons, strata
from phenoprints.maps.doses import dose_lengths

NUM_FEATURES = 384
NUM_PLATES = 6


class Embeddings:
    """Vectors of a screen by experiment."""

    def __init__(self, wells, x):
        self.attributes = {}
        self._rows = wells.groupby("experiment").indices
        self.experiments, self._x = sorted(self._rows), x

    def read(self, experiment):
        return self._x[self._rows[experiment]]


def make_screen(seed, num_controls, num_wells, is_one_plate, plate_offset):
    """Two experiments of six plates; 12 conditions of `num_wells` wells in one experiment each."""
    rng = np.random.default_rng(seed)
    rows = []
    for experiment in ("e0", "e1"):
        rows += [(experiment, p, -1) for p in range(NUM_PLATES) for _ in range(num_controls)]
        for condition in range(12):
            plates = rng.integers(NUM_PLATES) + (0 if is_one_plate else np.arange(num_wells))
            plates = np.broadcast_to(plates, num_wells) % NUM_PLATES
            number = condition + 12 * (experiment == "e1")
            rows += [(experiment, int(plate), number) for plate in plates]
    wells = pd.DataFrame(rows, columns=["experiment", "plate", "condition"])
    wells["plate"] = wells["plate"].map("p{}".format)
    wells = wells.sort_values(["experiment", "plate"], kind="stable", ignore_index=True)
    number = wells.groupby(["experiment", "plate"]).cumcount()
    wells["row"], wells["column"] = (
        (number // 24 + 1).astype("int16"),
        (number % 24 + 1).astype("int16"),
    )
    wells["well"] = [
        f"{chr(64 + r)}{c:02}" for r, c in zip(wells["row"], wells["column"], strict=True)
    ]
    wells["well_id"] = well_ids("s", wells["experiment"], wells["plate"], wells["well"])
    wells["role"] = np.where(wells["condition"] < 0, "negative_control", "treatment")
    x = rng.normal(size=(len(wells), NUM_FEATURES))
    for keys, scale in ((["experiment"], 1.0), (["experiment", "plate"], plate_offset)):
        code = wells.groupby(keys).ngroup().to_numpy()
        x += scale * rng.normal(size=(code.max() + 1, NUM_FEATURES))[code]
    return wells, x.astype(np.float32)


def folds_of(wells, x, method="tvn"):
    """A comparison for each fold of an alignment fitted on the screen."""
    embeddings = Embeddings(wells, x)
    aligned = fit_alignment(wells, embeddings, AlignmentSettings(method=method)).of(embeddings)
    code, usable = wells["condition"].to_numpy(), np.ones(len(wells), bool)
    return list(comparisons(wells, aligned, code, stratum=strata(wells), is_usable=usable))


@pytest.mark.parametrize("method", ["tvn", "pca-center-scale"])
@pytest.mark.parametrize("num_controls", [8, 16])
def test_without_an_effect_doses_and_activity_call_what_the_threshold_says(num_controls, method):
    """48 or 96 controls a batch, fewer than features; version 0.1 called nearly all of them."""
    doses, activity = [], []
    for seed in range(30):
        screen = make_screen(seed, num_controls, 4, is_one_plate=seed % 2 == 0, plate_offset=0.4)
        folds = folds_of(*screen, method)
        doses.append(dose_lengths(folds, num_null=300, activity_p_value=0.05)["p_value"])
        activity.append(phenotypic_activity(folds, num_null=300)["p_value"])
    for parts in (doses, activity):
        p = pd.concat(parts).dropna()
        assert len(p) >= 350
        assert (p <= 0.01).mean() <= 0.02
        assert 0.02 <= (p <= 0.05).mean() <= 0.08


@pytest.mark.parametrize("num_wells", [2, 5, 20])
def test_without_an_effect_the_unbiased_energy_distance_is_0(num_wells):
    """Within 1 % of the distance between two wells, as the mean of 50 screens."""
    means, typical = [], []
    for seed in range(50):
        screen = make_screen(seed, 8, num_wells, is_one_plate=seed % 2 == 0, plate_offset=0.4)
        folds = folds_of(*screen)
        means.append(cross_fitted_energy(folds, min_wells=2)["unbiased"].mean())
        own = folds[0].vectors[folds[0].group >= 0]
        typical.append(np.linalg.norm(own[::2] - own[1::2], axis=1).mean())
    standard_error = np.std(means, ddof=1) / np.sqrt(len(means))
    assert abs(np.mean(means)) <= 0.01 * np.mean(typical)
    assert abs(np.mean(means)) <= 3.5 * standard_error


def test_effects_are_found_on_few_controls():
    wells, x = make_screen(0, 16, 4, is_one_plate=False, plate_offset=0.4)
    effect = np.random.default_rng(1).normal(size=(24, NUM_FEATURES))
    code = wells["condition"].to_numpy()
    x[code >= 0] += 1.5 * effect[code[code >= 0]].astype(np.float32)
    folds = folds_of(wells, x)
    assert (dose_lengths(folds)["p_value"] < 0.01).mean() >= 0.9
    assert phenotypic_activity(folds)["is_active"].mean() >= 0.9
    assert (cross_fitted_energy(folds, min_wells=2)["unbiased"] > 0).all()
