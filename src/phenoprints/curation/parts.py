"""Parts of wells: whole experiments at a time, from memory or from Parquet files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from phenoprints.curation.encoding import ENCODED, FLAGS
from phenoprints.foundations.errors import (
    CorruptionError,
    MissingInputError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.wells.rows import run_starts

WELLS_PER_PART = 1 << 18
"""Where a table is cut into parts, each part has at least this many wells, but for the last."""

TEXTS = ("screen", "experiment", "plate", "well", "cell_type", "background", "modality", "role",
         "replicate_group")  # fmt: skip


class Parts(Protocol):
    """Pieces of a wells table, each with whole experiments in consecutive rows."""

    def __len__(self) -> int:
        """How many parts there are."""

    def read(self, number: int, *, deciding_only: bool) -> pa.Table:
        """One part: all of its columns, or only those that the funnel decides by."""


class TableParts:
    """Parts of tables in memory."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self._tables = list(tables)

    def __len__(self) -> int:
        return len(self._tables)

    def read(self, number: int, *, deciding_only: bool) -> pa.Table:
        """One part; both kinds of reading are free here."""
        table = self._tables[number]
        return table.select(_deciding(table.column_names)) if deciding_only else table


class FileParts:
    """Parts that are Parquet files with the columns of ENCODED and any more."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._paths = [Path(path) for path in paths]
        missing = [path for path in self._paths if not path.exists()]
        raise_problems([Problem(str(p), "this part is not there") for p in missing],
                       MissingInputError)  # fmt: skip

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, number: int, *, deciding_only: bool) -> pa.Table:
        """One part, texts as dictionaries; a damaged file is named."""
        path = self._paths[number]
        try:
            return _read_part(path, deciding_only)
        except (pa.ArrowException, OSError) as error:
            raise CorruptionError(
                f"{path}: this part cannot be read ({error}).\n  To fix: write it again."
            ) from error


def _read_part(path: Path, deciding_only: bool) -> pa.Table:
    names = pq.read_schema(path).names
    absent = [name for name in ENCODED.names if name not in names]
    raise_problems(
        [Problem(str(path), f'column "{name}" is missing') for name in absent], TableError
    )
    return pq.read_table(
        path,
        columns=_deciding(names) if deciding_only else None,
        read_dictionary=[name for name in TEXTS if name in names],
        use_threads=False,
        page_checksum_verification=True,
    )


def _deciding(names: Sequence[str]) -> list[str]:
    return [name for name in names if name in ENCODED.names or name in FLAGS]


class JoinedParts:
    """The parts of several sources, such as the screens of a manifest, one after the other."""

    def __init__(self, sources: Sequence[Parts]) -> None:
        self._sources = list(sources)
        self._ends = list(accumulate(len(source) for source in sources))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, number: int, *, deciding_only: bool) -> pa.Table:
        """One part of the source that holds this number."""
        source = bisect_right(self._ends, number)
        first = self._ends[source - 1] if source else 0
        return self._sources[source].read(number - first, deciding_only=deciding_only)


def split_by_experiment(
    table: pa.Table, wells_per_part: int = WELLS_PER_PART
) -> Iterator[pa.Table]:
    """Yield the table in pieces of whole experiments; wells of one experiment follow each other."""
    starts = run_starts(table["experiment"])
    for rows in cuts(starts, len(table), wells_per_part):
        yield table.slice(rows.start, rows.stop - rows.start)


def cuts(
    starts: NDArray[np.int64], num_wells: int, wells_per_part: int = WELLS_PER_PART
) -> list[slice]:
    """Return the rows of every part; `starts` are the first rows of experiments.

    Without wells there is one part, which is empty.
    """
    parts, start = [], 0
    for stop in [*starts[1:].tolist(), num_wells]:
        if stop - start >= wells_per_part or stop == num_wells:
            parts.append(slice(start, stop))
            start = stop
    return parts
