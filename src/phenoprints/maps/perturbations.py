"""Group the wells of a screen by perturbation at each level of the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.wells import CONDITIONS, CONTROL_ROLES

GENETIC_KINDS = ("crispr", "sirna", "orf")

LEVEL_KEYS = {
    "condition": ("condition_id",),
    "guide": ("guide",),
    "gene": ("gene",),
    "compound": ("perturbation",),
    "concentration": ("perturbation", "concentration_um"),
}
"""Columns that name a perturbation at each level; kind, cell type and background always count."""

CONTEXT = ("kind", "cell_type", "background")


def annotation_columns(conditions: pd.DataFrame) -> list[str]:
    """Columns of a conditions table that are annotations: text beyond the contract, sorted."""
    extra = [name for name in conditions.columns if name not in CONDITIONS.schema.names]
    return sorted(name for name in extra if conditions[name].dtype == object)


@dataclass(frozen=True)
class Groups:
    """The wells of each perturbation of a level.

    `code` (N,) is the row of `table` that each well belongs to, -1 for none.
    """

    code: NDArray[np.int64]
    table: pd.DataFrame


def group_wells(described: pd.DataFrame, level: str, annotations: tuple[str, ...] = ()) -> Groups:
    """Group wells by the perturbations of a level; controls and wells without one are left out.

    The table is sorted by kind, context and name, with the number of wells and experiments, the
    list of experiments, and each annotation where all wells of the perturbation agree ("" else).
    """
    chosen = described[_belongs(described, level)]
    keys = [*CONTEXT, *LEVEL_KEYS[level]]
    grouped = chosen.groupby(keys, sort=True, dropna=False)
    code = np.full(len(described), -1, np.int64)
    code[chosen.index.to_numpy()] = grouped.ngroup().to_numpy()
    if chosen.empty:
        return Groups(code, pd.DataFrame())
    shared = [name for name in _described_columns(annotations) if name not in keys]
    table = grouped[shared].agg(_common).reset_index()
    experiments = grouped["experiment"].agg(lambda names: sorted(set(names)))
    table["experiments"] = experiments.to_numpy()
    table["num_experiments"] = table["experiments"].map(len).astype(np.int32)
    table["num_wells"] = grouped.size().to_numpy(np.int32)
    if "condition_id" not in table.columns:
        table["condition_id"] = np.int32(-1)
    table.insert(0, "level", level)
    table.insert(1, "name", _names(table, level))
    return Groups(code, table)


def _described_columns(annotations: tuple[str, ...]) -> list[str]:
    return ["perturbation", "gene", "guide", "concentration_um", *annotations]


def _belongs(described: pd.DataFrame, level: str) -> pd.Series:
    treated = (described["condition_id"] >= 0) & ~described["role"].isin(CONTROL_ROLES)
    is_genetic = described["kind"].isin(GENETIC_KINDS)
    is_compound = described["kind"] == "compound"
    extra = {
        "condition": treated,
        "guide": is_genetic & (described["guide"] != ""),
        "gene": is_genetic & (described["gene"] != ""),
        "compound": is_compound,
        "concentration": is_compound & described["concentration_um"].notna(),
    }
    belongs: pd.Series = treated & extra[level]
    return belongs


def _common(values: pd.Series) -> object:
    """Return the value that all wells share; "" (or NaN for numbers) where they differ."""
    first = values.iloc[0]
    if (values == first).all():
        return first
    return np.nan if pd.api.types.is_numeric_dtype(values) else ""


def _names(table: pd.DataFrame, level: str) -> pd.Series:
    if level in ("guide", "gene"):
        return table[level].astype(str)
    if level == "compound":
        return table["perturbation"].astype(str)
    dose = table["concentration_um"].map(lambda um: "" if pd.isna(um) else f" @ {um:g} µM")
    guide = table["guide"].where(table["guide"] != "", table["perturbation"])
    base = guide if level == "condition" else table["perturbation"]
    return base.astype(str) + dose
