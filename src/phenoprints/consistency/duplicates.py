"""Vectors that stand under more than one well: a known defect of published embeddings."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.wells import EmbeddingsReader, experiment_rows, read_checked


def repeated_vectors(wells: pd.DataFrame, reader: EmbeddingsReader) -> pd.DataFrame:
    """Wells whose vector stands, bit for bit, under another well of the screen too.

    Parameters
    ----------
    wells
        The wells table, in the order of the reader's rows.
    reader
        Embeddings before alignment, which would hide copies in other experiments.

    Returns
    -------
    DataFrame
        well_id, experiment and `same_as`, the well_id of the first well with this vector; the
        first well itself is left out. NaN and zero vectors are no copies of each other.
    """
    ids, names, digests = [], [], []
    all_ids = wells["well_id"].to_numpy(np.uint64)
    for experiment, rows in experiment_rows(wells).items():
        x = read_checked(reader, experiment, len(rows))
        is_real = np.isfinite(x).all(axis=1) & (x != 0).any(axis=1)
        ids.append(all_ids[rows][is_real])
        names += [experiment] * int(is_real.sum())
        digests += _digests(x[is_real])
    table = pd.DataFrame(
        {"well_id": np.concatenate(ids) if ids else [], "experiment": names, "digest": digests}
    )
    table["same_as"] = table.groupby("digest")["well_id"].transform("first")
    copies = table[table["same_as"] != table["well_id"]]
    return copies[["well_id", "experiment", "same_as"]].reset_index(drop=True)


def _digests(x: NDArray[np.float32]) -> list[bytes]:
    rows = np.ascontiguousarray(x)
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
