"""Embeddings for other people's tools: pycytominer's Parquet and the Gallery's layout."""

# n wells · D features

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError
from phenoprints.foundations.names import file_name
from phenoprints.foundations.publishing import publish_table
from phenoprints.wells import EmbeddingsReader, check_reader

METADATA = {
    "experiment": "Metadata_Batch",
    "plate": "Metadata_Plate",
    "well": "Metadata_Well",
    "role": "Metadata_Role",
    "cell_type": "Metadata_Cell_Type",
    "background": "Metadata_Background",
    "well_id": "Metadata_Well_ID",
}
"""Columns of a wells table and their names in the field (pycytominer, JUMP)."""

CONDITION_METADATA = {
    "perturbation": "Metadata_Perturbation",
    "gene": "Metadata_Gene",
    "concentration_um": "Metadata_Concentration_uM",
}


def all_rows(reader: EmbeddingsReader, wells: pd.DataFrame) -> NDArray[np.float32]:
    """Return the vectors of all wells (n, D), in the order of the wells table.

    DataError where the vectors are of other wells.
    """
    check_reader(wells, reader)
    rows = np.concatenate([reader.read(experiment) for experiment in reader.experiments])
    if len(rows) != len(wells):
        raise DataError(f"{len(rows)} vectors for {len(wells)} wells; expected one each.")
    return rows


def feature_names(reader: EmbeddingsReader, num_features: int) -> list[str]:
    """Return names of the features: those of the profiles, else the encoder's name and a number."""
    named = reader.attributes.get("features")
    if named:
        return list(named)
    encoder = str(reader.attributes.get("encoder", "feature"))
    return [f"{encoder}_{i:04d}" for i in range(num_features)]


def metadata(wells: pd.DataFrame, conditions: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the wells with the field's column names; several conditions of a well joined by ` | `.

    Ids are text, since 64 bits do not survive spreadsheets and JavaScript.
    """
    table = pd.DataFrame({new: wells[old] for old, new in METADATA.items() if old in wells})
    table["Metadata_Well_ID"] = wells["well_id"].astype(str)
    if conditions is not None:
        indexed = conditions.set_index("condition_id")
        for column, name in CONDITION_METADATA.items():
            texts = indexed[column].map(lambda value: "" if pd.isna(value) else str(value))
            table[name] = [_joined(texts, listed) for listed in wells["conditions"]]
    return table.reset_index(drop=True)


def _joined(texts: pd.Series[str], listed: Sequence[int] | None) -> str:
    return " | ".join(texts.loc[i] for i in listed) if listed is not None else ""


def to_profiles(
    reader: EmbeddingsReader, wells: pd.DataFrame, conditions: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row per well, Metadata_ columns first and then the features, as pycytominer writes."""
    rows = all_rows(reader, wells)
    features = pd.DataFrame(rows, columns=feature_names(reader, rows.shape[1]))
    return pd.concat([metadata(wells, conditions), features], axis=1)


def write_gallery(
    folder: str | Path,
    network: str,
    wells: pd.DataFrame,
    *,
    sites: Sequence[tuple[str, str, str, int]],
    vectors: Callable[[int], NDArray[np.float32]],
) -> list[Path]:
    """Write the Cell Painting Gallery's layout of a network's embeddings, and tables per plate.

    Parameters
    ----------
    folder
        The `workspace_dl` folder.
    network
        The encoder's name, a folder below `embeddings` and `profiles`.
    wells
        The wells table, for the metadata.
    sites
        batch, plate, well and site of each image.
    vectors
        Gives the crops' vectors (K, D) of an image, by its place in `sites`.

    Returns
    -------
    The files: `embeddings/<network>/<batch>/<plate>/<well>-<site>/embedding.parquet` with a row
    per crop, and `profiles/<network>/<batch>/<plate>/<plate>.parquet` with the mean of each well.
    """
    root, name, written = Path(folder), file_name(network, "network"), []
    means: dict[tuple[str, str], dict[str, list[NDArray[np.float64]]]] = {}
    for index, (batch, plate, well, site) in enumerate(sites):
        crops = vectors(index)
        table = pd.DataFrame(crops, columns=[f"{network}_{i:04d}" for i in range(crops.shape[1])])
        table.insert(0, "crop", np.arange(len(crops)))
        place = root / "embeddings" / name / file_name(batch, "batch") / file_name(plate, "plate")
        path = place / f"{file_name(well, 'well')}-{site}" / "embedding.parquet"
        publish_table(path, table)
        written.append(path)
        of_plate = means.setdefault((batch, plate), {})
        of_plate.setdefault(well, []).append(crops.astype(np.float64).mean(axis=0))
    for (batch, plate), of_plate in means.items():
        rows = np.stack([np.mean(parts, axis=0) for parts in of_plate.values()])
        own = wells[(wells["experiment"] == batch) & (wells["plate"] == plate)]
        known = metadata(own).set_index("Metadata_Well").loc[list(of_plate)].reset_index()
        columns = [f"{network}_{i:04d}" for i in range(rows.shape[1])]
        table = pd.concat([known, pd.DataFrame(rows.astype(np.float32), columns=columns)], axis=1)
        place = root / "profiles" / name / file_name(batch, "batch") / file_name(plate, "plate")
        path = place / f"{file_name(plate, 'plate')}.parquet"
        publish_table(path, table)
        written.append(path)
    return written
