"""Read a Parquet file by rows and columns; a missing, damaged or foreign file is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phenoprints.foundations.errors import (
    CorruptionError,
    MissingInputError,
    Problem,
    TableError,
    raise_problems,
)

FIX = "delete it and run Snakemake again"


class TableReader:
    """Reads rows of some columns of one file; only the row groups that hold them are decoded.

    The row group that was read last is kept, so that ranges which follow one another decode each
    group once. Page checksums are verified. One reader serves one thread.

    Parameters
    ----------
    path, columns
        The file, and the columns that every read returns.
    texts
        Those of the columns that are returned as dictionaries.

    Raises
    ------
    MissingInputError, CorruptionError, TableError
        The file does not exist, is damaged or no Parquet file, or lacks columns.
    """

    def __init__(
        self, path: str | Path, columns: Sequence[str], *, texts: Sequence[str] = ()
    ) -> None:
        self.path, self.columns = Path(path), list(columns)
        with named_errors(self.path):
            self._file = pq.ParquetFile(
                self.path, read_dictionary=list(texts), page_checksum_verification=True
            )
            groups = self._file.metadata
            lengths = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
        there = self._file.schema_arrow.names
        raise_problems(
            [
                Problem(str(path), f'column "{name}" is missing', f"one of {', '.join(there)}", FIX)
                for name in self.columns
                if name not in there
            ],
            TableError,
        )
        self.names: list[str] = there
        self._starts = np.cumsum([0, *lengths])
        self._last: tuple[int, pa.Table] | None = None

    def __len__(self) -> int:
        """Rows of the whole file."""
        return int(self._starts[-1])

    def read(self, start: int = 0, stop: int | None = None) -> pa.Table:
        """Return the rows from `start` to before `stop` (by default all), in the file's order."""
        end = len(self) if stop is None else stop
        first = max(int(np.searchsorted(self._starts, start, side="right")) - 1, 0)
        parts = [self._file.schema_arrow.empty_table().select(self.columns)]
        for group in range(first, len(self._starts) - 1):
            at = int(self._starts[group])
            if at >= end:
                break
            table = self._group(group)
            low = max(start - at, 0)
            parts.append(table.slice(low, min(end - at, len(table)) - low))
        return pa.concat_tables(parts).replace_schema_metadata(None)

    def batches(self, num_rows: int) -> Iterator[pa.Table]:
        """Yield all rows in order, at most `num_rows` at a time."""
        for start in range(0, len(self), num_rows):
            yield self.read(start, min(start + num_rows, len(self)))

    def _group(self, group: int) -> pa.Table:
        if self._last is None or self._last[0] != group:
            self._last = None
            with named_errors(self.path):
                table = self._file.read_row_group(group, columns=self.columns, use_threads=False)
            self._last = group, table
        return self._last[1]


@contextmanager
def named_errors(path: str | Path) -> Iterator[None]:
    """Turn what Parquet says about a file into an error with its name and what to do."""
    if not Path(path).exists():
        raise MissingInputError(f"{path}: the table is not there.")
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise CorruptionError(
            f"{path}: this table cannot be read ({error}).\n  To fix: {FIX}."
        ) from error
