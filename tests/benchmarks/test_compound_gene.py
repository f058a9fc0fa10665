from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from phenoprints.annotation.tables import read_truth
from phenoprints.benchmarks import (
    CompoundGeneSettings,
    compound_gene_precision,
    compound_gene_scores,
    published_results,
    z_score,
)
from phenoprints.benchmarks.compound_gene import auc, average_precision


def ordered_precision(hits):
    return np.mean([(sum(hits[: k + 1])) / (k + 1) for k in range(len(hits)) if hits[k]])


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ([0.5], [0.5]),
        ([0.5, 0.5], [0.5, 0.5]),
        ([0.9, 0.5], [0.5, 0.5, 0.1]),
        ([0.5, 0.5, 0.2], [0.9, 0.5]),
        ([0.3, 0.1], [0.2, 0.1, 0.1]),
    ],
)
def test_ties_give_the_expectation_over_all_orders(positive, negative):
    scores = np.array(positive + negative)
    hits = np.array([1] * len(positive) + [0] * len(negative))
    values = []
    for order in permutations(range(len(scores))):
        ranked = sorted(order, key=lambda k: -scores[k])  # stable: ties stay in the drawn order
        values.append(ordered_precision(hits[ranked].tolist()))
    result = average_precision(np.array([positive]), np.array([negative]))
    assert result.item() == pytest.approx(np.mean(values), abs=1e-12)
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert auc(np.array([positive]), np.array([negative])).item() == pytest.approx(np.mean(pairs))


def make_truth(seed=0, num_compounds=30, num_genes=60, num_targets=3):
    rng = np.random.default_rng(seed)
    rows = [
        (f"c{c:02d}", f"g{g:02d}", float(rng.choice([1.0, 100, 5000, 20000])))
        for c in range(num_compounds)
        for g in rng.choice(num_genes, num_targets, replace=False)
    ]
    return pd.DataFrame(rows, columns=["treatment", "gene_symbol", "nM_value"])


def make_scores(truth, strength, seed=1, num_genes=60):
    rng = np.random.default_rng(seed)
    compounds = sorted(set(truth["treatment"]))
    genes = [f"g{k:02d}" for k in range(num_genes)]
    table = pd.DataFrame(rng.random((len(compounds), num_genes)), compounds, genes)
    for row in truth[truth["nM_value"] <= 1000].itertuples():
        table.loc[row.treatment, row.gene_symbol] += strength
    return table


def test_known_targets_are_found_and_a_shuffled_truth_gives_the_random_precision():
    truth = make_truth()
    found = compound_gene_precision({"max": make_scores(truth, 0.6)}, truth).iloc[0]
    assert found["average_precision"] > found["average_precision_random"] + 0.3
    assert found["average_precision_z"] > 3
    gaps = []
    for seed in range(12):
        shuffled = truth.copy()
        genes = np.random.default_rng(seed).permutation(truth["gene_symbol"].to_numpy())
        shuffled["gene_symbol"] = genes
        settings = CompoundGeneSettings(num_seeds=20, seed=seed)
        row = compound_gene_precision({"max": make_scores(truth, 0.0, seed)}, shuffled, settings)
        gaps.append((row["average_precision"] - row["average_precision_random"]).item())
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(len(gaps))


def test_rules_of_positives_negatives_and_the_grey_zone():
    truth = pd.DataFrame(
        [("c", "g00", 1000.0), ("c", "g01", 1001.0), ("c", "g01", 10000.0), ("c", "g02", 10001.0)]
        + [("d", f"g{k:02d}", 50000.0) for k in range(3, 26)],
        columns=["treatment", "gene_symbol", "nM_value"],
    )
    genes = [f"g{k:02d}" for k in range(40)]
    score = pd.DataFrame(0.5, ["c", "d"], genes)
    score.loc["c", "g01"] = 9.0  # grey: whatever its score, it is nowhere
    score.loc["c", genes[26:]] = 9.0  # genes without any measurement are no negatives
    score.loc["c", "g00"] = 0.6
    row = compound_gene_precision({"max": score}, truth).iloc[0]
    assert row["average_precision"] == 1.0
    assert row["num_queries"] == 1
    assert row["num_skipped_no_positive"] == 1
    few = compound_gene_precision({"max": score}, truth, CompoundGeneSettings(min_negatives=25))
    assert few.iloc[0]["num_skipped_small_pool"] == 1
    assert np.isnan(few.iloc[0]["average_precision"])


