from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.benchmarks import BenchmarkInputs, run_benchmarks
from phenoprints.benchmarks.contracts import BENCHMARKS
from phenoprints.benchmarks.loading import groups_of_pairs, pairs_of_annotation, seen_by
from phenoprints.benchmarks.on_wells import QUANTILES
from phenoprints.benchmarks.running import BENCHMARK_FUNCTIONS
from phenoprints.maps import MapSettings, perturbation_map

SETTINGS = {
    "relationships": {
        "null": "all-pairs", "num_samples": 3, "sample_size": 100, "thresholds": [0.05, 0.95],
        "min_perturbations": 20,
    },
    "replicates": {"level": "gene"},
    "magnitude": {"min_wells": 5, "max_controls": 50},
    "compound_gene": {
        "truth": None, "active_nm": 1000, "inactive_nm": 10000, "negatives_per_positive": 2,
        "min_negatives": 5, "num_seeds": 20,
    },
    "mechanism": {"annotation": "pathway"},
    "activity": {"num_null": 500, "p_value": 0.05},
    "clusters": {"min_genes": 3},
    "enrichment": {"num_neighbours": 4, "p_value": 0.05},
    "proximity_bias": {"num_samples": 500, "min_genes": 5},
    "num_random": 5,
}  # fmt: skip


class Embeddings:
    def __init__(self, wells, x):
        self.attributes = {"alignment": {"controls": "negative_control"}, "block": 7}
        indices = wells.groupby("experiment").indices
        self.arrays = {name: x[rows] for name, rows in indices.items()}
        self.experiments = sorted(self.arrays)

    def read(self, experiment):
        return self.arrays[experiment]


def make_inputs(strength=1.5, seed=0, **changes):
    """Eight pathways of four genes, a compound per pathway, two replicate experiments."""
    rng = np.random.default_rng(seed)
    genes = [f"G{k:02d}" for k in range(32)]
    conditions = pd.DataFrame(
        [(0, "DMSO", "compound", "", np.nan, "")]
        + [(1 + k, name, "crispr", name, np.nan, f"p{k // 4}") for k, name in enumerate(genes)]
        + [(33 + k, f"C{k}", "compound", "", 1.0, f"p{k}") for k in range(8)],
        columns=["condition_id", "perturbation", "kind", "gene", "concentration_um", "pathway"],
    )
    conditions["guide"] = ""
    conditions["cell_type"], conditions["background"] = "U2OS", ""
    effect = rng.normal(size=(8, 12))
    own = np.concatenate([np.zeros((1, 12)), effect.repeat(4, axis=0), effect])
    rows = [
        (experiment, [condition], "treatment" if condition else "negative_control")
        for experiment in ("e1", "e2")
        for condition in [0] * 40 + list(range(1, 41)) * 3
    ]
    wells = pd.DataFrame(rows, columns=["experiment", "conditions", "role"])
    wells["well_id"] = np.arange(len(wells), dtype=np.uint64)
    wells["replicate_group"] = "r"
    which = np.array([ids[0] for ids in wells["conditions"]])
    x = (rng.normal(size=(len(wells), 12)) + strength * own[which]).astype(np.float32)
    reader = Embeddings(wells, x)
    truth = pd.DataFrame(
        [(f"C{k}", f"G{g:02d}", 1.0 if g // 4 == k else 5e4) for k in range(8) for g in range(32)],
        columns=["treatment", "gene_symbol", "nM_value"],
    )
    built = perturbation_map(wells, conditions, reader, MapSettings())
    inputs = {
        "wells": wells,
        "conditions": conditions,
        "reader": reader,
        "built": built,
        "is_usable": np.ones(len(wells), bool),
        "settings": SETTINGS,
        "encoder": "test",
        "pairs": {"screen": pairs_of_annotation(built.table, "pathway")},
        "truth": truth,
        "cluster_source": "annotation",
        "arms": {name: ("1p" if k < 22 else "2q") for k, name in enumerate(genes)},
        "uncorrected": reader,
    }
    return BenchmarkInputs(**{**inputs, **changes})


@pytest.fixture(scope="module")
def table():
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


def test_without_effects_nothing_is_invented():
    table = run_benchmarks(list(BENCHMARK_FUNCTIONS), make_inputs(strength=0.0))
    assert 0 <= value(table, "relationships", "recall_0.05_0.95") < 0.3
    assert abs(value(table, "relationships", "recall_0.05_0.95", "z")) < 3
    assert abs(value(table, "relationships", "recall_0.05_0.95_right", "z")) < 3
    assert abs(value(table, "proximity-bias", "effect", "z", source="all arms")) < 3
    assert value(table, "activity", "fraction_active") < 0.1
    assert abs(value(table, "magnitude", "unbiased", source="gene")) < 0.2
    assert abs(value(table, "clusters", "cosine_gap")) < 0.1


def test_what_is_not_at_hand_is_said_and_stops_nothing():
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


def test_one_context_that_is_too_small_does_not_silence_the_others():
    inputs = make_inputs()
    rows = (inputs.built.table["name"].isin(["G00", "G01"])).to_numpy()
    inputs.built.table.loc[rows, "cell_type"] = "HUVEC"
    table = run_benchmarks(["relationships"], inputs).set_index("context")
    assert "the map has 2 perturbations" in table.loc["crispr HUVEC", "reason"]
    assert table.loc["crispr U2OS", "value"].notna().any()


def test_a_map_that_is_too_small_is_said():
    settings = {**SETTINGS, "relationships": {**SETTINGS["relationships"], "min_perturbations": 99}}
    table = run_benchmarks(["relationships"], make_inputs(settings=settings))
    assert table["reason"].item().startswith("relationships: the map has 32 perturbations")


def test_results_do_not_depend_on_the_order_of_benchmarks_or_on_what_else_runs(table):
    alone = run_benchmarks(["activity", "replicates"], make_inputs())
    together = table[table["benchmark"].isin(["activity", "replicates"])]
    pd.testing.assert_frame_equal(alone, together.reset_index(drop=True)[alone.columns])


def test_what_an_encoder_has_seen():
    hold_out = ["e1", "e2"]
    assert seen_by(["e1"], learned_from_screen=False, hold_out=hold_out) == "none"
    assert seen_by(["e1"], learned_from_screen=True, hold_out=hold_out) == "screen"
    assert seen_by(["e1", "e3"], learned_from_screen=True, hold_out=hold_out) == "experiments"


def test_an_annotation_makes_pairs_of_genes():
    pairs = make_inputs().pairs["screen"]
    assert len(pairs) == 8 * 6
    assert (pairs["entity1"] < pairs["entity2"]).all()


def test_pairs_make_groups_again():
    inputs = make_inputs()
    groups = groups_of_pairs(inputs.pairs["screen"])
    assert len(groups) == 8
    assert groups["G04"] == {"G04", "G05", "G06", "G07"}
