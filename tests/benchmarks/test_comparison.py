from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.benchmarks import probes_and_benchmarks, training_pays

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
