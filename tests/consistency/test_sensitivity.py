"""What a screen's table shows of its power: its null, and effects found as often as claimed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.consistency import ConsistencySettings, screen_consistency
from phenoprints.consistency.sensitivity import MIN_TESTS, null_moments, screen_power
from phenoprints.curation import Rules, phenoprints_table
from phenoprints.simulation import Noise, PlateLayout, VectorEffects, draw_vectors, lay_out

LAYOUT = PlateLayout(experiments=2, plates=4, conditions=60, replicates=4, controls=16)
SETTINGS = ConsistencySettings(num_null=2000)


def run_tests(wells, conditions, vectors, seed=0):
    """The tests of vectors that need no alignment."""
    reader = fit_alignment(wells, vectors, AlignmentSettings(method="none")).of(vectors)
    return screen_consistency(wells, conditions, reader, settings=SETTINGS, seed=seed)


def tables(effect=0.0, active=0.5, layout=LAYOUT, seed=0):
    wells, conditions = lay_out(layout, seed=seed)
    effects = VectorEffects(batch=0.0, active=active, effect=effect)
    vectors = draw_vectors(wells, Noise.of(24, 0, factor_share=0.0), effects, seed=seed)
    return run_tests(wells, conditions, vectors, seed), conditions


def found(table, conditions, chosen):
    rules = Rules(judges=("j",), min_experiments=1, min_wells=1)
    judged = phenoprints_table({"j": {"s": table}}, conditions, rules, settings={"s": SETTINGS})
    return judged["has_phenoprint"].to_numpy()[chosen].mean()


def test_the_null_is_recovered_from_statistics_and_p_values():
    random = np.random.default_rng(0)
    x = random.normal(size=(20_000, 4, 24))
    u = x / np.linalg.norm(x, axis=2, keepdims=True)
    s = (u.sum(axis=1) ** 2).sum(axis=1) / 16
    tested = s[:200]
    p = pd.Series([(s[200:] >= each).mean() for each in tested])
    mean, sd = null_moments(pd.Series(tested), p, 4)
    assert mean == pytest.approx(s.mean(), rel=0.02)
    assert sd == pytest.approx(s.std(), rel=0.05)
    assert null_moments(pd.Series(tested[:4]), p[:4], 4) is None


def test_effects_of_the_claimed_length_are_found_as_often_as_claimed():
    plain, _ = tables()
    power = screen_power(plain, 0.01)
    assert (power.num_wells, power.num_experiments) == (4, 2)
    share = [
        found(*tables(effect=power.smallest_effect, active=0.2, seed=seed), np.arange(12))
        for seed in range(1, 9)
    ]
    assert np.mean(share) == pytest.approx(0.8, abs=0.12)


def test_conditions_below_the_smallest_effect_are_counted():
    none = screen_power(tables()[0], 0.01)
    strong = screen_power(tables(effect=2.0)[0], 0.01)
    assert none.num_conditions == strong.num_conditions == 60
    assert none.num_below >= 55
    assert 25 <= strong.num_below <= 35


def test_a_phenotype_that_most_conditions_share_is_noticed():
    table, _ = tables()
    assert not screen_power(table, 0.01).is_shared
    wells, conditions = lay_out(LAYOUT)
    vectors = draw_vectors(wells, Noise.of(24, 0), VectorEffects(batch=0.0), seed=0)
    treated = (wells["role"] == "treatment").to_numpy() & (np.arange(len(wells)) % 5 > 0)
    vectors.vectors[treated] += 0.8
    assert screen_power(run_tests(wells, conditions, vectors), 0.01).is_shared


def test_tables_without_enough_tests_have_no_power():
    table, _ = tables()
    few = table[table["condition_id"] < (MIN_TESTS - 1) // 2]
    assert screen_power(few, 0.01) is None
    assert screen_power(table.iloc[:0], 0.01) is None
