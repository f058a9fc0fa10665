"""The paper's tables and figures with ours beside its rows, which stay marked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.benchmarks.on_controls import QUANTILES
from phenoprints.reports.stages.paper import index_rows, is_spread, paper_sections

ENCODERS = ("ours", "untrained")


def row(benchmark: str, source: str, metric: str, value: float, encoder: str) -> dict[str, object]:
    return {
        "screen": "demo", "benchmark": benchmark, "source": source, "context": "",
        "metric": metric, "encoder": encoder, "block": "4", "value": value, "sd": 0.01, "n": 10,
        "seen": "none", "random": value / 2, "random_sd": 0.01, "z": 3.0, "untrained": np.nan,
        "is_baseline": encoder == "untrained", "reason": "",
    }  # fmt: skip


@pytest.fixture
def table() -> pd.DataFrame:
    rows = []
    for at, encoder in enumerate(ENCODERS):
        rows += [row("relationships", "stringdb", "recall_0.05_0.95", 0.5 - 0.1 * at, encoder)]
        rows += [row("replicates", "", "ks", 0.6 - 0.1 * at, encoder)]
        rows += [
            row("compound-gene", dose, "average_precision", 0.3 - 0.05 * at, encoder)
            for dose in ("0.1", "10", "max")
        ]
        rows += [
            row("magnitude", "gene", f"energy_distance_p{p}", p / 10, encoder) for p in QUANTILES
        ]
        rows += [row("magnitude", "gene", "energy_distance", 5.0, encoder)]
    return pd.DataFrame(rows)


def parts(table: pd.DataFrame) -> dict[str, object]:
    (section,) = paper_sections(table)
    return {getattr(part, "anchor", ""): part for part in section.parts}


def test_ours_stand_above_published_rows_that_say_so(table: pd.DataFrame) -> None:
    first = parts(table)["published-1"].frame
    assert first["from"].tolist()[:3] == ["this run", "this run", "published"]
    assert first["recall_stringdb"].tolist()[:2] == [0.5, 0.4]
    best = first[(first["from"] == "published") & (first["encoder"] == "MAE-G/8, Phenoprints-16M")]
    assert best["recall_stringdb"].max() > 0.48
    third = parts(table)["published-3"].frame
    assert third.loc[0, "average_precision"] == 0.3
    assert third.loc[0, "energy_distance_z"] == 3.0


def test_figures_one_five_and_six_are_drawn(table: pd.DataFrame) -> None:
    found = parts(table)
    assert {"figure-1", "figure-5", "figure-6-demo-gene"} <= set(found)
    assert "ours recalls most" in found["figure-1"].title
    assert found["figure-6-demo-gene"].numbers_table.frame["name"].tolist()[-1] == "normal vectors"
    assert is_spread(table).sum() == len(QUANTILES) * len(ENCODERS)


def test_without_any_of_these_measures_the_published_tables_stand_alone(
    table: pd.DataFrame,
) -> None:
    found = parts(table[:0])
    assert not [anchor for anchor in found if anchor.startswith("figure")]
    assert set(found["published-1"].frame["from"]) == {"published"}


def test_the_first_page_gets_the_weakest_and_the_strongest_published_row() -> None:
    rows = index_rows({("replicates", "", "ks"), ("relationships", "screen", "recall_0.05_0.95")})
    assert rows["metric"].tolist() == ["ks", "ks"]
    assert rows["value"].is_monotonic_increasing
