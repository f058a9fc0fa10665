"""AnnData of wells: whole, and with everything declared that cp-anndata-validator asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from phenoprints.embeddings import open_embeddings
from phenoprints.embeddings.anndata_export import to_anndata, write_anndata
from phenoprints.embeddings.writing import write_rows

CONDITIONS = pd.DataFrame(
    {"condition_id": [0, 1], "perturbation": ["DMSO", "a"], "gene": [None, "A"],
     "concentration_um": [np.nan, 2.5]}
)  # fmt: skip
WELLS = pd.DataFrame(
    {
        "well_id": np.array([2**64 - 1, 7, 8, 9], np.uint64),
        "experiment": ["e1", "e1", "e2", "e2"], "plate": "1",
        "well": ["A01", "A02", "A01", "A02"], "modality": "cell-painting",
        "role": ["negative_control", "treatment", "unperturbed", "positive_control"],
        "cell_type": "U2OS", "background": "", "conditions": [[0], [1, 0], None, [1]],
    }
)  # fmt: skip
ROWS = np.array([[1, 2], [3, 4], [np.nan, np.nan], [5, 6]], np.float32)
RECOGNISED = {"negcon", "poscon", "trt", "control", "treatment", "unknown"}


@pytest.fixture
def reader(tmp_path: Path):
    attributes = {"screen": "s", "encoder": "mae", "block": 4, "encoder_fingerprint": "f",
                  "geometry": {"crop_px": 32, "overlap_px": 0}, "nothing": None}  # fmt: skip
    write_rows(tmp_path / "store", WELLS, ROWS, attributes=attributes)
    return open_embeddings(tmp_path / "store")


def findings(data: anndata.AnnData) -> set[str]:
    """Codes of the errors and warnings that cp-anndata-validator 0.2 gives for a well profile."""
    uns, obs = data.uns, data.obs

    def block(key: str, *names: str) -> bool:
        found = uns.get(key)
        return isinstance(found, dict) and any(found.get(name) for name in names)

    types = set(obs["Metadata_pert_type"]) if "Metadata_pert_type" in obs else None
    compartments = ("Cells_", "Cytoplasm_", "Nuclei_", "Image_")
    checks: dict[str, Any] = {
        "AGG001": not block("aggregation", "method"),
        "AGG002": not block("aggregation", "replicate_count", "n_replicates"),
        "AGG003": not block("aggregation", "source_level"),
        "CTRL001": types is None,
        "CTRL002": types is not None and bool(types - RECOGNISED),
        "CTRL003": types is not None and not types & {"negcon", "control"},
        "FEAT001": not all(name.startswith(compartments) for name in data.var_names),
        "IDENT": not {"Metadata_Plate", "Metadata_Well"} <= set(obs),
        "LICENSE001": not (uns.get("licence") or uns.get("license")),
        "MATRIX002": not np.isfinite(data.X).all(),
        "META002": not (isinstance(uns.get("experiment"), dict) and uns["experiment"]),
        "OBS001": obs[["Metadata_Plate", "Metadata_Well"]].duplicated().any(),
        "OBS002": obs[["Metadata_Plate", "Metadata_Well"]].isna().any(axis=None),
        "PROVFEAT001": not block("feature_extraction_provenance", "tool", "method"),
        "PROVIMG001": not (isinstance(uns.get("image_provenance"), dict)),
        "PROVSEG001": not block("segmentation_provenance", "method", "tool"),
        "SCHEMA001": not uns.get("schema_id"),
        "SCHEMA002": not uns.get("schema_version"),
        "SLOT001": not uns.get("processing_stage"),
    }
    return {code for code, is_found in checks.items() if is_found}


def test_nothing_is_lost_in_the_file(reader, tmp_path: Path) -> None:
    write_anndata(tmp_path / "e.h5ad", to_anndata(reader, WELLS, CONDITIONS, licence="CC0-1.0"))

    data = anndata.read_h5ad(tmp_path / "e.h5ad")

    np.testing.assert_array_equal(data.X, ROWS[[0, 1, 3]])
    assert data.obs_names.tolist() == [str(2**64 - 1), "7", "9"]
    assert data.obs["Metadata_Plate"].tolist() == ["e1/1", "e1/1", "e2/1"]
    assert data.obs["Metadata_pert_type"].tolist() == ["negcon", "trt", "poscon"]
    assert data.var_names.tolist() == ["Image_mae_0000", "Image_mae_0001"]
    about = data.uns["phenoprints"]
    assert (about["encoder"], about["geometry"]["crop_px"]) == ("mae", 32)
    assert about["aggregation"] == "mean over crops and sites"
    assert list(about["wells_without_vector"]) == ["8"]
    assert data.uns["licence"] == "CC0-1.0"


def test_the_validator_finds_nothing(reader, tmp_path: Path) -> None:
    write_anndata(tmp_path / "e.h5ad", to_anndata(reader, WELLS, CONDITIONS))
    assert findings(anndata.read_h5ad(tmp_path / "e.h5ad")) == set()


def test_the_checks_find_what_the_validator_found_before(reader) -> None:
    data = to_anndata(reader, WELLS, CONDITIONS)
    plain = anndata.AnnData(
        X=data.X, obs=data.obs.drop(columns="Metadata_pert_type"),
        var=pd.DataFrame(index=["mae_0000", "mae_0001"]),
        uns={"phenoprints": data.uns["phenoprints"]},
    )  # fmt: skip
    assert findings(plain) - {"AGG002", "AGG003"} == {
        "AGG001", "CTRL001", "FEAT001", "LICENSE001", "META002", "PROVFEAT001", "PROVIMG001",
        "PROVSEG001", "SCHEMA001", "SCHEMA002", "SLOT001",
    }  # fmt: skip


def test_features_and_plates_with_proper_names_keep_them(tmp_path: Path) -> None:
    attributes = {"features": ["Cells_Area", "Nuclei_Area"]}
    write_rows(tmp_path / "store", WELLS, ROWS, attributes=attributes)
    wells = WELLS.assign(plate=["p1", "p1", "p2", "p2"])
    data = to_anndata(open_embeddings(tmp_path / "store"), wells)
    assert data.var_names.tolist() == ["Cells_Area", "Nuclei_Area"]
    assert data.obs["Metadata_Plate"].tolist() == ["p1", "p1", "p2"]
    assert data.uns["segmentation_provenance"] == {"method": "by the source of the profiles"}
