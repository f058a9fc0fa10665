"""What is looked at: the wells of a screen, the sites of them that count, where results go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.embeddings.geometry import Geometry
from phenoprints.embeddings.passes import Site
from phenoprints.embeddings.store import UNIT_WELLS, Unit
from phenoprints.embeddings.units import Work, plan_work
from phenoprints.embeddings.writing import ids_by_experiment


@dataclass(frozen=True)
class Stores:
    """Where results of a pair go: embeddings, markers, and blocks and crops where wanted."""

    embeddings: Path
    units: Path
    blocks: Path | None = None
    crops: Path | None = None

    @classmethod
    def at(
        cls,
        embeddings: str | Path,
        blocks: str | Path | None = None,
        crops: str | Path | None = None,
    ) -> Stores:
        """The stores of a pair; markers lie beside the embeddings, in `<name>.units`."""
        path = Path(embeddings)
        units = path.with_name(f"{path.name}.units")
        return cls(
            path,
            units,
            None if blocks is None else Path(blocks),
            None if crops is None else Path(crops),
        )

    def written(self) -> list[Path]:
        """The stores, without the markers."""
        return [path for path in (self.embeddings, self.blocks, self.crops) if path is not None]


class Selection:
    """The wells of a screen and the sites of them that count.

    Parameters
    ----------
    wells
        well_id, experiment, plate and well, sorted as wells tables are.
    sites
        The sites of a screen, in any order.
    quality
        well_id, site, verdict; sites whose verdict is `fail` are left out. None keeps all.
    block_wells
        Ids of the wells whose features of every block are kept; None keeps no blocks.
    """

    def __init__(
        self,
        wells: pd.DataFrame,
        sites: pd.DataFrame,
        *,
        quality: pd.DataFrame | None = None,
        block_wells: Iterable[int] | None = None,
    ) -> None:
        self.wells = wells.reset_index(drop=True)
        ids = self.wells["well_id"].to_numpy(np.uint64)
        self._rank = pd.Index(ids)
        self.site_numbers = sorted(int(number) for number in sites["site"].unique())
        self.has_image = self.wells["well_id"].isin(sites["well_id"]).to_numpy()
        self.sites = self._good(sites, quality)
        self.is_block_well: pd.Series[bool] | None = None
        if block_wells is not None:
            self.is_block_well = self.wells["well_id"].isin(list(block_wells))
        self.ids = ids_by_experiment(self.wells)
        counts = [len(group) for group in self.ids.values()]
        self.starts = dict(zip(self.ids, np.cumsum([0, *counts]).tolist(), strict=False))

    def _good(self, sites: pd.DataFrame, quality: pd.DataFrame | None) -> pd.DataFrame:
        """The sites that count, in the order of the wells and of their numbers."""
        if quality is not None:
            bad = quality.loc[quality["verdict"] == "fail", ["well_id", "site"]]
            marked = sites.merge(bad, on=["well_id", "site"], how="left", indicator=True)
            sites = marked[marked["_merge"] == "left_only"]
        rank = self._rank.get_indexer(pd.Index(sites["well_id"].to_numpy(np.uint64)))
        order = np.lexsort((sites["site"].to_numpy(), rank))
        kept: pd.DataFrame = sites.assign(row=rank).iloc[order[rank[order] >= 0]]
        return kept.reset_index(drop=True)

    def rows(self, unit: Unit) -> slice:
        """The rows of the wells table that a unit stands for."""
        start = self.starts[unit.experiment]
        return slice(start + unit.start, start + unit.stop)

    def sites_of(self, unit: Unit) -> list[Site]:
        """The sites of a unit that count, wells counted in the unit."""
        rows = self.rows(unit)
        start, stop = np.searchsorted(self.sites["row"].to_numpy(), [rows.start, rows.stop])
        part = self.sites.iloc[start:stop]
        columns = [part[name].tolist() for name in ("row", "site", "locator", "channels")]
        shapes = zip(part["height"].tolist(), part["width"].tolist(), strict=True)
        slots = {number: slot for slot, number in enumerate(self.site_numbers)}
        return [
            Site(
                row - rows.start, number, locator, tuple(channels), unit.experiment, shape,
                slots[number],
            )
            for row, number, locator, channels, shape in zip(*columns, shapes, strict=True)
        ]  # fmt: skip

    def block_rows(self, unit: Unit) -> NDArray[np.int64]:
        """The wells of a unit, counted in it, whose blocks are kept."""
        if self.is_block_well is None:
            return np.empty(0, np.int64)
        return np.flatnonzero(self.is_block_well.to_numpy()[self.rows(unit)])

    def block_ids(self) -> dict[str, NDArray[np.uint64]]:
        """The ids of the wells whose blocks are kept, by experiment; without empty experiments."""
        if self.is_block_well is None:
            return {}
        return ids_by_experiment(self.wells[self.is_block_well])

    def stores_of(self, unit: Unit, stores: Stores) -> dict[Path, Unit]:
        """The stores that a unit is written to, with its rows there."""
        places = {stores.embeddings: unit}
        num_blocks = len(self.block_rows(unit))
        if stores.blocks is not None and num_blocks:
            places[stores.blocks] = Unit(unit.experiment, 0, num_blocks)
        if stores.crops is not None:
            places[stores.crops] = unit
        return places

    def crop_shape(self, geometry: Geometry) -> tuple[int, int]:
        """Sites of a well and crops of a site, (S, K), of the screen's most frequent size."""
        if not len(self.sites):
            return len(self.site_numbers), 0
        shapes = self.sites[["height", "width"]].to_numpy(np.int64)
        sizes, counts = np.unique(shapes, axis=0, return_counts=True)
        height, width = sizes[counts.argmax()].tolist()
        return len(self.site_numbers), len(geometry.origins(height, width))

    def plan(self, content: Mapping[str, Any], unit_wells: int = UNIT_WELLS) -> list[Work]:
        """The units of the screen with their keys."""
        return plan_work(
            self.wells, self.sites, content=content, is_block_well=self.is_block_well,
            unit_wells=unit_wells,
        )  # fmt: skip
