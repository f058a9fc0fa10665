"""Rows of Parquet tables by their numbers, and which rows belong to which wells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from phenoprints.curation.parts import TEXTS, run_starts
from phenoprints.foundations.errors import (
    CorruptionError,
    MissingInputError,
    Problem,
    TableError,
    raise_problems,
)

ROWS_AT_ONCE = 1 << 16
"""Rows of another table that are compared with a part's wells at a time."""

Rows = tuple[int, int]
"""First and last row (left out) of a table."""


@contextmanager
def _opened(path: str | Path, columns: Sequence[str]) -> Iterator[pq.ParquetFile]:
    """The file, with an error that names it where it is absent, damaged or lacks a column."""
    if not Path(path).exists():
        raise MissingInputError(f"{path}: this table is not there.")
    try:
        with pq.ParquetFile(
            path,
            read_dictionary=[name for name in TEXTS if name in columns],
            page_checksum_verification=True,
        ) as file:
            absent = [name for name in columns if name not in file.schema_arrow.names]
            raise_problems(
                [Problem(str(path), f'column "{name}" is missing') for name in absent], TableError
            )
            yield file
    except (pa.ArrowException, OSError) as error:
        raise CorruptionError(
            f"{path}: this table cannot be read ({error}).\n"
            "  To fix: delete it and run Snakemake again."
        ) from error


def read_rows(path: str | Path, columns: Sequence[str], rows: Rows) -> pa.Table:
    """Some columns of rows `rows[0]` to `rows[1]` (left out); only their row groups are read."""
    with _opened(path, columns) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        ends = np.cumsum(sizes, dtype=np.int64)
        first, last = np.searchsorted(ends, [rows[0], rows[1] - 1], side="right")
        groups = range(int(first), int(last) + 1) if rows[1] > rows[0] else []
        table = file.read_row_groups(list(groups), columns=list(columns), use_threads=False)
    begin = rows[0] - int(ends[first - 1]) if first else rows[0]
    return table.slice(begin if groups else 0, rows[1] - rows[0])


def experiment_starts(wells: str | Path) -> tuple[NDArray[np.int64], int]:
    """The first row of every experiment of a wells table, and the number of wells."""
    starts, before, last = [], 0, None
    with _opened(wells, ["experiment"]) as file:
        for group in range(file.num_row_groups):
            names = file.read_row_group(group, ["experiment"], use_threads=False)["experiment"]
            found = run_starts(names)
            goes_on = len(names) and names[0].as_py() == last
            starts.append(found[1 if goes_on else 0 :] + before)
            last = names[-1].as_py() if len(names) else last
            before += len(names)
    return np.concatenate([np.empty(0, dtype=np.int64), *starts]), before


def following_rows(path: str | Path, wells: Iterable[NDArray[np.uint64]]) -> list[Rows]:
    """The rows of a table that belong to each of several groups of wells.

    Parameters
    ----------
    path
        A table with the column `well_id`, its rows in the order of the wells.
    wells
        The well ids of each group, one group after the other.

    Raises
    ------
    TableError
        Rows belong to no well, or stand in another order.
    """
    ids = _batches(path)
    rest, start = np.empty(0, dtype=np.uint64), 0
    result: list[Rows] = []
    for group in wells:
        index, stop = pd.Index(group), start
        while len(rest) or len(rest := next(ids, rest)):
            is_strange = index.get_indexer(pd.Index(rest)) < 0
            count = int(is_strange.argmax()) if is_strange.any() else len(rest)
            rest, stop = rest[count:], stop + count
            if len(rest):
                break
        result.append((start, stop))
        start = stop
    if len(rest) or len(next(ids, rest)):
        raise TableError(
            f"{path}: row {start + 1} belongs to no well, or to one of an earlier experiment.\n"
            "  Expected rows in the order of the wells table.\n"
            "  To fix: delete it and run Snakemake again."
        )
    return result


def _batches(path: str | Path) -> Iterator[NDArray[np.uint64]]:
    with _opened(path, ["well_id"]) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=["well_id"], use_threads=False):
            if len(batch):
                yield batch["well_id"].to_numpy()
