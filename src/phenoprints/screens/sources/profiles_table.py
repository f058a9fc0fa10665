"""A table of wells, usually with their profiles; no images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from phenoprints.screens.listing import Listing
from phenoprints.screens.tables import MISSING
from phenoprints.screens.welltable import WellTable, read_well_table


def read_listing(
    wells: str | Sequence[str],
    *,
    root: str = ".",
    join: Sequence[Mapping[str, Any]] = (),
    columns: Mapping[str, Any] | None = None,
    roles: Mapping[str, str] | None = None,
    missing_values: Sequence[str] = MISSING,
) -> Listing:
    """The wells and perturbations of a user's tables.

    Parameters
    ----------
    wells
        Paths or globs of the tables below `root`, one row per well.
    root
        Folder that the other paths start from.
    join
        Further tables: `table`, `keys`, `columns`, `missing`.
    columns
        For each property the column's name, or a mapping (`column` or `value`, `extract`, `map`,
        `default`, `scale`, `separator`); `annotations` are further columns of the conditions.
    roles
        Values of the role column and the role they mean.
    missing_values
        Cell texts that mean "nothing is known", beside the empty cell.
    """
    return read_well_table(WellTable(root, wells, join, columns or {}, roles or {}, missing_values))
