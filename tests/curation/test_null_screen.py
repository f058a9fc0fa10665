"""Screens without any effect: what the rules call must be what they say they call by chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.consistency import ConsistencySettings, screen_consistency
from phenoprints.curation import Rules, curate, phenoprints_table
from phenoprints.curation.false_positives import expected_false, measured_false, warnings_of
from phenoprints.testing.simulation.embeddings import simulate_embeddings

SETTINGS = ConsistencySettings(num_null=2000)


def aligned_tests(screen, **alignment):
    aligned = fit_alignment(screen.wells, screen, AlignmentSettings(**alignment)).of(screen)
    return screen_consistency(screen.wells, screen.conditions, aligned, settings=SETTINGS)


@pytest.fixture(scope="module")
def judged():
    """Two judges with noise of their own see the same wells, in three experiments with batches."""
    screens = [
        simulate_embeddings(num_conditions=200, num_controls=48, dimensions=16, seed=seed,
                            num_experiments=3, positions="fixed")
        for seed in (1, 1)
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    screens[1].vectors[:] = rng.standard_normal(screens[1].vectors.shape)
    return screens[0], {str(i): {"s": aligned_tests(screen)} for i, screen in enumerate(screens)}


@pytest.mark.parametrize("options", [{}, {"combine": "any-experiment"}])
def test_a_rule_calls_as_many_as_it_expects(judged, options):
    screen, tests = judged
    rules = Rules(judges=tuple(tests), **options)
    table = phenoprints_table(tests, screen.conditions, rules, settings={"s": SETTINGS})
    expected = expected_false(table, rules)
    called = int(table["has_phenoprint"].sum())
    assert expected["units"] == 200
    assert binom.ppf(0.001, 200, expected["rate"]) <= called
    assert called <= binom.ppf(0.999, 200, expected["rate"])


def test_no_warning_without_position_effects(judged):
    screen, tests = judged
    rules = Rules(judges=tuple(tests), min_wells=6)
    table = phenoprints_table(tests, screen.conditions, rules, settings={"s": SETTINGS})
    measured = measured_false(tests, rules)
    assert measured["any"]["tests"] >= 400
    assert not any(warnings_of(tests, table, rules, {"s": SETTINGS}).values())
    kept = curate(screen.wells, table, rules).after["roles"]["treatment"]
    assert kept == 12 * table["has_phenoprint"].sum()


def test_position_effects_are_measured_and_can_be_removed():
    """Rows and columns with effects of their own: false phenoprints, until they are removed."""
    screen = simulate_embeddings(num_conditions=272, num_controls=112, dimensions=16, batch=0.0,
                                 num_experiments=2, positions="fixed")  # fmt: skip
    rng = np.random.default_rng(0)
    rows, columns = rng.standard_normal((2, 33, 16)) * 0.8
    wells = screen.wells
    screen.vectors[:] += rows[wells["row"]] + columns[wells["column"]]
    rules = Rules(judges=("j",))
    rates = {}
    for remove in ("none", "plate-rows-columns"):
        tests = aligned_tests(screen, remove_position=remove, controls="unperturbed")
        below = tests["p_value"] < rules.p_value
        rates[remove] = (
            measured_false({"j": {"s": tests}}, rules)["j"]["rate"],
            below[tests["level"] == "condition"].mean(),
        )
    assert min(rates["none"]) > 0.1
    assert max(rates["plate-rows-columns"]) < min(rates["none"]) / 2
