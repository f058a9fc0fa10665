"""The single condition of a well, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

NO_CONDITION = -1
"""Condition of a well that has none, several, or an unknown one."""


def single_condition(lists: Any) -> NDArray[np.int32]:
    """Return the condition of each well that has exactly one, else -1.

    Parameters
    ----------
    lists
        The column `conditions` of a wells table: a list of condition ids per well, as a pandas
        Series or an Arrow array. An id that is listed twice counts once; a null (unknown
        perturbation) and an empty list (unperturbed) give -1.

    >>> single_condition(pd.Series([[3], [3, 3], [1, 2], [], None])).tolist()
    [3, 3, -1, -1, -1]
    """
    array = _list_array(lists)
    length = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    values = array.flatten().to_numpy(zero_copy_only=False)
    is_listed = length > 0
    starts = (np.cumsum(length) - length)[is_listed]
    result = np.full(len(array), NO_CONDITION, dtype=np.int32)
    if len(starts):
        lowest, highest = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        result[is_listed] = np.where(lowest == highest, lowest, NO_CONDITION)
    return result


def first_condition(lists: Any) -> NDArray[np.int32]:
    """Return the first condition that each well lists, else -1 (unperturbed or unknown)."""
    array = _list_array(lists)
    length = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    is_listed = length > 0
    first = np.full(len(array), NO_CONDITION, dtype=np.int32)
    starts = (np.cumsum(length) - length)[is_listed]
    first[is_listed] = array.flatten().to_numpy(zero_copy_only=False)[starts]
    return first


def num_conditions(lists: Any) -> NDArray[np.int32]:
    """Return how many different conditions each well has: 0 when unperturbed or unknown.

    >>> num_conditions(pd.Series([[3], [3, 3], [1, 2], [], None])).tolist()
    [1, 1, 2, 0, 0]
    """
    array = _list_array(lists)
    length = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(length)])
    return distinct_counts(offsets, array.flatten().to_numpy(zero_copy_only=False))


def distinct_counts(offsets: NDArray[np.integer], values: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return the number of different values of each list, values[offsets[i]:offsets[i + 1]]."""
    counts = np.diff(offsets).astype(np.int32)
    several = np.flatnonzero(counts > 1)
    lengths = counts[several].astype(np.int64)
    row = np.repeat(several, lengths)
    first = np.repeat(offsets[:-1][several] - (np.cumsum(lengths) - lengths), lengths)
    listed = values[first + np.arange(len(row))]
    order = np.lexsort((listed, row))
    row, listed = row[order], listed[order]
    is_repeated = (row[1:] == row[:-1]) & (listed[1:] == listed[:-1])
    np.subtract.at(counts, row[1:][is_repeated], 1)
    return counts


def _list_array(lists: Any) -> pa.ListArray:
    if isinstance(lists, pa.ChunkedArray):
        joined = lists.combine_chunks()
        return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)
    return pa.array(lists, type=pa.list_(pa.int32()), from_pandas=True)


def describe_wells(
    wells: pd.DataFrame, conditions: pd.DataFrame, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return one row per well, in order, with the columns of its single condition.

    Parameters
    ----------
    wells
        Column `conditions`; well_id, experiment and role are copied where the table has them.
    conditions
        The conditions table, with any further columns (annotations).
    columns
        Columns of `conditions` to take, by default all.

    Notes
    -----
    Wells without a single condition, or whose condition is not in the table, have `condition_id` -1
    and empty columns: "" for text, NaN for numbers.
    """
    ids = single_condition(wells["conditions"])
    taken = [name for name in columns or conditions.columns if name != "condition_id"]
    known = conditions.set_index("condition_id")[taken]
    described = known.reindex(ids).reset_index(drop=True)
    text = described.select_dtypes(include=["object", "string"]).columns
    described[text] = described[text].fillna("")
    described.insert(0, "condition_id", np.where(np.isin(ids, known.index), ids, NO_CONDITION))
    for name in ("well_id", "experiment", "role"):
        if name in wells:
            described[name] = wells[name].to_numpy()
    return described
