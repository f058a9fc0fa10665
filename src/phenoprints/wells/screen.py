"""A stored screen: its tables, read by experiment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError, MissingInputError
from phenoprints.foundations.parquet import TableReader
from phenoprints.foundations.tables import Contract
from phenoprints.wells.conditions import single_condition
from phenoprints.wells.contracts import CONDITIONS, SITES, WELLS
from phenoprints.wells.designs import design_table
from phenoprints.wells.quality import WHOLE_WELL, failed_sites, usable_wells
from phenoprints.wells.rows import ROWS_AT_ONCE, experiment_ranges, ranges_of_wells

VERDICTS = ("well_id", "site", "verdict")
"""Columns of the quality table that decide which wells and sites are usable."""


@dataclass(frozen=True)
class Screen:
    """The tables of a stored screen; nothing is read before it is asked for.

    Attributes
    ----------
    folder
        Holds wells.parquet, sites.parquet and conditions.parquet.
    quality_path
        The quality table, or None where quality is not known: all wells and sites are usable.
    """

    folder: Path
    quality_path: Path | None = None

    @classmethod
    def open(cls, folder: str | Path, quality: str | Path | None = None) -> Screen:
        """Open the screen of a folder such as `results/demo/screens/demo`.

        `quality` is the path of its quality table; by default `quality/<screen>.parquet` of the
        same run, where it exists. Raises MissingInputError where the folder holds no wells table.
        """
        place = Path(folder)
        if not (place / "wells.parquet").is_file():
            raise MissingInputError(
                f"{place}: no wells.parquet, so this is not the folder of a screen.\n"
                "  To fix: correct the path, or run snakemake screens."
            )
        beside = place.parent.parent / "quality" / f"{place.name}.parquet"
        found = Path(quality) if quality is not None else beside if beside.is_file() else None
        return cls(place, found)

    @property
    def name(self) -> str:
        """The name of the screen."""
        return self.folder.name

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments, in the order of the wells table."""
        return list(self._well_rows)

    def wells(
        self, experiment: str | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return the wells (contract WELLS) of one experiment, or of all, or some columns."""
        rows = None if experiment is None else self._rows(self._well_rows, experiment)
        return _read(WELLS, self.folder / "wells.parquet", rows, columns)

    def sites(self, experiment: str | None = None, *, usable: bool = False) -> pd.DataFrame:
        """Return the sites (contract SITES) of one experiment, or of all.

        With `usable` those sites are left out that failed quality, or whose well failed.
        """
        rows = None if experiment is None else self._rows(self._site_rows, experiment)
        sites = _read(SITES, self.folder / "sites.parquet", rows, None)
        if not usable:
            return sites
        passes = _passing(sites["well_id"], sites["site"], failed_sites(self.verdicts(experiment)))
        kept: pd.DataFrame = sites[passes].reset_index(drop=True)
        return kept

    def site_batches(self, num_rows: int, *, usable: bool = False) -> Iterator[pa.Table]:
        """Yield the sites as Arrow tables of at most `num_rows` rows, in order; see `sites`."""
        reader = TableReader(self.folder / "sites.parquet", SITES.schema.names)
        failed = self.failed_sites() if usable else None
        for table in reader.batches(num_rows):
            if failed is None:
                yield table
                continue
            ids, numbers = table["well_id"].to_numpy(), table["site"].to_numpy()
            yield table.filter(pa.array(_passing(ids, numbers, failed)))

    def failed_sites(self) -> pd.MultiIndex:
        """Return the pairs (well_id, site) that failed quality; site -1 is a well as a whole."""
        parts = [pa.schema([("well_id", pa.uint64()), ("site", pa.int32())]).empty_table()]
        if self.quality_path is not None:
            for part in TableReader(self.quality_path, VERDICTS).batches(ROWS_AT_ONCE):
                failing = part.filter(pc.equal(part["verdict"], "fail"))
                parts.append(failing.select(["well_id", "site"]))
        found = pa.concat_tables(parts, promote_options="permissive").to_pandas()
        return failed_sites(found.assign(verdict="fail"))

    @property
    def conditions(self) -> pd.DataFrame:
        """The conditions table (contract CONDITIONS)."""
        return CONDITIONS.read(self.folder / "conditions.parquet")

    @property
    def designs(self) -> pd.DataFrame:
        """The wells of each single condition by experiment, plate and position (`design_table`)."""
        wells = self.wells(columns=["experiment", "plate", "well", "conditions"])
        condition = pd.Series(single_condition(wells["conditions"]))
        table = design_table(wells, condition.where(condition >= 0))
        return table.rename(columns={"label": "condition_id"}).astype({"condition_id": np.int32})

    def verdicts(self, experiment: str | None = None) -> pd.DataFrame:
        """Return well_id, site and verdict of one experiment, or of all; empty without quality."""
        if self.quality_path is None:
            ids, sites = np.empty(0, np.uint64), np.empty(0, np.int32)
            return pd.DataFrame({"well_id": ids, "site": sites, "verdict": []})
        rows = None if experiment is None else self._rows(self._quality_rows, experiment)
        return _frame(TableReader(self.quality_path, VERDICTS), rows)

    def metrics(self) -> pd.DataFrame:
        """Return the quality table with its verdicts and metrics; empty without quality."""
        if self.quality_path is None:
            return self.verdicts()
        reader = TableReader(self.quality_path, [])
        return _frame(TableReader(self.quality_path, reader.names), None)

    def usable(self, experiment: str | None = None) -> NDArray[np.bool_]:
        """Return a mask over the wells of one experiment, or of all: False where quality failed."""
        return usable_wells(self.wells(experiment, ["well_id"]), self.verdicts(experiment))

    @cached_property
    def _well_rows(self) -> dict[str, slice]:
        return experiment_ranges(self.folder / "wells.parquet")

    @cached_property
    def _site_rows(self) -> dict[str, slice]:
        return self._ranges(self.folder / "sites.parquet")

    @cached_property
    def _quality_rows(self) -> dict[str, slice]:
        assert self.quality_path is not None
        return self._ranges(self.quality_path)

    def _ranges(self, path: Path) -> dict[str, slice]:
        reader = TableReader(self.folder / "wells.parquet", ["well_id"])
        groups = (
            reader.read(rows.start, rows.stop)["well_id"].to_numpy()
            for rows in self._well_rows.values()
        )
        return dict(zip(self._well_rows, ranges_of_wells(path, groups), strict=True))

    def _rows(self, ranges: dict[str, slice], experiment: str) -> slice:
        if experiment not in ranges:
            known = ", ".join(list(ranges)[:20])
            raise DataError(
                f'{self.folder}: no experiment is called "{experiment}". Expected one of {known}.'
            )
        return ranges[experiment]


def _passing(ids: Any, numbers: Any, failed: pd.MultiIndex) -> NDArray[np.bool_]:
    """Return which sites neither failed nor belong to a well that did."""
    pairs = pd.MultiIndex.from_arrays([ids, numbers])
    wells = failed.get_level_values(0)[failed.get_level_values(1) == WHOLE_WELL]
    passes: NDArray[np.bool_] = ~pairs.isin(failed) & ~np.isin(ids, wells)
    return passes


def _read(
    contract: Contract, path: Path, rows: slice | None, columns: Sequence[str] | None
) -> pd.DataFrame:
    if rows is None:
        return contract.read(path, columns)
    wanted = list(columns or contract.schema.names)
    if set(wanted) & set(contract.derived) - set(TableReader(path, []).names):
        whole = contract.read(path, wanted)
        return whole.iloc[rows].reset_index(drop=True)
    return _frame(TableReader(path, wanted), rows)


def _frame(reader: TableReader, rows: slice | None) -> pd.DataFrame:
    table: pa.Table = reader.read() if rows is None else reader.read(rows.start, rows.stop)
    frame: pd.DataFrame = table.to_pandas()
    return frame
