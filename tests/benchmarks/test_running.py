from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.benchmarks import run_benchmarks
from phenoprints.benchmarks.contracts import BENCHMARKS
from phenoprints.benchmarks.loading import groups_of_pairs, seen_by
from phenoprints.benchmarks.on_controls import QUANTILES
from phenoprints.benchmarks.running import BENCHMARK_FUNCTIONS


@pytest.fixture(scope="module")
def table(make_inputs):
    return run_benchmarks(list(BENCHMARK_FUNCTIONS), make_inputs())


def value(table, benchmark, metric, column="value", **where):
    rows = table[(table["benchmark"] == benchmark) & (table["metric"] == metric)]
    for key, wanted in where.items():
        rows = rows[rows[key] == wanted]
    return rows[column].item()


def test_the_table_keeps_its_contract_and_names_encoder_block_and_what_was_seen(table):
    conformed = BENCHMARKS.conform(table).to_pandas()
    assert set(conformed["benchmark"]) == set(BENCHMARK_FUNCTIONS)
    assert set(conformed["encoder"]) == {"test"}
    assert set(conformed["block"]) == {"7"}
    assert set(conformed["seen"]) == {"none"}
    assert set(conformed.loc[conformed["reason"] != "", "metric"]) == {
        "accuracy_not_same_perturbation_and_batch"  # all compounds share both experiments
    }


def test_planted_pathways_are_found_by_every_benchmark(table):
    assert value(table, "relationships", "recall_0.05_0.95") > 0.45  # 48 of 496 pairs are known
    assert value(table, "relationships", "recall_0.05_0.95", "z") > 5
    assert value(table, "replicates", "ks") > 0.6
    assert value(table, "magnitude", "unbiased", source="gene") > 1
    assert value(table, "compound-gene", "average_precision", source="max") > 0.8
    assert value(table, "compound-gene", "average_precision_by_gene", source="1") > 0.5
    assert value(table, "activity", "fraction_active") > 0.8
    assert value(table, "clusters", "cosine_gap") > 0.5
    assert value(table, "enrichment", "fraction_enriched") > 0.8


def test_every_value_stands_beside_a_random_baseline_and_its_z(table):
    values = table[table["value"].notna() & (table["metric"] != "num_shared")]
    assert values["random"].notna().all()
    spread = values["sd"].fillna(0) + values["random_sd"].fillna(0)
    assert (values["z"].notna() | (spread == 0)).all()
    # Every compound has a mechanism of its own, and nobody is active in random rankings.
    alone = {"fraction_active", "accuracy_not_same_perturbation"}
    # Percentiles describe a distribution; the mean beside them has the z.
    alone |= {f"energy_distance_p{percent}" for percent in QUANTILES}
    assert set(values.loc[spread == 0, "metric"]) <= alone


def test_without_effects_nothing_is_invented(make_inputs):
    table = run_benchmarks(list(BENCHMARK_FUNCTIONS), make_inputs(strength=0.0))
    assert 0 <= value(table, "relationships", "recall_0.05_0.95") < 0.3
    assert abs(value(table, "relationships", "recall_0.05_0.95", "z")) < 3
    assert abs(value(table, "relationships", "recall_0.05_0.95_right", "z")) < 3
    assert abs(value(table, "proximity-bias", "effect", "z", source="all arms")) < 3
    assert value(table, "activity", "fraction_active") < 0.1
    assert abs(value(table, "magnitude", "unbiased", source="gene")) < 0.2
    assert abs(value(table, "clusters", "cosine_gap")) < 0.1


def test_what_is_not_at_hand_is_said_and_stops_nothing(make_inputs):
    inputs = make_inputs(pairs={}, truth=None, arms=None, cluster_source="corum")
    inputs.wells["replicate_group"] = ""
    table = run_benchmarks(list(BENCHMARK_FUNCTIONS), inputs).set_index("benchmark")
    for name, reason in {
        "relationships": "no table of known relationships",
        "compound-gene": "no table of compound-gene interactions",
        "proximity-bias": "no table of gene loci",
        "clusters": "no table of known groups",
        "replicates": "names no replicate experiments",
    }.items():
        assert reason in table.loc[name, "reason"]
        assert np.isnan(table.loc[name, "value"])
    assert table.loc["activity", "value"].notna().all()


