"""Conditions of several screens under one numbering: the sorted union of their keys."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

KEY = (
    "perturbation", "kind", "gene", "guide", "concentration_um", "cell_type", "background"
)  # fmt: skip
"""What makes a condition; two screens that share all of it share the condition."""


def unite_conditions(
    conditions: Mapping[str, pd.DataFrame],
) -> tuple[pd.DataFrame, dict[str, NDArray[np.int32]]]:
    """Return conditions of all screens, sorted by key, and each screen's ids in the new numbering.

    Parameters
    ----------
    conditions
        By screen, the table of phenoprints.wells.contracts.CONDITIONS.

    Returns
    -------
    DataFrame, dict
        condition_id (0, 1, …) and the columns of KEY; by screen an array `new` with
        new[condition_id of the screen] = condition_id here, -1 for ids that the screen lacks.
        A missing text is "", a missing concentration NaN.
    """
    keys = {screen: _key_columns(table) for screen, table in conditions.items()}
    union = pd.concat(keys.values(), ignore_index=True).drop_duplicates()
    union = union.sort_values(list(KEY), kind="stable", ignore_index=True)
    union.insert(0, "condition_id", np.arange(len(union), dtype=np.int32))
    return union, {
        screen: _new_ids(conditions[screen]["condition_id"], key, union)
        for screen, key in keys.items()
    }


def _key_columns(table: pd.DataFrame) -> pd.DataFrame:
    key = table[list(KEY)].copy()
    for column in KEY:
        if column == "concentration_um":
            key[column] = key[column].astype(np.float64)
        else:
            key[column] = key[column].astype(object).where(key[column].notna(), "")
    return key


def _new_ids(old: pd.Series, key: pd.DataFrame, union: pd.DataFrame) -> NDArray[np.int32]:
    found = key.merge(union, on=list(KEY), how="left", validate="many_to_one")["condition_id"]
    new = np.full(int(old.max()) + 1 if len(old) else 0, -1, dtype=np.int32)
    new[old.to_numpy()] = found.to_numpy()
    return new
