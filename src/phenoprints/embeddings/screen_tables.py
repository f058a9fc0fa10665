"""The tables of a screen by rows: planning streams them, a job reads the rows of its units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from phenoprints.embeddings.selection import Selection
from phenoprints.embeddings.units import UnitTask
from phenoprints.foundations.errors import TableError
from phenoprints.foundations.parquet import TableReader
from phenoprints.wells import Screen
from phenoprints.wells.rows import experiment_ranges

WELL_COLUMNS = ("well_id", "experiment", "plate", "well")
SITE_COLUMNS = ("well_id", "site", "locator", "height", "width", "channels")
PORTION_WELLS = 131_072
"""Wells whose rows are in memory at a time, and whole experiments when units are planned."""


@dataclass(frozen=True)
class Layout:
    """Where everything stands in the tables.

    Attributes
    ----------
    ids
        The id of every well, in the order of the wells table.
    experiments
        Rows of each experiment's wells.
    site_starts
        For each well the row of its first site in the sites table, and at last their number.
    """

    ids: NDArray[np.uint64]
    experiments: Mapping[str, slice]
    site_starts: NDArray[np.int64]

    def portions(self, num_wells: int = PORTION_WELLS) -> Iterator[slice]:
        """Rows of whole experiments, about `num_wells` at a time."""
        start = stop = 0
        for rows in self.experiments.values():
            if rows.stop - start > num_wells and stop > start:
                yield slice(start, stop)
                start = stop
            stop = rows.stop
        if stop > start:
            yield slice(start, stop)


class ScreenTables:
    """Wells, sites and quality of a screen; nothing is read before it is asked for.

    Memory is 28 bytes a well for the layout, and the rows of one portion.
    """

    def __init__(self, wells: str | Path, sites: str | Path, quality: str | Path | None) -> None:
        self.wells = TableReader(wells, WELL_COLUMNS)
        self.sites = TableReader(sites, SITE_COLUMNS)
        self.quality = quality

    def layout(self) -> Layout:
        """Where wells, experiments and sites stand; TableError when they are out of order."""
        ids = TableReader(self.wells.path, ["well_id"]).read()["well_id"].to_numpy()
        experiments = experiment_ranges(self.wells.path)
        site_wells = self._column("well_id").to_numpy()
        return Layout(ids, experiments, _site_starts(ids, site_wells, self.sites.path))

    @cached_property
    def bad_sites(self) -> pd.MultiIndex | None:
        """The sites that fail quality control."""
        if self.quality is None:
            return None
        return Screen(self.wells.path.parent, Path(self.quality)).failed_sites()

    def selection(
        self, wells: slice, sites: slice, *, skipped: int = 0, site_numbers: Sequence[int] = ()
    ) -> Selection:
        """Return the wells and good sites of some rows; `skipped` as in `Selection`."""
        return Selection(
            self.wells.read(wells.start, wells.stop).to_pandas(),
            site_frame(self.sites.read(sites.start, sites.stop)),
            bad_sites=self.bad_sites, skipped=skipped, site_numbers=site_numbers,
        )  # fmt: skip

    def selection_of(
        self, tasks: Sequence[UnitTask], site_numbers: Sequence[int] = ()
    ) -> Selection:
        """Return the wells and good sites of units that follow one another, overlapping or not."""
        first = min(tasks, key=lambda task: task.first_well)
        return self.selection(
            slice(first.first_well, max(task.last_well for task in tasks)),
            slice(first.first_site, max(task.last_site for task in tasks)),
            skipped=first.unit.start, site_numbers=site_numbers,
        )  # fmt: skip

    def site_numbers(self) -> list[int]:
        """Return the numbers that sites have, sorted."""
        return sorted(pc.unique(self._column("site")).to_pylist())

    def first_channels(self) -> tuple[str, ...]:
        """Return the channels of the first site; none where there is no site."""
        first: list[list[str]] = self.sites.read(0, 1)["channels"].to_pylist()
        return tuple(first[0]) if first else ()

    def most_frequent_size(self) -> tuple[int, int] | None:
        """Height and width that most sites have; of equally many the smaller."""
        table = TableReader(self.sites.path, ["height", "width"]).read()
        counts = table.group_by(["height", "width"]).aggregate([([], "count_all")]).to_pandas()
        if counts.empty:
            return None
        ordered = counts.sort_values(
            ["count_all", "height", "width"], ascending=[False, True, True]
        )
        height, width = ordered[["height", "width"]].iloc[0].tolist()
        return int(height), int(width)

    def _column(self, name: str) -> pa.ChunkedArray:
        return TableReader(self.sites.path, [name]).read()[name]


def site_frame(table: pa.Table) -> pd.DataFrame:
    """Rows of a sites table as a frame whose `channels` are shared tuples."""
    frame: pd.DataFrame = table.drop_columns(["channels"]).to_pandas()
    lists = table["channels"].combine_chunks()
    frame["channels"] = _shared_tuples(lists) if len(frame) else pd.Series(dtype=object)
    return frame


def _shared_tuples(lists: pa.ListArray) -> NDArray[np.object_]:
    lengths = lists.value_lengths().to_numpy()
    if (lengths != lengths[0]).any():
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        named = [known.setdefault(names, names) for names in map(tuple, lists.to_pylist())]
        return _objects(named)
    flat = lists.flatten().dictionary_encode()
    grid = flat.indices.to_numpy().reshape(len(lists), -1)
    names = np.asarray(flat.dictionary.to_pylist(), dtype=object)
    if (grid == grid[0]).all():
        return _objects([tuple(names[grid[0]].tolist())])[np.zeros(len(lists), np.int64)]
    sets, inverse = np.unique(grid, axis=0, return_inverse=True)
    return _objects([tuple(names[codes].tolist()) for codes in sets])[inverse.reshape(-1)]


def _objects(values: Sequence[tuple[str, ...]]) -> NDArray[np.object_]:
    array: NDArray[np.object_] = pd.Series(list(values), dtype=object).to_numpy()
    return array


def _site_starts(
    ids: NDArray[np.uint64], site_wells: NDArray[np.uint64], path: Path
) -> NDArray[np.int64]:
    """Where the sites of each well begin; both tables have the wells in one order."""
    begins = np.flatnonzero(np.concatenate([[True], site_wells[1:] != site_wells[:-1]]))
    begins = begins[: len(site_wells)]
    imaged = site_wells[begins]
    has_site = np.ones(len(ids), np.bool_) if len(imaged) == len(ids) else np.isin(ids, imaged)
    if not np.array_equal(ids[has_site], imaged):
        raise TableError(
            f"{path}: the sites do not stand in the order of the wells, or name other wells.\n"
            "  To fix: run the target `screens` again."
        )
    counts = np.zeros(len(ids) + 1, np.int64)
    counts[1:][has_site] = np.diff(begins, append=len(site_wells))
    return np.cumsum(counts)
