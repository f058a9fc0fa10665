"""Benchmarks beside the cost of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from phenoprints.benchmarks import training_table
from phenoprints.benchmarks.contracts import BY_TRAINING
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.scaling import scaling_sections


def test_trained_encoders_stand_beside_published_ones(
    run_copy: Path, config: dict[str, Any]
) -> None:
    run = Run(run_copy, config)
    assert scaling_sections(run) == []
    rows = pd.DataFrame({"benchmark": "b", "metric": "m", "encoder": ["x", "y"], "value": [1.0, 2]})
    path = run_copy / "benchmarks/by_training.parquet"
    BY_TRAINING.write(path, training_table(rows, pd.Series({"x": 1e15, "y": 0.0})))
    (section,) = scaling_sections(run)
    shown = section.parts[1].frame
    assert shown.loc[shown["published"] == "", "encoder"].tolist() == ["x"]
    assert (shown["published"] == "published").sum() == 24
    BY_TRAINING.write(path, training_table(rows, pd.Series({"y": 0.0})))
    assert scaling_sections(run) == []
