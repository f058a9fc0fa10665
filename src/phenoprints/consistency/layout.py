"""Where wells lie on their plates, and pseudo-conditions that only their position unites."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PLATE_FORMATS = ((2, 3), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))
"""Rows and columns of the standard plates: 6 to 1,536 wells."""


def plate_format(row: pd.Series, column: pd.Series) -> tuple[int, int]:
    """Rows and columns of the smallest standard plate that holds all wells; both count from 1."""
    rows, columns = int(row.max()), int(column.max())
    fitting = (f for f in PLATE_FORMATS if f[0] >= rows and f[1] >= columns)
    return next(fitting, (rows, columns))


def edge_distance(row: pd.Series, column: pd.Series) -> NDArray[np.int64]:
    """How many wells lie between each well and the nearest edge of its plate: 0 on the rim."""
    rows, columns = plate_format(row, column)
    distances = [row - 1, rows - row, column - 1, columns - column]
    nearest: NDArray[np.int64] = np.min([d.to_numpy(dtype=np.int64) for d in distances], axis=0)
    return nearest


def pseudo_conditions(wells: pd.DataFrame, size: int) -> pd.Series:
    """Names of pseudo-conditions: `size` wells of one position on successive plates, else None.

    Wells of a position are cut into runs of `size` by experiment and plate; what is left over
    stays without a name. `wells` needs the columns experiment, plate and well.
    """
    order = wells.sort_values(["well", "experiment", "plate"])
    number = order.groupby("well").cumcount() // size
    names = order["well"] + "/" + (number + 1).astype(str)
    is_full = names.map(names.value_counts()) == size
    return names.where(is_full, None).reindex(wells.index)


def has_single_position(position: pd.Series, label: pd.Series) -> pd.Series:
    """By label: whether it has at least two wells and all of them share a position."""
    by_label = position.groupby(label)
    return (by_label.nunique() == 1) & (by_label.size() > 1)
