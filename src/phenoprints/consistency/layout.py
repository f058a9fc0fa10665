"""Pseudo-conditions: control wells that share only their position."""

from __future__ import annotations

import pandas as pd


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
