"""A table of wells, usually with their profiles; no images."""

from __future__ import annotations

from typing import Any

from phenoprints.screens.listing import Listing
from phenoprints.screens.welltable import WellTable, read_well_table, well_table_settings

SETTINGS = well_table_settings()


def read_listing(**settings: Any) -> Listing:
    """Return the wells and perturbations of a user's tables.

    Parameters
    ----------
    settings
        The fields of `phenoprints.screens.welltable.WellTable`: `root`, `wells`, `join`,
        `columns`, `roles`, `missing_values`, `barcode_platemap`, `platemap_folder`.
    """
    return read_well_table(WellTable(**settings))
