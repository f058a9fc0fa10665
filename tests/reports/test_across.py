"""Probes beside benchmarks, over encoders."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.publishing import publish_json
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
    (few,) = across_sections(run, BENCHMARKS.iloc[:2])
    assert [part.kind for part in few.parts] == ["box"]


def test_training_pays_where_three_encoders_say_what_they_cost(tmp_path, config):
    encoders = ["b", "c", "d", "e"]
    table = pd.DataFrame({"encoder": encoders, "value": [0.1, 0.2, 0.3, 0.4]})
    table = table.assign(benchmark="replicates", source="", metric="ks")
    for at, encoder in enumerate(encoders):
        content = {"format": 1, "training": {"flops": 10.0 ** (15 + at)}}
        publish_json(tmp_path / f"encoders/{encoder}/config.json", content)
    (section,) = across_sections(Run(tmp_path, config), table)
    (lines,) = [part for part in section.parts if part.kind == "table"]
    assert lines.frame["slope"].tolist() == pytest.approx([0.1])
    assert [part.anchor for part in section.parts if part.kind == "figure"] == ["figure-9-1"]
