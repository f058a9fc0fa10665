"""Embeddings as AnnData, with what the field's validator expects to be declared."""

# n wells · D features

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from phenoprints import __version__
from phenoprints.embeddings.exports import all_rows, feature_names, metadata
from phenoprints.foundations.publishing import published
from phenoprints.wells import EmbeddingsReader

if TYPE_CHECKING:
    from anndata import AnnData

SCHEMA = {"schema_id": "generic-cell-painting", "schema_version": "0.2.1"}
"""The schema of cp-anndata-validator that the files follow; its jump-cp schema fits as well."""

COMPARTMENTS = ("Cells_", "Cytoplasm_", "Nuclei_", "Image_")
"""What names of features begin with; those of a network describe the whole image."""

PERT_TYPES = {
    "treatment": "trt",
    "negative_control": "negcon",
    "positive_control": "poscon",
    "unperturbed": "control",
}
"""Roles of wells in the words of JUMP and LINCS."""

NO_LICENCE = "No licence is stated for the results; that of the screens' images applies."


def to_anndata(
    reader: EmbeddingsReader,
    wells: pd.DataFrame,
    conditions: pd.DataFrame | None = None,
    *,
    licence: str = NO_LICENCE,
) -> AnnData:
    """Return an AnnData of the wells: X the vectors, obs the metadata, uns what describes them.

    `uns["phenoprints"]` names screen, encoder, its fingerprint, block, geometry and that a row is
    a well's mean. obs names are the ids of the wells. Wells whose vector is not finite have no
    row; their ids are in `uns["phenoprints"]["wells_without_vector"]`. Features of a network begin
    with `Image_`; `Metadata_Plate` names the experiment too where plates of several experiments
    have one name.
    """
    from anndata import AnnData

    rows = all_rows(reader, wells)
    is_finite = np.asarray(np.isfinite(rows).all(axis=1))
    obs = _observations(wells, conditions)
    var = pd.DataFrame(index=[_in_compartment(n) for n in feature_names(reader, rows.shape[1])])
    without = obs.index.to_numpy()[~is_finite].tolist()
    uns = {**_declared(reader, wells), "licence": licence}
    uns["phenoprints"] = {**uns["phenoprints"], "wells_without_vector": without}
    return AnnData(X=rows[is_finite], obs=obs[is_finite], var=var, uns=uns)


def write_anndata(path: str | Path, data: AnnData) -> None:
    """Publish an AnnData as .h5ad, whole or not at all."""
    with published(path) as partial:
        data.write_h5ad(partial)


def _observations(wells: pd.DataFrame, conditions: pd.DataFrame | None) -> pd.DataFrame:
    obs = metadata(wells, conditions).set_index("Metadata_Well_ID", drop=False)
    obs.index.name = None
    obs["Metadata_pert_type"] = obs["Metadata_Role"].map(PERT_TYPES).fillna("unknown")
    places = obs[["Metadata_Batch", "Metadata_Plate"]].drop_duplicates()
    if places["Metadata_Plate"].duplicated().any():
        obs["Metadata_Plate"] = obs["Metadata_Batch"] + "/" + obs["Metadata_Plate"]
    return obs


def _in_compartment(name: str) -> str:
    return name if name.startswith(COMPARTMENTS) else f"Image_{name}"


def _declared(reader: EmbeddingsReader, wells: pd.DataFrame) -> dict[str, Any]:
    """Return what a reader of the file needs to know, by the keys that the validator asks for."""
    about, is_aligned = reader.attributes, "alignment" in reader.attributes
    kept = {k: v for k, v in about.items() if k not in ("experiments", "features")}
    encoder = str(about.get("encoder", "unknown"))
    segmented = "by the source of the profiles" if about.get("features") else "none: whole crops"
    described = {"stage": "alignment" if is_aligned else "embeddings", **kept}
    return {
        **SCHEMA,
        "processing_stage": "normalized" if is_aligned else "aggregated",
        "aggregation": {
            "method": "mean over crops and sites",
            "source_level": "site",
            "replicate_count": 1,
        },
        "experiment": {
            "screen": str(about.get("screen", "")),
            "experiments": sorted(set(wells["experiment"])),
            "cell_types": sorted(set(wells["cell_type"])),
            "modality": sorted(set(wells.get("modality", pd.Series(dtype=str)))),
        },
        "feature_extraction_provenance": {
            "tool": "phenoprints",
            "version": __version__,
            "method": encoder,
            "fingerprint": str(about.get("encoder_fingerprint", "")),
        },
        "image_provenance": {
            "source": str(about.get("screen", "")),
            "channels": list(about.get("channels", [])),
            "illumination_correction": "none by phenoprints",
        },
        "segmentation_provenance": {"method": segmented},
        "phenoprints": _plain({"aggregation": "mean over crops and sites", **described}),
    }


def _plain(value: Any) -> Any:
    """Return the value without None, which AnnData's files cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    return value
