"""Probes beside benchmarks, over encoders."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.reports.runs import Run
from phenoprints.reports.stages.across import across_sections, probe_accuracies

BENCHMARKS = pd.DataFrame(
    {
        "benchmark": "relationships",
        "source": "screen",
        "metric": "recall_0.05_0.95",
        "encoder": ["untrained", "phenoprints-mae", "phenoprints-mae.trimmed"],
        "value": [0.1, 0.3, 0.4],
    }
)


@pytest.fixture
def run(whole_run, config):
    return Run(whole_run, config)


def test_accuracies_are_those_of_the_last_block_and_trimmed_of_the_chosen_one(run):
    table = probe_accuracies(run).set_index("encoder")["balanced_accuracy"]
    raw = pd.read_parquet(run.folder / "probes/pathway/accuracies/phenoprints-mae.parquet")
    last = raw[raw["block"] == raw["block"].max()]["balanced_accuracy"].mean()
    assert table["phenoprints-mae"] == pytest.approx(last)
    assert table["phenoprints-mae.trimmed"] >= raw["balanced_accuracy"].min()


def test_the_correlation_stands_on_the_page_where_three_encoders_have_both(run):
    (section,) = across_sections(run, BENCHMARKS)
    (table,) = [part for part in section.parts if hasattr(part, "frame")]
    assert table.frame["num_encoders"].tolist() == [3]
    assert np.isfinite(table.frame["spearman"]).all()
    assert across_sections(run, BENCHMARKS.iloc[:2]) == []
    assert across_sections(run, BENCHMARKS.iloc[:0]) == []
