"""A screen from a table in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.cells import frame_names
from phenoprints.foundations.table_files import LINE
from phenoprints.screens.assembly import assemble
from phenoprints.screens.columns import PROPERTIES
from phenoprints.screens.listing import Screen
from phenoprints.screens.problems import FILE
from phenoprints.screens.welltable import WellTable, map_table


def from_table(
    table: pd.DataFrame,
    *,
    columns: Mapping[str, Any] | None = None,
    roles: Mapping[str, str] | None = None,
    name: str = "screen",
    plate_format: int | None = None,
) -> Screen:
    """Build a screen from a table with one row per well.

    Parameters
    ----------
    table
        One row per well, in any order. Values are read as text, whole floats as integers; missing
        values and the usual words for them ("", "NA", "nan", ...) are missing.
    columns
        The column that holds each property, as in the configuration (a name, or a mapping with
        `column`, `value`, `extract`, `map`, ...). A property that is not named here is read from
        the column of its own name (experiment, plate, well, perturbation, role,
        concentration_um, gene, ...), else from the names that the field's tools use.
    roles
        Values of the role column (by default the perturbation's) and the role that they mean,
        such as ``{"DMSO": "negative_control"}``.
    name
        The name of the screen, part of every `well_id`.
    plate_format
        Wells of a plate; None infers it for every plate.

    Returns
    -------
    Screen
        Wells sorted by experiment, plate and well; `source_rows` holds, for every well, the number
        of its row in `table`.

    Raises
    ------
    ConfigurationError, TableError
        A property without a column, or rows that do not fit; all problems in one message.

    Examples
    --------
    >>> table = pd.DataFrame({"experiment": "e", "plate": "p", "well": ["B01", "A01"],
    ...                       "perturbation": ["x", "DMSO"]})
    >>> screen = from_table(table, roles={"DMSO": "negative_control"})
    >>> screen.wells["role"].tolist(), screen.source_rows.tolist()
    (['negative_control', 'treatment'], [1, 0])
    """
    own = {each: each for each in PROPERTIES if each in table.columns}
    source = WellTable(columns={**own, **(columns or {})}, roles=roles or {})
    text = frame_names(table)
    text[LINE], text[FILE] = -np.arange(1, len(text) + 1), "table"
    return assemble(name, map_table(source, text, "table"), plate_format=plate_format)
