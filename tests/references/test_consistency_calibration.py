"""How often conditions without effect are called, and planted ones found, by design and null."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from phenoprints.consistency import Design, condition_consistency, experiment_consistency

PLATES, CONDITIONS, REPLICATES, FEATURES = 8, 80, 4, 48
THRESHOLD = 0.01


def one_experiment(rng, place, offset, effect=0.0):
    """Vectors, conditions and plates; plates have an offset, a tenth of the conditions an effect.

    `offset` and `effect` are lengths in units of the noise of one well per feature.
    """
    condition = np.repeat(np.arange(CONDITIONS), REPLICATES)
    home = condition % PLATES
    if place == "one":
        plate = home
    elif place == "two":
        plate = (home + np.arange(len(condition)) % 2) % PLATES
    else:
        spread = [rng.choice(PLATES, REPLICATES, replace=False) for _ in range(CONDITIONS)]
        plate = np.concatenate(spread)
    x = rng.standard_normal((len(condition), FEATURES))
    x += offset * rng.standard_normal((PLATES, FEATURES))[plate]
    direction = rng.standard_normal((CONDITIONS, FEATURES))
    is_active = np.arange(CONDITIONS) < CONDITIONS * (effect > 0) // 10
    x += effect * (direction * is_active[:, None])[condition]
    return x - x.mean(axis=0), condition, plate, is_active


def p_values(null_model, place, offset, *, effect=0.0, num_experiments=15):
    """p-values of the conditions without and with effect, over experiments."""
    quiet, active = [], []
    for seed in range(num_experiments):
        rng = np.random.default_rng(seed)
        x, condition, plate, is_active = one_experiment(rng, place, offset, effect)
        table = experiment_consistency(
            x, condition, Design(f"e{seed}", plate=plate), null_model=null_model, num_null=4000
        )
        assert table["p_value"].notna().all()
        quiet += table["p_value"][~is_active].tolist()
        active += table["p_value"][is_active].tolist()
    return np.array(quiet), np.array(active)


@pytest.mark.parametrize("offset", [0.0, 0.5, 0.7])
@pytest.mark.parametrize("place", ["one", "two", "spread"])
def test_plate_matched_calls_what_it_promises_on_every_design(place, offset):
    """Fewer than 1.5 % at 0.01: the lower end of the 99 % binomial interval is compared."""
    p, _ = p_values("plate-matched", place, offset)
    called = np.sum(p < THRESHOLD)
    assert called <= binom.ppf(0.99, len(p), 0.015)
    assert np.sum(p < 0.05) <= binom.ppf(0.99, len(p), 0.065)
    assert np.sum(p < 0.05) >= binom.ppf(0.001, len(p), 0.025)


def test_few_conditions_on_a_plate_call_what_they_promise():
    """Five conditions in four experiments: a null without several own wells calls too many."""
    num_conditions, replicates = 5, 4
    num_wells = num_conditions * replicates
    condition = np.tile(np.repeat(np.arange(num_conditions), replicates), 4)
    experiment = np.repeat(np.arange(4), num_wells)
    p = []
    for seed in range(500):
        x = np.random.default_rng(seed).standard_normal((4 * num_wells, FEATURES))
        table = condition_consistency(
            x, condition, experiment, plate=experiment, num_null=2000, seed=seed
        )
        p += table["p_value"].tolist()
    assert len(p) == 500 * num_conditions
    for threshold, limit in ((THRESHOLD, 0.015), (0.05, 0.065)):
        assert np.sum(np.array(p) < threshold) <= binom.ppf(0.99, len(p), limit)


@pytest.mark.parametrize("offset", [0.5, 0.7])
def test_the_null_of_the_experiment_takes_plates_for_conditions(offset):
    """Why plate-matched is the default: replicates on one plate, and no effect at all."""
    one, _ = p_values("experiment", "one", offset, num_experiments=4)
    spread, _ = p_values("experiment", "spread", offset, num_experiments=4)
    assert np.mean(one < THRESHOLD) > 0.5
    assert np.mean(spread < THRESHOLD) < 0.01


def test_hardly_any_power_is_lost_where_plates_are_clean():
    """At most five points fewer than the null of the experiment; at least 1,000 sets exist."""
    found = {
        null_model: np.mean(p_values(null_model, "spread", 0.0, effect=0.45)[1] < THRESHOLD)
        for null_model in ("plate-matched", "experiment")
    }
    assert 0.3 < found["experiment"] < 0.95
    assert found["plate-matched"] > found["experiment"] - 0.05


def test_power_is_won_where_replicates_are_spread_over_plates_with_offsets():
    found = {
        null_model: np.mean(p_values(null_model, "spread", 0.7, effect=0.6)[1] < THRESHOLD)
        for null_model in ("plate-matched", "experiment")
    }
    assert found["plate-matched"] > found["experiment"] + 0.1
