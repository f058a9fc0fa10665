"""Without any effect, held-out controls and other wells are alike under one map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from phenoprints.alignment import AlignmentSettings, HeldOut, fit_alignment
from phenoprints.consistency import Design
from phenoprints.consistency.held_out import held_out_consistency

NUM_BATCHES, NUM_CONDITIONS, REPLICATES = 3, 60, 4
SHAPES = [(24, 96), (48, 384), (96, 384), (400, 96)]


class Screen:
    """A screen without effects in memory: correlated wells, an offset per experiment, one plate."""

    def __init__(self, num_controls: int, num_features: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        per_batch = num_controls + NUM_CONDITIONS * REPLICATES
        mixing = rng.normal(size=(num_features,) * 2) / np.sqrt(num_features)
        batch = np.repeat(np.arange(NUM_BATCHES), per_batch)
        place = np.tile(np.arange(per_batch), NUM_BATCHES)
        x = rng.normal(size=(len(batch), num_features)) @ mixing
        x += rng.normal(size=(NUM_BATCHES, num_features))[batch]
        self.wells = pd.DataFrame(
            {
                "experiment": np.char.add("e", batch.astype(str)), "plate": "p",
                "row": place // 24 + 1, "column": place % 24 + 1,
                "well_id": np.arange(len(batch), dtype=np.uint64),
                "role": np.where(place < num_controls, "negative_control", "treatment"),
            }
        )  # fmt: skip
        condition = (place - num_controls) // REPLICATES
        self.condition = np.where(place < num_controls, None, condition.astype(object))
        self.rows = self.wells.groupby("experiment").indices
        self.x, self.attributes = x.astype(np.float32), {}

    @property
    def experiments(self):
        return sorted(self.rows)

    def read(self, experiment):
        return self.x[self.rows[experiment]]


def p_values(folds: list[HeldOut], condition: np.ndarray, name: str) -> np.ndarray:
    table = held_out_consistency(folds, condition, Design(name), num_null=2000)
    assert table["p_value"].notna().all()
    return table["p_value"].to_numpy()


def mean_cosine(y: np.ndarray) -> float:
    unit = y / np.linalg.norm(y, axis=1, keepdims=True)
    total = unit.sum(axis=0)
    return float((total @ total - len(y)) / (len(y) * (len(y) - 1)))


@pytest.mark.parametrize("method", ["tvn", "pca-center-scale"])
@pytest.mark.parametrize(("num_controls", "num_features"), SHAPES)
def test_held_out_controls_and_treatments_have_one_length_and_cosine(
    method, num_controls, num_features
):
    """Within 2 % and 0.005 of each other, or three standard errors over maps."""
    lengths, cosines, in_sample = [], [], []
    for seed in range(2):
        screen = Screen(num_controls, num_features, seed)
        aligned = fit_alignment(screen.wells, screen, AlignmentSettings(method=method)).of(screen)
        for name in aligned.experiments:
            is_control = screen.wells["role"].to_numpy()[screen.rows[name]] == "negative_control"
            plain = np.linalg.norm(aligned.read(name), axis=1)
            in_sample.append(plain[is_control].mean() / plain[~is_control].mean())
            for fold in range(aligned.num_folds):
                held_out = aligned.read_held_out(name, fold)
                controls = held_out.vectors[held_out.is_control]
                others = held_out.vectors[~is_control]
                length = [np.linalg.norm(y, axis=1).mean() for y in (controls, others)]
                lengths.append(length[0] / length[1] - 1)
                cosines.append(mean_cosine(controls) - mean_cosine(others))
    for values, margin in ((lengths, 0.02), (cosines, 0.005)):
        error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values)) < max(margin, 3 * error)
        assert error < 3 * margin
    if method == "tvn" and num_controls < num_features:
        assert np.mean(in_sample) < 0.7  # the controls that a map was fitted on are shrunk


@pytest.mark.parametrize("method", ["tvn", "pca-center-scale"])
def test_the_null_of_controls_is_calibrated_with_held_out_controls_and_not_with_others(method):
    held_out, in_sample = [], []
    for seed in range(3):
        screen = Screen(48, 384, seed)
        aligned = fit_alignment(screen.wells, screen, AlignmentSettings(method=method)).of(screen)
        for name in aligned.experiments:
            condition = screen.condition[screen.rows[name]]
            is_control = np.equal(condition, None)
            folds = [aligned.read_held_out(name, fold) for fold in range(aligned.num_folds)]
            held_out.extend(p_values(folds, condition, name))
            wrong = [HeldOut(0, aligned.read(name), is_control)]
            in_sample.extend(p_values(wrong, condition, name))
    num_tests = len(held_out)
    assert np.sum(np.array(held_out) < 0.01) <= binom.ppf(0.99, num_tests, 0.02)
    assert np.sum(np.array(held_out) < 0.05) <= binom.ppf(0.99, num_tests, 0.065)
    assert np.mean(np.array(in_sample) < 0.01) > 0.2
