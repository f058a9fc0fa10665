"""The page of embeddings states whether replicates are nearer to each other than to controls."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from phenoprints.embeddings.replicate_similarity import REPLICATE_SIMILARITY
from phenoprints.reports.replicate_similarity import replicate_similarity_sections, share_nearer
from phenoprints.reports.runs import Run
from phenoprints.wells.contracts import CONDITIONS

PAIR = {"screen": "jump", "encoder": "s16"}


def run_of(folder: Path, num_controls: int = 1) -> Run:
    conditions = pd.DataFrame({"condition_id": [0, 1], "perturbation": ["FK-866", "AMG 900"]})
    conditions = conditions.assign(
        kind="compound", gene=None, guide=None, concentration_um=5.0, cell_type="", background=""
    )
    near = pd.DataFrame({"condition_id": [0, 1], "among_replicates": [0.99, 0.9]}).assign(
        experiment="pilot", num_wells=2, num_controls=num_controls, to_controls=0.95,
        is_nearer=[True, False],
    )  # fmt: skip
    CONDITIONS.write(folder / "screens/jump/conditions.parquet", conditions)
    REPLICATE_SIMILARITY.write(folder / "embeddings/jump/s16.replicate_similarity.parquet", near)
    return Run(folder, {})


def test_it_is_stated_for_every_condition(tmp_path: Path) -> None:
    run = run_of(tmp_path)

    [section] = replicate_similarity_sections(run, [PAIR])
    [table] = section.parts

    assert [[cell.text for cell in row] for row in table.first_rows] == [
        ["jump", "s16", "pilot", "FK-866", "2", "1", "0.0100", "0.0500", "replicates"],
        ["jump", "s16", "pilot", "AMG 900", "2", "1", "0.100", "0.0500", "controls"],
    ]
    assert share_nearer(run, PAIR) == 0.5


def test_without_controls_or_table_nothing_is_stated(tmp_path: Path) -> None:
    run = run_of(tmp_path, num_controls=0)

    assert replicate_similarity_sections(run, [PAIR]) == []
    assert share_nearer(run, PAIR) is None
    assert share_nearer(run, {"screen": "x", "encoder": "y"}) is None