def test_one_context_that_is_too_small_does_not_silence_the_others(make_inputs):
    inputs = make_inputs()
    rows = (inputs.built.table["name"].isin(["G00", "G01"])).to_numpy()
    inputs.built.table.loc[rows, "cell_type"] = "HUVEC"
    table = run_benchmarks(["relationships"], inputs).set_index("context")
    assert "the map has 2 perturbations" in table.loc["crispr HUVEC", "reason"]
    assert table.loc["crispr U2OS", "value"].notna().any()


def test_a_map_that_is_too_small_is_said(make_inputs):
    usual = make_inputs().settings
    settings = {**usual, "relationships": {**usual["relationships"], "min_perturbations": 99}}
    table = run_benchmarks(["relationships"], make_inputs(settings=settings))
    assert table["reason"].item().startswith("relationships: the map has 32 perturbations")


def test_results_do_not_depend_on_the_order_of_benchmarks_or_on_what_else_runs(table, make_inputs):
    alone = run_benchmarks(["activity", "replicates"], make_inputs())
    together = table[table["benchmark"].isin(["activity", "replicates"])]
    pd.testing.assert_frame_equal(alone, together.reset_index(drop=True)[alone.columns])


def test_what_an_encoder_has_seen():
    hold_out = ["e1", "e2"]
    assert seen_by(["e1"], learned_from_screen=False, hold_out=hold_out) == "none"
    assert seen_by(["e1"], learned_from_screen=True, hold_out=hold_out) == "screen"
    assert seen_by(["e1", "e3"], learned_from_screen=True, hold_out=hold_out) == "experiments"


def test_an_annotation_makes_pairs_of_genes(make_inputs):
    pairs = make_inputs().pairs["screen"]
    assert len(pairs) == 8 * 6
    assert (pairs["entity1"] < pairs["entity2"]).all()


def test_pairs_make_groups_again(make_inputs):
    inputs = make_inputs()
    groups = groups_of_pairs(inputs.pairs["screen"])
    assert len(groups) == 8
    assert groups["G04"] == {"G04", "G05", "G06", "G07"}


def test_effects_of_some_conditions_differ_from_chance_although_conditions_differ_from_another(
    make_inputs,
):
    """24 of 40 conditions have a large effect: z divides by the spread between conditions."""
    inputs = make_inputs(strength=0.0)
    effect = 3 * np.random.default_rng(1).normal(size=(41, 12))
    effect[[0, *range(25, 41)]] = 0
    for experiment, rows in inputs.wells.groupby("experiment").indices.items():
        which = [ids[0] for ids in inputs.wells["conditions"].iloc[rows]]
        inputs.reader.arrays[experiment] += effect[which].astype(np.float32)
    table = run_benchmarks(["activity"], inputs)
    assert value(table, "activity", "mean_average_precision", "z") < 3
    assert value(table, "activity", "mean_average_precision", "significance") > 10
    assert 24 / 40 <= value(table, "activity", "fraction_active") <= 27 / 40


def test_without_effects_the_significance_of_activity_and_magnitude_is_small(make_inputs):
    """Conditions share controls: the spread between them would understate that of their mean."""
    found = [
        run_benchmarks(["activity", "magnitude"], make_inputs(strength=0.0, seed=seed))
        for seed in range(12)
    ]
    for benchmark, metric in (("activity", "mean_average_precision"), ("magnitude", "unbiased")):
        whole = pd.concat(found)
        values = whole[(whole["benchmark"] == benchmark) & (whole["metric"] == metric)]
        assert values["significance"].notna().all()
        assert values["significance"].abs().max() < 5
        assert (values["significance"].abs() < 3).mean() > 0.9


def test_controls_that_the_alignment_was_fitted_on_have_no_significance(make_inputs):
    settings = {**make_inputs().settings}
    settings["magnitude"] = {**settings["magnitude"], "controls": "as-fitted"}
    table = run_benchmarks(["magnitude"], make_inputs(settings=settings))
    assert table["value"].notna().all()
    assert table["significance"].isna().all()
