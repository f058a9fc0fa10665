"""Whether replicates are nearer to each other than to controls, before anything is aligned."""

# n wells of an experiment · D features

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from phenoprints.foundations.parquet import TableReader
from phenoprints.foundations.progress import Progress
from phenoprints.foundations.tables import Contract
from phenoprints.wells import (
    PERTURBED_ROLES,
    EmbeddingsReader,
    inactive_role,
    single_condition,
)

REPLICATE_SIMILARITY = Contract(
    name="replicate_similarity",
    schema=pa.schema(
        [
            ("experiment", pa.string()),
            ("condition_id", pa.int32()),
            ("num_wells", pa.int32()),
            ("num_controls", pa.int32()),
            ("among_replicates", pa.float64()),
            ("to_controls", pa.float64()),
            ("is_nearer", pa.bool_()),
        ]
    ),
    unique=("experiment", "condition_id"),
    sorted_by=("experiment", "condition_id"),
)
"""A row per experiment and condition of at least two wells with a vector: the mean cosine among
these wells, and to the controls of the experiment; `is_nearer` says which is larger."""

COLUMNS = ("experiment", "role", "conditions")


def replicate_similarity(
    vectors: NDArray[np.floating], condition: NDArray[np.integer], role: NDArray[np.object_]
) -> pd.DataFrame:
    """For each condition of an experiment its mean cosines, among replicates and to controls.

    Parameters
    ----------
    vectors
        (n, D) as an encoder gave them; wells with a value that is not finite, or with nothing but
        zeros, are left out.
    condition
        The only condition of each well; -1 for none, several or unknown ones.
    role
        Role of each well; controls are those of `inactive_role`.

    Returns
    -------
    The columns of `REPLICATE_SIMILARITY` without `experiment`. Without controls
    `to_controls` is NaN and `is_nearer` false. Means are over pairs of different wells, in
    float64: with u = x/|x|, (|Σu|² - n) / n(n - 1) and (Σu / n)·(Σc / m).
    """
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    is_usable = np.isfinite(lengths) & (lengths > 0)
    chosen = np.flatnonzero(is_usable & (condition >= 0) & np.isin(role, PERTURBED_ROLES))
    order = chosen[np.argsort(condition[chosen], kind="stable")]
    found, starts, counts = np.unique(condition[order], return_index=True, return_counts=True)
    units = vectors[order].astype(np.float64) / lengths[order, None]
    sums = np.add.reduceat(units, starts, axis=0) if len(starts) else units
    centre, num_controls = _centre(vectors, lengths, is_usable, role)
    with np.errstate(invalid="ignore", divide="ignore"):
        among = ((sums**2).sum(axis=1) - counts) / (counts * (counts - 1))
        outside = sums @ centre / counts
    table = pd.DataFrame(
        {"condition_id": found, "num_wells": counts, "num_controls": num_controls,
         "among_replicates": among, "to_controls": outside, "is_nearer": among > outside}
    )  # fmt: skip
    several: pd.DataFrame = table[counts > 1].reset_index(drop=True)
    return several


def _centre(
    vectors: NDArray[np.floating],
    lengths: NDArray[np.float64],
    is_usable: NDArray[np.bool_],
    role: NDArray[np.object_],
) -> tuple[NDArray[np.float64], int]:
    """Return the mean of the controls' unit vectors, NaN without controls, and their number."""
    rows = np.flatnonzero(is_usable & (role == inactive_role(role[is_usable])))
    if not len(rows):
        return np.full(vectors.shape[1], np.nan), 0
    units = vectors[rows].astype(np.float64) / lengths[rows, None]
    centre: NDArray[np.float64] = units.mean(axis=0)
    return centre, len(rows)


def similarity_of_screen(reader: EmbeddingsReader, wells: str | Path) -> pd.DataFrame:
    """Compute the replicate similarity of every experiment; `wells` is a path.

    One experiment is in memory at a time.
    """
    rows, start, tables = TableReader(wells, COLUMNS), 0, []
    progress = Progress("experiments", len(reader.experiments), name="comparing replicates")
    for experiment in progress.each(reader.experiments):
        vectors = reader.read(experiment)
        part = rows.read(start, start + len(vectors))
        start += len(vectors)
        role = part["role"].to_numpy()
        table = replicate_similarity(vectors, single_condition(part["conditions"]), role)
        tables.append(table.assign(experiment=experiment))
    frame: pd.DataFrame = REPLICATE_SIMILARITY.conform(_joined(tables)).to_pandas()
    return frame


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    known = [table for table in tables if len(table)]
    empty: pd.DataFrame = REPLICATE_SIMILARITY.schema.empty_table().to_pandas()
    return pd.concat(known) if known else empty
