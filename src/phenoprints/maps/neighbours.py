"""Who stands nearest to whom on a map."""

# G perturbations · K components

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError
from phenoprints.maps.aggregation import Floats, unit_rows

BLOCK_ROWS = 1024
"""Perturbations whose cosines to all others are held at a time."""


def nearest_neighbours(
    vectors: Floats, num_neighbours: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the nearest rows of each row by cosine, and those cosines, (G, n), nearest first.

    A row is never its own neighbour. Ties go to the earlier row; a vector of length 0 has the
    cosine 0 with all others. Where the map has fewer than n + 1 rows, n is cut to what there is.
    """
    from phenoprints.maps.kernels import keep_nearest

    unit = np.nan_to_num(unit_rows(np.asarray(vectors, np.float32)), copy=False)
    count = max(min(num_neighbours, len(unit) - 1), 0)
    indices = np.zeros((len(unit), count), np.intp)
    cosines = np.full((len(unit), count), -np.inf)
    for start in range(0, len(unit) if count else 0, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        keep_nearest(unit[rows] @ unit.T, start, indices[rows], cosines[rows])
    return indices, cosines


def neighbour_table(table: pd.DataFrame, vectors: Floats, num_neighbours: int) -> pd.DataFrame:
    """Rows (level, cell_type, background, kind, name, rank, neighbour, neighbour_kind, cosine).

    Neighbours are sought within a level, cell type and background; `rank` counts from 1.
    """
    parts = []
    for (level, cell_type, background), rows in contexts(table, vectors):
        indices, cosines = nearest_neighbours(vectors[rows], num_neighbours)
        own, count = table.iloc[rows], indices.shape[1]
        near = own.iloc[indices.ravel()]
        parts.append(
            pd.DataFrame(
                {
                    "level": level,
                    "cell_type": cell_type,
                    "background": background,
                    "kind": np.repeat(own["kind"].to_numpy(), count),
                    "name": np.repeat(own["name"].to_numpy(), count),
                    "rank": np.tile(np.arange(1, count + 1, dtype=np.int32), len(own)),
                    "neighbour": near["name"].to_numpy(),
                    "neighbour_kind": near["kind"].to_numpy(),
                    "cosine": cosines.ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def named_neighbours(
    names: Sequence[str], vectors: Floats, num_neighbours: int = 10
) -> pd.DataFrame:
    """Return the nearest neighbours of every named vector.

    Parameters
    ----------
    names
        (G,), a name per vector.
    vectors
        (G, K); a vector that is not finite has no row and is nobody's neighbour.
    num_neighbours
        Neighbours of each, cut to what there is.

    Returns
    -------
    DataFrame
        name, rank (from 1), neighbour, cosine; ties go to the earlier vector.

    Raises
    ------
    DataError
        The numbers of names and vectors differ.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or len(vectors) != len(names):
        raise DataError(
            f"vectors: shape {vectors.shape} for {len(names)} names. Expected one row per name."
        )
    table = pd.DataFrame({"name": list(map(str, names)), "kind": ""})
    rows = neighbour_table(
        table.assign(level="", cell_type="", background=""), vectors, num_neighbours
    )
    return rows.reindex(columns=["name", "rank", "neighbour", "cosine"])


def contexts(
    table: pd.DataFrame, vectors: Floats
) -> list[tuple[tuple[str, str, str], NDArray[np.intp]]]:
    """Return the rows with a vector of each (level, cell_type, background), sorted by these."""
    finite = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    columns = ["level", "cell_type", "background"]
    keys = list(table.iloc[finite][columns].astype(str).itertuples(index=False, name=None))
    rows: dict[tuple[str, str, str], list[np.intp]] = {}
    for row, (level, cell_type, background) in zip(finite, keys, strict=True):
        rows.setdefault((level, cell_type, background), []).append(row)
    return [(key, np.array(rows[key])) for key in sorted(rows)]
