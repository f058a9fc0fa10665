"""The ten tasks of docs/how-to/library.md: every block runs as printed, in at most eight lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import phenoprints as pp

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/library.md").read_text(encoding="utf-8")
TASKS = re.findall(r"^## (.+?)\n.*?```python\n(.*?)```", PAGE, flags=re.MULTILINE | re.DOTALL)
IMAGES, RUN = ("Embed", "Which block"), "The embeddings of a run"


def profiles() -> pd.DataFrame:
    """Two experiments of two plates; compound `strong` has an effect, the others have none."""
    rng = np.random.default_rng(0)
    compounds = ["DMSO"] * 16 + [f"inert-{i % 24}" for i in range(72)] + ["strong"] * 8
    table = pd.DataFrame(
        [
            (experiment, plate, f"{chr(65 + i // 12)}{i % 12 + 1:02}", compound)
            for experiment in ("e1", "e2")
            for plate in ("p1", "p2")
            for i, compound in enumerate(compounds)
        ],
        columns=["experiment", "plate", "well", "compound"],
    )
    x = rng.normal(size=(len(table), 8)) + 3.0 * (table[["compound"]] == "strong").to_numpy()
    return table.assign(**{f"feature_{k}": x[:, k] for k in range(8)}).sample(
        frac=1, random_state=0
    )


@pytest.fixture(scope="module")
def names_of_the_page() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        "np": np, "pd": pd, "pp": pp, "profiles": profiles(),
        "images": rng.integers(0, 255, (24, 3, 64, 64), dtype=np.uint8),
        "labels": np.tile(["a", "b"], 12), "experiments": np.repeat(["e1", "e2", "e3"], 8),
        "x": rng.normal(size=(40, 8)), "names": [f"gene-{i}" for i in range(40)],
    }  # fmt: skip


def test_the_page_has_ten_tasks_of_at_most_eight_lines() -> None:
    assert len(TASKS) == 10
    assert max(len(code.strip().splitlines()) for _, code in TASKS) <= 8


def test_tasks_on_tables_run_as_printed(names_of_the_page: dict[str, Any]) -> None:
    space = names_of_the_page
    for title, code in TASKS:
        if not title.startswith((*IMAGES, RUN)):
            exec(compile(code, title, "exec"), space)
    tested = space["found"].set_index("perturbation")
    assert tested.loc["strong", "has_phenoprint"]
    assert tested["has_phenoprint"].sum() <= 2
    assert set(space["kept"]["role"]) == {"treatment", "negative_control"}
    assert len(space["neighbours"]) == 40 * 5
    assert space["recall"]["recall"].between(0, 1).all()


@pytest.mark.torch
def test_tasks_on_images_run_as_printed(names_of_the_page: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    encoder = pp.models.build("vit-tiny", channels=["DNA", "ER", "RNA"], seed=0)
    space = {**names_of_the_page, "encoder": encoder}
    for title, code in TASKS:
        if title.startswith(IMAGES):
            exec(compile(code, title, "exec"), space)
    assert space["vectors"].shape == (24, encoder.num_features)
    assert 1 <= space["block"] <= encoder.num_blocks
