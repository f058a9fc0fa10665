"""Where a map lies on disk: Parquet for tables, AnnData for those who use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from phenoprints.foundations.errors import CorruptionError, MissingInputError
from phenoprints.foundations.publishing import published_folder
from phenoprints.maps.building import PerturbationMap

CURE = "Delete the folder and its .provenance.json, and run the map again."


def save_map(
    folder: str | Path, built: PerturbationMap, tables: Mapping[str, pd.DataFrame] | None = None
) -> None:
    """Publish a map as a folder.

    `map.parquet` holds the table with a column `vector`, `map.h5ad` the same as AnnData,
    `attributes.json` how it was made, and `<name>.parquet` each further table.
    """
    with published_folder(folder) as partial:
        pq.write_table(_with_vectors(built), partial / "map.parquet", compression="zstd")
        for name, table in sorted((tables or {}).items()):
            plain = pa.Table.from_pandas(table, preserve_index=False)
            plain = plain.replace_schema_metadata(None)
            pq.write_table(plain, partial / f"{name}.parquet", compression="zstd")
        text = json.dumps(built.attributes, indent=1, sort_keys=True, allow_nan=False)
        (partial / "attributes.json").write_text(text + "\n", encoding="utf-8")
        _write_anndata(partial / "map.h5ad", built)


def open_map(folder: str | Path) -> PerturbationMap:
    """Return the map of a folder, table and vectors in memory."""
    path = Path(folder)
    if not (path / "map.parquet").exists():
        raise MissingInputError(f"{path}: there is no map (map.parquet is not there). {CURE}")
    try:
        content = pq.read_table(path / "map.parquet")
        attributes = json.loads((path / "attributes.json").read_text(encoding="utf-8"))
        vectors = np.stack(content["vector"].to_numpy())
    except (pa.ArrowInvalid, OSError, KeyError, ValueError) as error:
        raise CorruptionError(f"{path}: unreadable map ({error}). {CURE}") from error
    return PerturbationMap(content.drop_columns("vector").to_pandas(), vectors, attributes)


def read_map_table(folder: str | Path, name: str) -> pd.DataFrame:
    """One of the tables beside a map: neighbours, guides, doses or layout."""
    path = Path(folder) / f"{name}.parquet"
    if not path.exists():
        raise MissingInputError(f"{path}: the map has no such table. {CURE}")
    table: pd.DataFrame = pq.read_table(path).to_pandas()
    return table


def _with_vectors(built: PerturbationMap) -> pa.Table:
    table = pa.Table.from_pandas(built.table, preserve_index=False)
    flat = pa.array(built.vectors.ravel(), pa.float32())
    vectors = pa.FixedSizeListArray.from_arrays(flat, built.vectors.shape[1])
    return table.append_column("vector", vectors).replace_schema_metadata(None)


def _write_anndata(path: Path, built: PerturbationMap) -> None:
    import anndata

    obs = built.table.copy()
    obs["experiments"] = obs["experiments"].map(";".join)
    obs.index = pd.Index([str(row) for row in range(len(obs))])
    uns: dict[str, Any] = {"schema": "phenoprints-map-1", "stage": "maps"}
    uns["attributes"] = json.dumps(built.attributes, sort_keys=True, allow_nan=False)
    anndata.AnnData(X=built.vectors, obs=obs, uns=uns).write_h5ad(path)
