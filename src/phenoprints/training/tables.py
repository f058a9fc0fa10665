"""Tables of wells and sites, read in pieces into compact columns, never whole."""

# W wells · S sites

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError, MissingInputError
from phenoprints.training.columns import Names, NamesBuilder, Texts, joined

Table = pd.DataFrame | str | Path
"""A table in memory, or the path of a Parquet file."""
PIECE_ROWS = 262_144
NO_CONDITION = -1
"""Of an unperturbed well."""
UNKNOWN_CONDITION = -2
"""Of a well of which nobody knows what was done to it."""
SEPARATOR = "\x1f"
"""Between the names of channels; no name of a channel holds it."""

_TYPES = {
    "well_id": pa.uint64(),
    "screen": pa.string(),
    "experiment": pa.string(),
    "conditions": pa.list_(pa.int64()),
    "locators": pa.list_(pa.string()),
    "site": pa.int32(),
    "locator": pa.string(),
    "height": pa.int32(),
    "width": pa.int32(),
    "channels": pa.list_(pa.string()),
    "verdict": pa.string(),
}
WELL_COLUMNS = ("well_id", "screen", "experiment", "conditions")
SITE_COLUMNS = ("well_id", "site", "locator", "height", "width", "channels")


def pieces(table: Table, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Some columns of a table, PIECE_ROWS rows at a time where it is a file."""
    schema = pa.schema([(name, _TYPES[name]) for name in columns])
    if isinstance(table, pd.DataFrame):
        yield pa.Table.from_pandas(table[list(columns)], schema, preserve_index=False)
        return
    if not Path(table).is_file():
        raise MissingInputError(f"{table}: the table is not there.")
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(PIECE_ROWS, columns=list(columns)):
            yield pa.Table.from_batches([batch]).select(list(columns)).cast(schema)


@dataclass(frozen=True)
class Wells:
    """Wells in ascending order of their ids.

    `conditions` is the first one of each well, NO_CONDITION without and UNKNOWN_CONDITION where it
    is not known, `num_conditions` how many it has.
    """

    ids: NDArray[np.uint64]
    screens: Names
    experiments: Names
    conditions: NDArray[np.int32]
    num_conditions: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> Wells:
        """Some of the wells."""
        return Wells(
            self.ids[rows],
            self.screens.take(rows),
            self.experiments.take(rows),
            self.conditions[rows],
            self.num_conditions[rows],
        )


def read_wells(tables: Iterable[pa.Table]) -> Wells:
    """The wells of some pieces with WELL_COLUMNS, in ascending order of their ids."""
    screens, experiments = NamesBuilder(), NamesBuilder()
    ids: list[NDArray[np.uint64]] = []
    firsts: list[NDArray[np.int32]] = []
    counts: list[NDArray[np.int32]] = []
    for table in tables:
        ids.append(table["well_id"].to_numpy())
        screens.add(table["screen"])
        experiments.add(table["experiment"])
        for chunk in table["conditions"].chunks:
            first, count = _first_conditions(chunk)
            firsts.append(first)
            counts.append(count)
    whole = Wells(
        joined(ids, np.uint64),
        screens.finish(),
        experiments.finish(),
        joined(firsts, np.int32),
        joined(counts, np.int32),
    )
    return whole.take(np.argsort(whole.ids, kind="stable"))


def _first_conditions(lists: pa.ListArray) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The first condition of each well (or why it has none), and how many it has."""
    counts = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    first = np.full(len(lists), NO_CONDITION, dtype=np.int32)
    starts = np.cumsum(counts) - counts
    first[counts > 0] = flat[starts[counts > 0]]
    first[pc.is_null(lists).to_numpy(zero_copy_only=False)] = UNKNOWN_CONDITION
    return first, counts.astype(np.int32)


@dataclass(frozen=True)
class SiteRows:
    """The sites of wells, by well and then by number: `wells` are rows of the wells."""

    wells: NDArray[np.int64]
    heights: NDArray[np.int32]
    widths: NDArray[np.int32]
    channels: Names
    locators: Texts

    def __len__(self) -> int:
        return len(self.wells)


Keep = Callable[[pa.Table], NDArray[np.bool_]]
"""Which rows of a piece of sites belong to a training set, beyond their wells."""


def read_sites(wells: Wells, tables: Iterable[tuple[pa.Table, Keep | None]]) -> SiteRows:
    """The sites of these wells from pieces with SITE_COLUMNS; sites of other wells are ignored."""
    channels = NamesBuilder()
    rows: list[NDArray[np.int64]] = []
    numbers: list[NDArray[np.int32]] = []
    sides: list[NDArray[np.int32]] = []
    locators: list[pa.Array] = []
    for table, keep in tables:
        piece, row = _of_wells(wells, table)
        if keep is not None:
            kept = keep(piece)
            piece, row = piece.filter(pa.array(kept)), row[kept]
        rows.append(row)
        numbers.append(piece["site"].to_numpy())
        sides.append(np.stack([piece["height"].to_numpy(), piece["width"].to_numpy()], axis=1))
        channels.add(pc.binary_join(piece["channels"], SEPARATOR))
        locators += piece["locator"].chunks
    wells_of_site = joined(rows, np.int64)
    order = np.lexsort((joined(numbers, np.int32), wells_of_site))
    both = np.concatenate([np.empty((0, 2), np.int32), *sides])[order]
    return SiteRows(
        wells_of_site[order],
        np.ascontiguousarray(both[:, 0]),
        np.ascontiguousarray(both[:, 1]),
        channels.finish().take(order),
        Texts(locators, order),
    )


def _of_wells(wells: Wells, table: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
    """The rows of a table whose well is one of these, and which."""
    ids = table["well_id"].to_numpy()
    if not len(wells):
        return table.slice(0, 0), np.empty(0, np.int64)
    row = np.minimum(np.searchsorted(wells.ids, ids), len(wells) - 1)
    found = wells.ids[row] == ids
    return table.filter(pa.array(found)), row[found]


def check_distinct(wells: Wells) -> None:
    """Raise DataError when a well stands in the tables twice."""
    twice = np.unique(wells.ids[1:][wells.ids[1:] == wells.ids[:-1]])
    if len(twice):
        named = ", ".join(map(str, twice[:5]))
        raise DataError(
            f"training set: {len(twice)} wells stand in it more than once, such as {named}. "
            "To fix: curate the manifest again."
        )
