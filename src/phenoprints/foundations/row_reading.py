"""Ranges of rows of a Parquet file, without reading the rest of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phenoprints.foundations.errors import MissingInputError, TableError


class RowReader:
    """Reads rows `start` to `stop` of some columns; only the row groups that hold them are decoded.

    The row group that was read last is kept, so that ranges which follow one another decode each
    group once. A missing or foreign file, or one without a column, is named.
    """

    def __init__(self, path: str | Path, columns: Sequence[str]) -> None:
        self.path, self.columns = Path(path), list(columns)
        if not self.path.exists():
            raise MissingInputError(f"{path}: the table is not there.")
        try:
            self._file = pq.ParquetFile(self.path)
        except (pa.ArrowInvalid, OSError) as error:
            raise TableError(f"{path}: not a readable Parquet file. {error}") from error
        if absent := sorted(set(self.columns) - set(self._file.schema_arrow.names)):
            raise TableError(f"{path}: without the column {', '.join(absent)}.")
        groups = self._file.metadata
        lengths = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
        self._starts = np.cumsum([0, *lengths])
        self._last: tuple[int, pa.Table] | None = None

    def __len__(self) -> int:
        """Rows of the whole file."""
        return int(self._starts[-1])

    def read(self, start: int, stop: int) -> pa.Table:
        """The rows from `start` to before `stop`, in the order of the file."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        parts = [self._file.schema_arrow.empty_table().select(self.columns)]
        for group in range(max(first, 0), len(self._starts) - 1):
            at = int(self._starts[group])
            if at >= stop:
                break
            table = self._group(group)
            low = max(start - at, 0)
            parts.append(table.slice(low, min(stop - at, len(table)) - low))
        return pa.concat_tables(parts).replace_schema_metadata(None)

    def _group(self, group: int) -> pa.Table:
        if self._last is None or self._last[0] != group:
            self._last = group, self._file.read_row_group(group, columns=self.columns)
        return self._last[1]
