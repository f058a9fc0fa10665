"""Hypothesis strategies: tables that conform to the contracts, with all that users may bring."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from phenoprints.foundations.randomness import well_ids
from phenoprints.wells import ROLES, well_name

ODD_NAMES = ("p1", "007", "Plate 2", "β-7", "<b>x</b>", "2021_04_26")


@st.composite
def wells_tables(
    draw: st.DrawFn,
    *,
    max_experiments: int = 3,
    max_plates: int = 3,
    max_wells: int = 12,
    num_conditions: int = 6,
    max_perturbations: int = 4,
    screen: str = "screen",
) -> pd.DataFrame:
    """Wells tables of the contract, sorted, from one well up.

    Plates and experiments differ in size and have odd names; every role occurs; `conditions` are
    empty (unperturbed), unknown (None), single, several, or name a condition twice.
    """
    rows = []
    for experiment in draw(_names(max_experiments)):
        for plate in draw(_names(max_plates)):
            positions = st.tuples(st.integers(1, 8), st.integers(1, 12))
            chosen = st.lists(positions, min_size=1, max_size=max_wells, unique=True)
            for row, column in draw(chosen):
                role = draw(st.sampled_from(ROLES))
                listed = draw(_condition_lists(role, num_conditions, max_perturbations))
                well = well_name(row, column)
                rows.append((experiment, plate, well, row, column, role, listed))
    columns = ["experiment", "plate", "well", "row", "column", "role", "conditions"]
    table = pd.DataFrame(rows, columns=columns).sort_values(columns[:3], ignore_index=True)
    return table.assign(
        well_id=well_ids(screen, table["experiment"], table["plate"], table["well"]),
        screen=screen, cell_type="", background="", modality="cell-painting", replicate_group="",
        plate_format=np.int16(96),
    ).astype({"row": np.int16, "column": np.int16})  # fmt: skip


def _names(max_size: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(ODD_NAMES), min_size=1, max_size=max_size, unique=True)


def _condition_lists(
    role: str, num_conditions: int, max_perturbations: int
) -> st.SearchStrategy[list[int] | None]:
    if role == "unperturbed":
        return st.just([])
    known = st.lists(st.integers(0, num_conditions - 1), min_size=1, max_size=max_perturbations)
    return st.one_of(st.none(), known)
