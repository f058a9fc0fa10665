"""`phenoprints export-embeddings` writes what other tools read."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from phenoprints.cli import main
from phenoprints.embeddings.writing import write_rows
from phenoprints.wells.contracts import CONDITIONS, WELLS

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with the tables of a small screen, its embeddings and the vectors of its crops."""
    monkeypatch.chdir(tmp_path)
    wells = pd.DataFrame({"well": ["A01", "A02", "A01"], "experiment": ["e1", "e1", "e2"]}).assign(
        well_id=np.arange(3, dtype=np.uint64), screen="s", plate="p", row=1, column=1,
        cell_type="", background="", modality="cell-painting", role="treatment",
        conditions=[[0], [0], []], replicate_group="",
    )  # fmt: skip
    conditions = pd.DataFrame({"condition_id": [0], "perturbation": ["a"]}).assign(
        kind="compound", gene=None, guide=None, concentration_um=1.0, cell_type="", background=""
    )
    folder = tmp_path / "results/r"
    WELLS.write(folder / "screens/s/wells.parquet", wells)
    CONDITIONS.write(folder / "screens/s/conditions.parquet", conditions)
    write_rows(folder / "embeddings/s/mae", wells, ROWS, attributes={"encoder": "mae"})
    return folder


def test_anndata_and_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export-embeddings", "r", "s", "mae"]) == 0
    assert main(["export-embeddings", "r", "s", "mae", "--to", "profiles", "-o", "x.parquet"]) == 0

    assert capsys.readouterr().out == "s.mae.h5ad: 3 wells\nx.parquet: 3 wells\n"
    np.testing.assert_array_equal(anndata.read_h5ad("s.mae.h5ad").X, ROWS)
    table = pd.read_parquet("x.parquet")
    np.testing.assert_array_equal(table[["mae_0000", "mae_0001"]], ROWS)
    assert table["Metadata_Perturbation"].tolist() == ["a", "a", ""]


def test_the_gallery_needs_crops(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export-embeddings", "r", "s", "mae", "--to", "gallery"]) == 2
    assert "set inference.keep_crops: true" in capsys.readouterr().err

    crops = np.arange(3 * 2 * 4 * 2, dtype=np.float32).reshape(3, 2, 4, 2)
    crops[1, 0] = np.nan  # a well that lacks its first site
    wells = pd.read_parquet(run / "screens/s/wells.parquet")
    write_rows(run / "crops/s/mae", wells, crops, attributes={"sites": [3, 7]})
    assert main(["export-embeddings", "r", "s", "mae", "--to", "gallery", "-o", "out"]) == 0

    files = sorted(str(p) for p in Path("out/embeddings").rglob("*.parquet"))
    assert [file.split("/")[3:6] for file in files] == [
        ["e1", "p", "A01-3"], ["e1", "p", "A01-7"], ["e1", "p", "A02-7"],
        ["e2", "p", "A01-3"], ["e2", "p", "A01-7"],
    ]  # fmt: skip
    one = pd.read_parquet("out/embeddings/mae/e2/p/A01-7/embedding.parquet")
    np.testing.assert_array_equal(one[["mae_0000", "mae_0001"]], crops[2, 1])
