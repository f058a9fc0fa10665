"""The tables of a screen as the stages wrote them, as parts: a few experiments in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from phenoprints.curation.encoding import ENCODED
from phenoprints.curation.parts import TEXTS, WELLS_PER_PART, cuts
from phenoprints.curation.wells_with_quality import (
    QUALITY_COLUMNS,
    ImageSizes,
    QualityAndSites,
    wells_with_quality,
)
from phenoprints.foundations.parquet import TableReader
from phenoprints.wells import SITES, WELLS
from phenoprints.wells.rows import experiment_ranges, ranges_of_wells

SHAPE_COLUMNS = ("well_id", "height", "width", "channels")


@dataclass(frozen=True)
class Tables:
    """The Parquet files of one screen, all rows in the order of the wells."""

    wells: str | Path
    sites: str | Path
    quality: str | Path


class ScreenFiles:
    """The wells of one screen, joined with quality and sites, a part at a time.

    Where every part lies in each table is found out once, from the columns that tell; so are the
    usual sizes of images. Memory does not grow with the screen.

    Parameters
    ----------
    tables
        Where wells, sites and quality lie.
    new_ids
        The manifest's condition_id of each of the screen's own.
    geometry
        Declared height_px and width_px; where None, the most frequent of a modality.

    Raises
    ------
    MissingInputError, CorruptionError, TableError
        A table is not there, cannot be read, lacks a column, or is in another order than the wells.
    """

    def __init__(
        self,
        tables: Tables,
        new_ids: NDArray[np.int32],
        geometry: Mapping[str, int | None] | None = None,
        *,
        wells_per_part: int = WELLS_PER_PART,
    ) -> None:
        self._tables, self._new_ids = tables, new_ids
        rows = list(experiment_ranges(tables.wells).values()) or [slice(0, 0)]
        starts = np.array([part.start for part in rows], dtype=np.int64)
        self._wells = cuts(starts, rows[-1].stop, wells_per_part)
        self._quality = ranges_of_wells(tables.quality, map(self._ids, self._wells))
        self._sites = ranges_of_wells(tables.sites, map(self._ids, self._wells))
        self._usual = self._usual_shapes(geometry or {})

    def __len__(self) -> int:
        return len(self._wells)

    def read(self, number: int, *, deciding_only: bool) -> pa.Table:
        """One part; `locators` and what does not decide only where it is wanted."""
        columns = [*ENCODED.names, "modality"] if deciding_only else WELLS.schema.names
        wells = _read(self._tables.wells, columns, self._wells[number])
        quality = _read(self._tables.quality, QUALITY_COLUMNS, self._quality[number])
        sites = None
        if self._usual is not None:
            wanted = SHAPE_COLUMNS if deciding_only else SITES.schema.names
            sites = _read(self._tables.sites, wanted, self._sites[number])
        return wells_with_quality(
            wells, self._new_ids, QualityAndSites(quality, sites, self._usual)
        )

    def _ids(self, rows: slice) -> NDArray[np.uint64]:
        wells = _read(self._tables.wells, ["well_id"], rows)
        ids: NDArray[np.uint64] = wells["well_id"].to_numpy()
        return ids

    def _usual_shapes(self, geometry: Mapping[str, int | None]) -> pd.DataFrame | None:
        """Return the usual shape by modality; None for a screen without images."""
        if self._sites[-1].stop == 0:
            return None
        shapes = ImageSizes()
        for wells, sites in zip(self._wells, self._sites, strict=True):
            shapes.add(
                _read(self._tables.wells, ["well_id", "modality"], wells),
                _read(self._tables.sites, SHAPE_COLUMNS, sites),
            )
        return shapes.usual(geometry)


def _read(path: str | Path, columns: Sequence[str], rows: slice) -> pa.Table:
    texts = [name for name in TEXTS if name in columns]
    return TableReader(path, columns, texts=texts).read(rows.start, rows.stop)
