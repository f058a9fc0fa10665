"""Encoders compared: probes beside benchmarks, and benchmarks beside what training has cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from phenoprints.benchmarks import probes_table, training_table
from phenoprints.benchmarks.contracts import BY_PROBES, BY_TRAINING
from phenoprints.reports.page_model import Section
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.across import across_sections

ENCODERS = ["b", "c", "d", "e"]


def write_tables(folder: Path, encoders: list[str], source: str = "stringdb") -> Path:
    """The tables of a run whose encoders get better with training and with their probes."""
    number = pd.Series(range(len(encoders)), index=encoders, dtype=float)
    benchmarks = pd.DataFrame({"encoder": encoders, "value": 0.1 + 0.1 * number.to_numpy()})
    benchmarks = benchmarks.assign(
        screen="demo", benchmark="relationships", source=source, context="",
        metric="recall_0.05_0.95",
    )  # fmt: skip
    accuracies = benchmarks[["encoder"]].assign(task="pathway", balanced_accuracy=number.to_numpy())
    BY_PROBES.write(folder / "benchmarks/by_probes.parquet", probes_table(accuracies, benchmarks))
    table = training_table(benchmarks, 10 ** (15 + number))
    BY_TRAINING.write(folder / "benchmarks/by_training.parquet", table)
    return folder


def sections(folder: Path, config: dict[str, Any]) -> dict[str, Section]:
    return {section.anchor: section for section in across_sections(Run(folder, config))}


def test_the_correlation_stands_beside_the_published_ones(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    found = sections(write_tables(tmp_path, ENCODERS), config)
    figure, table = found["across-encoders"].parts[1:]
    assert "rank correlation of 1" in figure.title
    assert table.frame["num_encoders"].iloc[0] == 4
    assert set(table.frame["from"]) == {"this run", "published"}


def test_training_pays_by_the_slope_of_the_stored_line(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    found = sections(write_tables(tmp_path, ENCODERS), config)
    figure, table = found["training-pays"].parts[1:]
    assert "0.100 per tenfold training" in figure.title
    assert "published" in figure.picture
    ours = table.frame[table.frame["from"] == "this run"]
    assert ours["slope"].tolist() == pytest.approx([0.1] * 4)
    assert (table.frame["from"] == "published").sum() == 24


def test_two_encoders_are_too_few_and_the_pages_say_so(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    found = sections(write_tables(tmp_path, ENCODERS[:2], "screen"), config)
    assert [part.kind for part in found["across-encoders"].parts] == ["box"]
    assert [part.kind for part in found["training-pays"].parts] == ["text", "table"]


def test_without_these_tables_nothing_is_said(tmp_path: Path, config: dict[str, Any]) -> None:
    assert across_sections(Run(tmp_path, config)) == []


def test_untrained_encoders_alone_have_nothing_to_pay(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    rows = pd.DataFrame({"benchmark": "b", "metric": "m", "encoder": ["x"], "value": [1.0]})
    table = training_table(rows, pd.Series({"x": 0.0}))
    BY_TRAINING.write(tmp_path / "benchmarks/by_training.parquet", table)
    assert sections(tmp_path, config) == {}
