"""Vectors that are all in memory become a store, its list of failures and its provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.embeddings.store import UNIT_WELLS, create_store, plan_units, write_unit
from phenoprints.foundations.errors import DataError


class Rows(Protocol):
    """Rows of wells, an array or what computes them when a slice is asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, D) or (n, B, D)."""

    def __len__(self) -> int:
        """How many wells there are."""

    def __getitem__(self, wells: slice, /) -> NDArray[np.float32]:
        """Return the rows of some wells."""


def ids_by_experiment(wells: pd.DataFrame) -> dict[str, NDArray[np.uint64]]:
    """Return the well ids of each experiment, both in the order of the wells table."""
    return {
        str(experiment): group.to_numpy(np.uint64)
        for experiment, group in wells.groupby("experiment", sort=False)["well_id"]
    }


def write_rows(
    path: str | Path,
    wells: pd.DataFrame,
    rows: Rows,
    *,
    attributes: Mapping[str, Any],
    unit_wells: int = UNIT_WELLS,
    dtype: str = "float32",
) -> None:
    """Write one row per well, (n, D) or (n, B, D), as a whole store.

    `wells` has well_id and experiment and is sorted by experiment, as wells tables are.
    """
    if len(rows) != len(wells):
        raise DataError(f"{path}: {len(rows)} rows for {len(wells)} wells; expected one each.")
    ids = ids_by_experiment(wells)
    create_store(
        path, ids, rows.shape[1:], attributes=attributes, unit_wells=unit_wells, dtype=dtype
    )
    counts = {experiment: len(group) for experiment, group in ids.items()}
    starts = dict(zip(counts, np.cumsum([0, *counts.values()]), strict=False))
    for unit in plan_units(counts, unit_wells):
        first = int(starts[unit.experiment])
        write_unit(path, unit, rows[first + unit.start : first + unit.stop])
