"""Turn what is known about images into verdicts, a row per site and per well."""

from __future__ import annotations

import numpy as np
import pandas as pd

from phenoprints.foundations.errors import Problem, TableError, raise_problems
from phenoprints.wells import WHOLE_WELL


def not_assessed(wells: pd.DataFrame, sites: pd.DataFrame) -> pd.DataFrame:
    """Return the quality table of a screen without images: every row `not assessed`, reason QC000.

    Parameters
    ----------
    wells
        Any table with the column `well_id`, unique; its order is kept.
    sites
        Any table with the columns `well_id` and `site` (0 or more); usually empty here.

    Returns
    -------
    A table of the quality contract: for each well a row with `site` -1, then one per site.

    Raises
    ------
    TableError
        A site belongs to no well, so that its verdict would be lost.
    """
    rows = site_rows(wells, sites)
    rows["verdict"] = "not assessed"
    rows["reasons"] = pd.Series([["QC000"]] * len(rows), dtype=object)
    return rows


def site_rows(wells: pd.DataFrame, sites: pd.DataFrame) -> pd.DataFrame:
    """Return keys (`well_id`, `site`) of the quality table: each well's own row, then its sites."""
    ids = wells["well_id"].to_numpy(np.uint64)
    strays = sites.loc[~sites["well_id"].isin(ids), "well_id"].unique()
    raise_problems(
        [
            Problem("sites", f"well_id {stray} is in no row of the wells table", "a known well")
            for stray in strays
        ],
        TableError,
    )
    whole = pd.DataFrame({"well_id": ids, "site": np.full(len(ids), WHOLE_WELL, np.int32)})
    own = sites[["well_id", "site"]].astype({"well_id": np.uint64, "site": np.int32})
    rows = pd.concat([whole, own], ignore_index=True)
    rank = pd.Index(ids).get_indexer(rows["well_id"])
    return rows.iloc[np.lexsort((rows["site"], rank))].reset_index(drop=True)
