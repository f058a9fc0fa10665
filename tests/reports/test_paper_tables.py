"""The page of the paper's tables: a cell for every published value, with ours or a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from phenoprints import configuration
from phenoprints.benchmarks.contracts import BENCHMARKS, BY_TRAINING
from phenoprints.benchmarks.published import published_results
from phenoprints.foundations.publishing import publish_json, publish_table
from phenoprints.probes.contracts import ACCURACIES
from phenoprints.reports import build
from phenoprints.reports.runs import Run
from phenoprints.reports.stages import paper_tables
from phenoprints.reports.stages.benchmarks import benchmark_table

ROWS = {"MAE-G/8, Phenoprints-16M": "mae", "ViT-S/16, untrained": "untrained",
        "MAE-L/8, RPI-93M": "mae", "CellProfiler": "chance"}  # fmt: skip
CONFIGURATION: dict[str, Any] = {
    "run": "rows",
    "screens": {"s": {"source": "simulated"}, "t": {"source": "simulated", "seed": 9}},
    "encoders": {
        "mae": {"kind": "mae", "architecture": "vit-tiny", "manifest": "all"},
        "untrained": {"kind": "untrained", "architecture": "vit-tiny"},
        "chance": {"kind": "random"},
    },
    "manifests": {"all": {"screens": ["s"]}},
    "evaluation": {
        "screens": ["s", "t"], "encoders": ["mae", "mae.trimmed", "untrained"],
        "by_screen": {"t": ["mae"]}, "probes": ["pathway"],
        "benchmarks": ["relationships", "replicates"],
    },
    "reports": {
        "paper": {
            "encoders": ROWS, "screens": {"1": "s", "2": "t"}, "tasks": {"anax": "pathway"},
        }
    },
}  # fmt: skip


def row(encoder: str, benchmark: str, source: str, metric: str, value: float) -> dict[str, Any]:
    return {
        "benchmark": benchmark, "source": source, "context": "", "encoder": encoder, "block": "3",
        "metric": metric, "value": value, "sd": 0.1, "n": 5, "seen": "none", "random": 0.1,
        "random_sd": 0.0, "z": 4.0, "significance": np.nan,
        "reason": "" if metric else "no replicate experiments",
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = configuration.load(CONFIGURATION)
    run = Run(tmp_path, config)
    for encoder, recall in (("mae", 0.5), ("mae.trimmed", 0.6)):
        rows = [row(encoder, "relationships", "stringdb", "recall_0.05_0.95", recall),
                row(encoder, "replicates", "", "", np.nan)]  # fmt: skip
        path = run.path("benchmark_table", screen="s", encoder=encoder)
        publish_table(path, BENCHMARKS.conform(pd.DataFrame(rows)))
    accuracies = pd.DataFrame({"block": [1, 2, 3], "balanced_accuracy": [0.2, 0.4, 0.3]}).assign(
        encoder="mae", task="pathway", screen="s", cell_type="U2OS", background="",
    )  # fmt: skip
    for name in ACCURACIES.schema.names:
        if name not in accuracies:
            accuracies[name] = 6
    path = run.path("probe_accuracies", task="pathway", encoder="mae")
    publish_table(path, ACCURACIES.conform(accuracies))
    publish_json(run.path("probe_chosen", encoder="mae"), {"block": 2})
    return run


def cell(cells: pd.DataFrame, encoder: str, metric: str, *, trimmed: bool, table: str = "") -> Any:
    chosen = (cells["encoder"] == encoder) & (cells["metric"] == metric)
    chosen &= (cells["is_trimmed"] == trimmed) & cells["table"].str.startswith(table)
    (found,) = cells[chosen].to_dict("records")
    return found


def test_every_published_value_has_a_cell_with_ours_or_a_reason(run: Run) -> None:
    cells = paper_tables.paper_cells(run, benchmark_table(run))
    published = published_results()
    pd.testing.assert_frame_equal(cells[published.columns], published)
    assert ((cells["why"] == "") == cells["ours"].notna()).all()
    assert cells["ours"].notna().sum() == 5


def test_trimmed_rows_take_the_trimmed_encoder(run: Run) -> None:
    cells = paper_tables.paper_cells(run, benchmark_table(run))
    name, metric = "MAE-G/8, Phenoprints-16M", "recall_stringdb"
    whole = cell(cells, name, metric, trimmed=False)
    assert (whole["our_encoder"], whole["ours"], whole["value"]) == ("mae", 0.5, 0.488)
    cut = cell(cells, name, metric, trimmed=True, table="table 1")
    assert (cut["our_encoder"], cut["ours"], cut["value"]) == ("mae.trimmed", 0.6, 0.492)
    probed = cell(cells, name, "anax_balanced_accuracy", trimmed=True)
    assert (probed["our_encoder"], probed["ours"], probed["our_block"]) == ("mae.trimmed", 0.4, "2")


@pytest.mark.parametrize(
    ("encoder", "metric", "trimmed", "table", "why"),
    [
        ("ViT-S/14, DINOv2", "recall_corum", True, "", "no encoder of this run stands for it"),
        ("MAE-L/8, RPI-93M", "average_precision", True, "", "no screen of this run stands for it"),
        ("CellProfiler", "recall_corum", False, "", "chance is not compared on t"),
        ("MAE-L/8, RPI-93M", "recall_corum", False, "table 2",
         "its benchmarks have not run, or their job failed"),
        ("MAE-L/8, RPI-93M", "replicate_ks", True, "", "no replicate experiments"),
        ("MAE-L/8, RPI-93M", "recall_corum", True, "", "relationships has no value of corum"),
        ("MAE-G/8, Phenoprints-16M", "rxrx1_balanced_accuracy", True, "",
         "no task of this run stands for it"),
    ],
)  # fmt: skip
def test_what_was_not_run_says_why(
    run: Run, encoder: str, metric: str, trimmed: bool, table: str, why: str
) -> None:
    cells = paper_tables.paper_cells(run, benchmark_table(run))
    assert cell(cells, encoder, metric, trimmed=trimmed, table=table)["why"] == why


def test_the_page_shows_tables_and_panels(run: Run) -> None:
    measure = {"benchmark": "relationships", "source": "stringdb", "metric": "recall_0.05_0.95"}
    points = pd.DataFrame(
        {"encoder": list("abc"), "value": [0.1, 0.2, 0.3], "training_flops": [1e18, 1e19, 1e20]}
    ).assign(**measure, screen="s", context="", is_published=False, slope=0.1, intercept=-1.7,
             r_squared=1.0, num_encoders=3)  # fmt: skip
    probes = points.assign(
        benchmark="probe", source="pathway", metric="balanced_accuracy", screen=""
    )
    table = BY_TRAINING.conform(pd.concat([points, probes]))
    publish_table(run.path("by_training"), table)
    page = paper_tables.page(run)
    anchors = {getattr(part, "anchor", "") for section in page.sections for part in section.parts}
    assert {"table-1", "table-2", "table-3", "table-6", "table-probes", "cells"} <= anchors
    assert {"figure-3-anax-s-u2os-microscopy", "figure-3-anax-s-u2os-natural-images"} <= anchors
    assert {"figure-9-1", "figure-9-2", "figure-4-not-run"} <= anchors
    (first,) = [p for s in page.sections for p in s.parts if getattr(p, "anchor", "") == "table-1"]
    wide = first.frame.set_index(["encoder", "block"])
    assert wide.loc[("MAE-G/8, Phenoprints-16M", "38"), "recall_stringdb"] == "0.492 | 0.600"
    assert wide.loc[("ViT-G/14, DINOv2", "16"), "recall_corum"] == "0.529 | not run"
    assert page.answer.startswith("5 of 152 published values")


def test_the_page_is_written_where_rows_are_named_and_only_there(run: Run, tmp_path: Path) -> None:
    build(run.folder, run.config, tmp_path / "with")
    assert "The paper&#39;s tables" in (tmp_path / "with/paper.html").read_text(encoding="utf-8")
    without = {**run.config, "reports": {**run.config["reports"], "paper": None}}
    build(run.folder, without, tmp_path / "without")
    assert not (tmp_path / "without/paper.html").exists()