def test_neither_order_nor_other_compounds_matter():
    """EFAAR's pool of negatives is a set, whose order changes from run to run; ours is sorted."""
    truth, rng = make_truth(), np.random.default_rng(9)
    scores = make_scores(truth, 0.3)
    expected = compound_gene_precision({"max": scores}, truth)
    shuffled = scores.iloc[rng.permutation(len(scores)), rng.permutation(scores.shape[1])]
    again = compound_gene_precision({"max": shuffled}, truth.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(again, expected)


def test_the_lowest_of_several_measurements_counts():
    truth = make_truth()
    worse = truth.assign(nM_value=truth["nM_value"] * 100)
    scores = {"max": make_scores(truth, 0.3)}
    expected = compound_gene_precision(scores, truth)
    actual = compound_gene_precision(scores, pd.concat([worse, truth]))
    pd.testing.assert_frame_equal(actual, expected)


def test_genes_can_be_asked_for_their_compounds():
    truth = make_truth(num_compounds=60, num_genes=20)
    scores = {"max": make_scores(truth, 0.6, num_genes=20)}
    row = compound_gene_precision(scores, truth, by="gene").iloc[0]
    assert row["by"] == "gene"
    assert row["num_queries"] > 5
    assert row["average_precision_z"] > 2


def test_scores_are_absolute_cosines_per_concentration_and_their_maximum():
    compounds = pd.DataFrame({"perturbation": ["a", "a", "b"], "concentration_um": [0.1, 1.0, 1.0]})
    vectors = np.array([[1.0, 0], [0, 1], [1, 1]])
    scores = compound_gene_scores(compounds, vectors, ["g", "h"], np.array([[-2.0, 0], [0, 3]]))
    assert list(scores) == ["0.1", "1", "max"]
    np.testing.assert_allclose(scores["0.1"], [[1, 0]], atol=1e-12)
    np.testing.assert_allclose(scores["max"].loc["a"], [1, 1])
    np.testing.assert_allclose(scores["1"].loc["b"], [0.5**0.5] * 2)


@pytest.mark.data
def test_the_real_truth_table_is_read(test_data):
    folder = test_data / "annotation" / "rxrx3_core_truth"
    truth = read_truth(folder / "compound_gene_interactions_EXCERPT_first70rows.csv")
    assert truth["treatment"].nunique() == 21
    assert truth["nM_value"].dtype == np.float64


def test_z_reproduces_the_energy_column_of_table_3_of_the_paper():
    table = published_results()
    table = table[table["table"].str.startswith("table 3")]
    value = table[table["metric"] == "energy_distance"].set_index(["encoder", "block"])
    z = table[table["metric"] == "energy_distance_z"].set_index(["encoder", "block"])["value"]
    random = value.loc[("random baseline", "-")]
    assert len(z) == 6
    for key, row in value.iterrows():
        ours = z_score(row["value"], row["sd_or_mad"], random["value"], random["sd_or_mad"])
        assert ours == pytest.approx(z[key], abs=0.02)


def test_the_published_table_is_whole():
    table = published_results()
    assert set(table["table"].str[:7]) == {"table 1", "table 2", "table 3", "table 6", "probes "}
    assert table["value"].notna().all()
    best = table[(table["metric"] == "recall_corum") & (table["block"] == "38")]
    assert best["value"].tolist() == [0.615, 0.264]
