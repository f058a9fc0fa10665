"""Rows of a screen's tables: those of each experiment, and those of given wells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from phenoprints.foundations.errors import TableError
from phenoprints.foundations.parquet import TableReader

ROWS_AT_ONCE = 1 << 16
"""Rows of a table that are in memory at a time."""

FIX = "\n  To fix: run the target `screens` again."


def experiment_ranges(wells: str | Path) -> dict[str, slice]:
    """Return the rows of every experiment of a stored wells table, in the table's order.

    Raises TableError where the wells of an experiment do not follow each other.
    """
    starts: dict[str, int] = {}
    before, last = 0, None
    reader = TableReader(wells, ["experiment"], texts=["experiment"])
    for batch in reader.batches(ROWS_AT_ONCE):
        names = batch["experiment"]
        for row in run_starts(names).tolist():
            name = names[row].as_py()
            if name == last:
                continue
            if name in starts:
                raise TableError(
                    f'{wells}: the wells of experiment "{name}" do not stand together.{FIX}'
                )
            starts[name], last = before + row, name
        before += len(names)
    stops = [*list(starts.values())[1:], before]
    ranges = zip(starts.items(), stops, strict=False)
    return {name: slice(start, stop) for (name, start), stop in ranges}


def run_starts(names: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the rows whose name is not that of the row before; the first row is one of them."""
    if not pa.types.is_dictionary(names.type):
        names = names.dictionary_encode()
    codes = names.unify_dictionaries().combine_chunks()
    codes = codes if isinstance(codes, pa.Array) else pa.concat_arrays(codes.chunks)
    return np.flatnonzero(np.diff(codes.indices.to_numpy(), prepend=-1))


def ranges_of_wells(path: str | Path, wells: Iterable[NDArray[np.uint64]]) -> list[slice]:
    """Return the rows of a table that belong to each of several groups of wells.

    Parameters
    ----------
    path
        A table with the column `well_id`, its rows in the order of the wells.
    wells
        The well ids of each group, one group after the other.

    Raises
    ------
    TableError
        Rows belong to no well, or are in another order.
    """
    ids = _ids(path)
    rest, start = np.empty(0, dtype=np.uint64), 0
    result: list[slice] = []
    for group in wells:
        index, stop = pd.Index(group), start
        while len(rest) or len(rest := next(ids, rest)):
            is_strange = index.get_indexer(pd.Index(rest)) < 0
            count = int(is_strange.argmax()) if is_strange.any() else len(rest)
            rest, stop = rest[count:], stop + count
            if len(rest):
                break
        result.append(slice(start, stop))
        start = stop
    if len(rest) or len(next(ids, rest)):
        raise TableError(
            f"{path}: row {start + 1} belongs to no well, or to one of an earlier experiment.\n"
            "  Expected rows in the order of the wells table.\n"
            "  To fix: delete it and run Snakemake again."
        )
    return result


def _ids(path: str | Path) -> Iterator[NDArray[np.uint64]]:
    for batch in TableReader(path, ["well_id"]).batches(ROWS_AT_ONCE):
        yield batch["well_id"].to_numpy()
