"""Small questions that the pages ask of tables."""

from __future__ import annotations

from typing import Any

import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dictionaries by column name."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def has_values(column: pd.Series) -> bool:
    """Whether a column says anything: a value that is neither missing nor empty."""
    return bool((column.notna() & (column.astype(str) != "")).any())


def is_true(column: pd.Series) -> pd.Series:
    """Return a column of true, false and missing as booleans: missing is false."""
    flags: pd.Series = column.astype("boolean").fillna(False).astype(bool)
    return flags
