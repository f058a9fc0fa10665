"""The size that a screen declares for its images, and the sites whose headers have another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.screens.listing import Screen

DECLARATIONS = {"height_px": "height", "width_px": "width"}
"""Settings of a screen, and the columns of the sites table that they decide."""
OTHER_SIZE = "sites_of_other_size"
"""The count, in a screen's notes, of sites that are refused for their size."""
SHOWN_PLATES = 5


def with_declared_size(screen: Screen, config: Mapping[str, Any]) -> Screen:
    """Return the screen with the declared `height_px` and `width_px`, where given, on all sites.

    A header that disagrees with the sites table is refused before decoding, wherever the site is
    read, with a reason. Sites that are known to have another size (from an index, or by most of
    three headers of their plate) are counted and warned of here, with their plates.
    """
    wanted = {column: config.get(name) for name, column in DECLARATIONS.items()}
    declared = {column: int(size) for column, size in wanted.items() if size is not None}
    sites = screen.sites
    if not declared or sites.empty:
        return screen
    is_other = (sites[list(declared)] != pd.Series(declared, dtype=np.int64)).any(axis=1)
    if not is_other.any():
        return screen
    counts = {**screen.notes["counts"], OTHER_SIZE: int(is_other.sum())}
    warning = _warning(screen, sites[is_other], declared)
    notes = {**screen.notes, "counts": counts, "warnings": [*screen.notes["warnings"], warning]}
    sized = sites.assign(**{name: np.int32(size) for name, size in declared.items()})
    return replace(screen, sites=sized, notes=notes)


def _warning(screen: Screen, others: pd.DataFrame, declared: Mapping[str, int]) -> str:
    placed = others.merge(screen.wells[["well_id", "experiment", "plate"]], on="well_id")
    plates = placed.groupby(["experiment", "plate", "height", "width"], sort=True).size()
    named = [f"{e}/{p} has {h} × {w} px" for e, p, h, w in plates.index[:SHOWN_PLATES]]
    more = f" and {len(plates) - SHOWN_PLATES} more" if len(plates) > SHOWN_PLATES else ""
    said = " and ".join(f"a {name} of {size} px" for name, size in declared.items())
    return (
        f"{len(others)} of {len(screen.sites)} sites have another size than the screen declares "
        f"({said}) and are refused when they are read: {', '.join(named)}{more}. Correct "
        "height_px and width_px, or leave these plates out."
    )
