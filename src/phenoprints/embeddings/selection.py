"""Select the wells and usable sites to embed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from phenoprints.embeddings.forward import Site
from phenoprints.embeddings.geometry import Geometry
from phenoprints.embeddings.store import Unit
from phenoprints.embeddings.writing import ids_by_experiment


class Selection:
    """Wells that follow one another in a screen, and the sites of them that count.

    Parameters
    ----------
    wells
        well_id, experiment, plate and well, sorted as wells tables are.
    sites
        The sites of these wells (others are left out), in any order; `channels` are tuples or
        lists of names.
    bad_sites
        Pairs of well and site that are left out. None keeps all.
    skipped
        Wells of the first experiment that stand before these.
    site_numbers
        The numbers that sites of the screen have; none takes those of `sites`.
    """

    def __init__(
        self,
        wells: pd.DataFrame,
        sites: pd.DataFrame,
        *,
        bad_sites: pd.MultiIndex | None = None,
        skipped: int = 0,
        site_numbers: Sequence[int] = (),
    ) -> None:
        self.wells = wells.reset_index(drop=True)
        self.well_ids = self.wells["well_id"].to_numpy(np.uint64)
        self.ids = ids_by_experiment(self.wells)
        counts = [len(group) for group in self.ids.values()]
        self._starts = dict(zip(self.ids, np.cumsum([0, *counts]).tolist(), strict=False))
        self._skipped = {next(iter(self.ids)): skipped} if self.ids else {}
        numbers = site_numbers or [int(number) for number in sites["site"].unique()]
        self.site_numbers = sorted(numbers)
        self.has_image = np.isin(self.well_ids, sites["well_id"].to_numpy(np.uint64))
        self.sites = self._good(sites, bad_sites)

    def _good(self, sites: pd.DataFrame, bad_sites: pd.MultiIndex | None) -> pd.DataFrame:
        """Return the sites that count, in the order of the wells and of their numbers."""
        ids, numbers = sites["well_id"].to_numpy(np.uint64), sites["site"].to_numpy()
        row = pd.Index(self.well_ids).get_indexer(pd.Index(ids))
        counts = row >= 0
        if bad_sites is not None and len(bad_sites):
            pairs = pd.MultiIndex.from_arrays([ids, numbers])
            counts &= bad_sites.get_indexer(pairs) < 0
        order = np.lexsort((numbers, row))
        order = order[counts[order]]
        kept: pd.DataFrame = sites.assign(row=row).iloc[order]
        return kept.reset_index(drop=True)

    def rows(self, unit: Unit) -> slice:
        """Return the rows of `wells` that a unit stands for."""
        start = self._starts[unit.experiment] - self._skipped.get(unit.experiment, 0)
        return slice(start + unit.start, start + unit.stop)

    def site_rows(self, unit: Unit) -> slice:
        """Return the rows of `sites` that belong to a unit."""
        rows = self.rows(unit)
        found = np.searchsorted(self.sites["row"].to_numpy(), [rows.start, rows.stop])
        return slice(*found.tolist())

    def sites_of(self, unit: Unit) -> list[Site]:
        """Return the sites of a unit that count; wells are counted in their experiment."""
        part = self.sites.iloc[self.site_rows(unit)]
        columns = [part[name].tolist() for name in ("row", "site", "locator", "channels")]
        shapes = zip(part["height"].tolist(), part["width"].tolist(), strict=True)
        slots = {number: slot for slot, number in enumerate(self.site_numbers)}
        first = self.rows(unit).start - unit.start
        return [
            Site(row - first, number, locator, tuple(channels), unit.experiment, shape,
                 slots[number])
            for row, number, locator, channels, shape in zip(*columns, shapes, strict=True)
        ]  # fmt: skip


def crop_shape(num_sites: int, size: tuple[int, int] | None, geometry: Geometry) -> tuple[int, int]:
    """Sites of a well and crops of a site, (S, K), of images of this height and width."""
    return num_sites, 0 if size is None else len(geometry.origins(*size))
