"""Embeddings in the forms of other tools: nothing lost, names as the field has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from phenoprints.embeddings import open_embeddings
from phenoprints.embeddings.exports import to_profiles, write_gallery
from phenoprints.embeddings.writing import write_rows
from phenoprints.foundations.errors import DataError

CONDITIONS = pd.DataFrame(
    {"condition_id": [0, 1], "perturbation": ["DMSO", "a"], "gene": [None, "A"],
     "concentration_um": [np.nan, 2.5]}
)  # fmt: skip
WELLS = pd.DataFrame(
    {
        "well_id": np.array([2**64 - 1, 7, 8], np.uint64), "experiment": ["e1", "e1", "../e2"],
        "plate": ["p1", "p1", "p2"], "well": ["A01", "A02", "A01"], "role": "treatment",
        "cell_type": "U2OS", "background": "", "conditions": [[0], [1, 0], None],
    }
)  # fmt: skip
ROWS = np.array([[1, 2], [3, 4], [np.nan, np.nan]], np.float32)


@pytest.fixture
def reader(tmp_path: Path):
    attributes = {"screen": "s", "encoder": "mae", "block": 4, "encoder_fingerprint": "f",
                  "geometry": {"crop_px": 32, "overlap_px": 0}, "nothing": None}  # fmt: skip
    write_rows(tmp_path / "store", WELLS, ROWS, attributes=attributes)
    return open_embeddings(tmp_path / "store")


def test_profiles_have_the_names_of_the_field(reader) -> None:
    table = to_profiles(reader, WELLS, CONDITIONS)

    assert table["Metadata_Well_ID"].tolist() == [str(2**64 - 1), "7", "8"]
    assert table["Metadata_Batch"].tolist() == ["e1", "e1", "../e2"]
    assert table["Metadata_Perturbation"].tolist() == ["DMSO", "a | DMSO", ""]
    assert table["Metadata_Concentration_uM"].tolist() == ["", "2.5 | ", ""]
    np.testing.assert_array_equal(table[["mae_0000", "mae_0001"]], ROWS)
    first = list(table)[: len(list(table)) - 2]
    assert all(name.startswith("Metadata_") for name in first)


def test_the_gallery_layout_holds_crops_and_means(tmp_path: Path) -> None:
    crops = np.arange(4 * 3 * 2, dtype=np.float32).reshape(4, 3, 2)
    sites = [("e1", "p1", "A01", 1), ("e1", "p1", "A01", 2), ("e1", "p1", "A02", 1),
             ("../e2", "p2", "A01", 1)]  # fmt: skip

    files = write_gallery(tmp_path, "mae", WELLS, sites=sites, vectors=crops.__getitem__)

    assert all(path.is_relative_to(tmp_path) and ".." not in path.parts for path in files)
    one = pd.read_parquet(tmp_path / "embeddings/mae/e1/p1/A01-2/embedding.parquet")
    np.testing.assert_array_equal(one[["mae_0000", "mae_0001"]], crops[1])
    plate = pd.read_parquet(tmp_path / "profiles/mae/e1/p1/p1.parquet")
    assert plate["Metadata_Well"].tolist() == ["A01", "A02"]
    np.testing.assert_allclose(plate["mae_0001"], [crops[:2, :, 1].mean(), crops[2, :, 1].mean()])


def test_another_number_of_wells_is_refused(reader) -> None:
    with pytest.raises(DataError, match="is not in the wells table"):
        to_profiles(reader, WELLS[:2])
