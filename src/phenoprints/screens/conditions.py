"""Conditions: what was done to a well, as integer ids that do not depend on the row order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from phenoprints.foundations.errors import Problem

KEY = ["perturbation", "concentration_um", "cell_type", "background"]
"""What a condition is; its id counts these keys in sorted order (missing concentration last)."""

FACTS = ["kind", "gene", "guide"]
"""What one condition must say once."""


def condition_table(perturbations: pd.DataFrame) -> tuple[NDArray[np.int32], pd.DataFrame]:
    """Return the condition id of each row (-1: perturbation unknown), and one row per condition.

    Parameters
    ----------
    perturbations
        One row per well and perturbation with the columns of `KEY` and `FACTS`; further columns
        are annotations, of which a condition keeps the first in sorted order.

    Returns
    -------
    ids, conditions
        `ids` int32 (rows,); `conditions` sorted by `condition_id` from 0.
    """
    is_known = perturbations["perturbation"].notna().to_numpy()
    known = perturbations[is_known]
    ids = np.full(len(perturbations), -1, dtype=np.int32)
    ids[is_known] = known.groupby(KEY, sort=True, dropna=False).ngroup()
    annotations = [c for c in known.columns if c not in (*KEY, *FACTS, "well_row")]
    rows = known[[*KEY, *FACTS, *annotations]].assign(condition_id=ids[is_known]).drop_duplicates()
    rows = rows.sort_values(["condition_id", *FACTS, *annotations], na_position="last")
    first = rows.groupby("condition_id", sort=True)[[*KEY, *FACTS, *annotations]].first()
    return ids, first.reset_index().astype({"concentration_um": "float64"})


def contradictions(
    perturbations: pd.DataFrame, ids: NDArray[np.int32], where: str
) -> list[Problem]:
    """Return a problem for each condition whose rows name several kinds, genes or guides."""
    facts = perturbations[["perturbation", *FACTS]].assign(condition_id=ids)
    facts = facts[facts["condition_id"] >= 0].drop_duplicates()
    problems = []
    for fact in FACTS:
        distinct = facts[["condition_id", "perturbation", fact]].dropna().drop_duplicates()
        several = distinct[distinct.duplicated("condition_id", keep=False)]
        for name, group in several.groupby("perturbation", sort=True):
            values = ", ".join(f'"{value}"' for value in sorted(set(group[fact])))
            what = f'perturbation "{name}" has more than one {fact}: {values}'
            problems.append(Problem(where, what, f"one {fact} for each perturbation"))
    return problems


def condition_lists(
    well_row: NDArray[np.int64], ids: NDArray[np.int32], is_unperturbed: NDArray[np.bool_]
) -> pa.ListArray:
    """List the distinct condition ids of each well, sorted: empty if unperturbed, null if unknown.

    Parameters
    ----------
    well_row, ids
        For each perturbation the position of its well and its condition (-1: unknown).
    is_unperturbed
        For each well whether its role says that nothing was added; `len` gives the wells.
    """
    num_wells, base = len(is_unperturbed), int(ids.max(initial=-1)) + 2
    distinct = pd.unique(np.sort(well_row * base + ids + 1))  # np.unique is ten times slower
    row, condition = distinct // base, (distinct % base - 1).astype(np.int32)
    is_unknown = (np.bincount(row, minlength=num_wells) == 0) & ~is_unperturbed
    is_unknown[row[condition < 0]] = True
    is_listed = ~is_unknown[row]
    row, condition = row[is_listed], condition[is_listed]
    offsets = np.zeros(num_wells + 1, dtype=np.int32)
    np.cumsum(np.bincount(row, minlength=num_wells), out=offsets[1:])
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(condition), mask=pa.array(is_unknown)
    )
