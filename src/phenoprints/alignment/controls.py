"""Which wells an alignment is fitted on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment.methods import MIN_CONTROLS
from phenoprints.foundations.errors import DataError

WHOLE_WELL = -1
"""The `site` of the quality table's row that speaks for a whole well."""


def usable_wells(wells: pd.DataFrame, quality: pd.DataFrame) -> NDArray[np.bool_]:
    """A mask over the wells table: False where the well's own quality row says `fail`."""
    whole = quality["site"] == WHOLE_WELL
    failed = quality.loc[whole & (quality["verdict"] == "fail"), "well_id"]
    usable: NDArray[np.bool_] = ~wells["well_id"].isin(failed).to_numpy()
    return usable


def cut_genes(wells: pd.DataFrame, conditions: pd.DataFrame) -> NDArray[np.object_]:
    """The gene that CRISPR cut in each well with a single condition, "" in all others."""
    crispr = conditions[conditions["kind"] == "crispr"]
    gene_of = dict(zip(crispr["condition_id"], crispr["gene"].fillna(""), strict=True))
    genes = np.full(len(wells), "", dtype=object)
    for index, ids in enumerate(wells["conditions"]):
        if ids is not None and len(ids) == 1:
            genes[index] = gene_of.get(ids[0], "")
    return genes


def choose_controls(
    wells: pd.DataFrame,
    controls: str = "auto",
    is_usable: NDArray[np.bool_] | None = None,
    min_controls: int = MIN_CONTROLS,
) -> tuple[NDArray[np.bool_], str]:
    """A mask over the wells table, and the role it selects.

    `auto` takes the unperturbed wells where every experiment has at least `min_controls` of them,
    else the negative controls. Wells that are not usable (quality `fail`) are never controls.
    """
    role = wells["role"].to_numpy(dtype=object)
    usable = np.ones(len(wells), dtype=bool) if is_usable is None else is_usable
    chosen = _automatic(wells, role, usable, min_controls) if controls == "auto" else controls
    mask: NDArray[np.bool_] = (role == chosen) & usable
    if not mask.any():
        raise DataError(
            f'alignment: no usable well has the role "{chosen}".\n'
            f"  Roles in the screen: {', '.join(sorted(set(role)))}.\n"
            "  To fix: name the controls in the screen's column mapping, or set alignment.controls."
        )
    return mask, chosen


def _automatic(
    wells: pd.DataFrame, role: NDArray[np.object_], usable: NDArray[np.bool_], min_controls: int
) -> str:
    is_unperturbed = pd.Series((role == "unperturbed") & usable)
    counts = is_unperturbed.groupby(wells["experiment"].to_numpy(dtype=object)).sum()
    return "unperturbed" if (counts >= min_controls).all() else "negative_control"
