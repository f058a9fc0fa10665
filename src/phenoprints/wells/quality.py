"""Usable wells: those that the quality table does not fail."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

WHOLE_WELL = -1
"""The `site` of a row, of verdicts or of failures, that applies to its whole well."""


def failed_wells(quality: pd.DataFrame) -> NDArray[np.uint64]:
    """Return the ids of the wells that failed as a whole, in the order of the quality table.

    Needs the columns well_id, site and verdict. A well none of whose sites is good fails by its own
    row; failed sites alone do not fail a well.
    """
    is_failed = (quality["site"] == WHOLE_WELL) & (quality["verdict"] == "fail")
    ids: NDArray[np.uint64] = quality.loc[is_failed, "well_id"].to_numpy(dtype=np.uint64)
    return ids


def failed_sites(quality: pd.DataFrame) -> pd.MultiIndex:
    """Return the distinct pairs (well_id, site) that failed; site -1 is a well as a whole."""
    bad = quality.loc[quality["verdict"] == "fail", ["well_id", "site"]]
    return pd.MultiIndex.from_frame(bad.drop_duplicates())


def usable_wells(wells: pd.DataFrame, quality: pd.DataFrame) -> NDArray[np.bool_]:
    """Return a mask over the wells table: False where the well's own quality row says `fail`."""
    usable: NDArray[np.bool_] = ~wells["well_id"].isin(failed_wells(quality)).to_numpy()
    return usable
