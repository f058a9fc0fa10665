from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.benchmarks import (
    accuracies_of_encoders,
    probes_and_benchmarks,
    probes_table,
    training_pays,
    training_table,
)
from phenoprints.benchmarks.contracts import BY_PROBES, BY_TRAINING

BENCHMARKS = pd.DataFrame(
    {
        "benchmark": "relationships",
        "source": "stringdb",
        "metric": "recall",
        "encoder": list("abcd"),
        "value": [0.1, 0.2, 0.3, 0.4],
    }
)


def test_ranks_of_probes_and_benchmarks_agree():
    accuracies = pd.DataFrame(
        {"task": "anax", "encoder": list("dcba"), "balanced_accuracy": [9.0, 4, 2, 1]}
    )
    row = probes_and_benchmarks(accuracies, BENCHMARKS).iloc[0]
    assert row["spearman"] == pytest.approx(1)
    assert row["num_encoders"] == 4
    few = probes_and_benchmarks(accuracies.iloc[:2], BENCHMARKS).iloc[0]
    assert np.isnan(few["spearman"])


def test_a_decade_of_training_has_its_slope():
    flops = pd.Series({"a": 1e18, "b": 1e19, "c": 1e20, "d": 1e21, "untrained": 0.0})
    row = training_pays(BENCHMARKS, flops).iloc[0]
    assert row["slope"] == pytest.approx(0.1)
    assert row["r_squared"] == pytest.approx(1)
    assert row["num_encoders"] == 4
    assert np.isnan(training_pays(BENCHMARKS, flops.iloc[:2]).iloc[0]["slope"])


def benchmark_rows():
    rows = BENCHMARKS.assign(screen="core", context="", source=["stringdb"] * 4)
    failed = pd.DataFrame(
        {
            "benchmark": ["activity"],
            "screen": ["core"],
            "metric": [""],
            "encoder": ["a"],
            "value": [np.nan],
            "source": [""],
            "context": [""],
        }
    )
    return pd.concat([rows, rows.assign(screen="other", value=rows["value"] ** 2), failed])


def test_an_encoder_has_the_accuracy_of_the_block_that_it_ends_with():
    accuracies = pd.DataFrame(
        {
            "task": "anax",
            "encoder": ["a"] * 6 + ["b"] * 3,
            "screen": ["s"] * 3 + ["t"] * 3 + ["s"] * 3,
            "block": [1, 2, 3] * 3,
            "balanced_accuracy": [0.2, 0.6, 0.4, 0.4, 0.8, 0.2, 0.1, 0.3, 0.2],
        }
    )
    table = accuracies_of_encoders(accuracies, {"a": 2}, {"b": 1, "a": None})
    found = table.set_index("encoder")["balanced_accuracy"].round(9).to_dict()
    assert found == {"a": 0.3, "a.trimmed": 0.7, "b": 0.1}


def test_probes_stand_beside_benchmarks_and_published_correlations_are_marked():
    accuracies = pd.DataFrame(
        {"task": "pathway", "encoder": list("abcx"), "balanced_accuracy": [0.1, 0.3, 0.2, 0.9]}
    )
    table = probes_table(accuracies, benchmark_rows())
    pd.testing.assert_frame_equal(table, BY_PROBES.conform(table).to_pandas())
    ours, published = table[~table["is_published"]], table[table["is_published"]]
    assert len(ours) == 2 * 3
    assert ours["spearman"].round(9).unique().tolist() == [0.5]
    assert set(ours["num_encoders"]) == {3}
    assert published[["source", "spearman"]].to_numpy().tolist() == [["stringdb", 0.97], ["", 0.91]]
    nothing = probes_table(accuracies.iloc[:0], benchmark_rows())
    pd.testing.assert_frame_equal(nothing, published.reset_index(drop=True))


def test_training_stands_beside_benchmarks_and_the_papers_encoders_are_marked():
    flops = pd.Series({"a": 1e18, "b": 1e19, "c": 1e20, "untrained": 0.0, "theirs": np.nan})
    table = training_table(benchmark_rows(), flops)
    pd.testing.assert_frame_equal(table, BY_TRAINING.conform(table).to_pandas())
    ours = table[~table["is_published"] & (table["screen"] == "core")]
    assert ours["encoder"].tolist() == list("abc")
    np.testing.assert_allclose(ours["slope"], 0.1)
    published = table[table["is_published"]]
    assert set(published["screen"]) == {""}
    assert set(published["num_encoders"]) == {4}
    recall = published[published["source"] == "stringdb"].set_index("encoder")
    assert recall.loc["MAE-G/8, Phenoprints-16M", "value"] == 0.488
    assert recall.loc["MAE-G/8, Phenoprints-16M", "training_flops"] == pytest.approx(
        2.49e22, rel=1e-3
    )
    assert (published["slope"] > 0).all()
    alone = training_table(benchmark_rows(), flops[:0])
    assert alone["is_published"].all()
