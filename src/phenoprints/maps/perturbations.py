"""What was done to each well, and which wells belong to one perturbation at each level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.screens.contracts import CONDITIONS

GENETIC_KINDS = ("crispr", "sirna", "orf")
CONTROL_ROLES = ("negative_control", "unperturbed")

LEVEL_KEYS = {
    "condition": ("condition_id",),
    "guide": ("guide",),
    "gene": ("gene",),
    "compound": ("perturbation",),
    "concentration": ("perturbation", "concentration_um"),
}
"""Columns that name a perturbation at each level; kind, cell type and background always count."""

CONTEXT = ("kind", "cell_type", "background")


def single_condition(wells: pd.DataFrame) -> NDArray[np.int32]:
    """The condition of each well that has exactly one, else -1 (none, several or unknown)."""
    ids = np.full(len(wells), -1, np.int32)
    for index, conditions in enumerate(wells["conditions"]):
        if conditions is not None and len(conditions) == 1:
            ids[index] = conditions[0]
    return ids


def describe_wells(wells: pd.DataFrame, conditions: pd.DataFrame) -> pd.DataFrame:
    """One row per well, in order: experiment, role and the columns of its single condition.

    Wells without exactly one condition have `condition_id` -1 and empty columns. Columns of
    `conditions` beyond the contract (mechanism, pathway) come along.
    """
    ids = single_condition(wells)
    columns = [name for name in conditions.columns if name != "condition_id"]
    known = conditions.set_index("condition_id")[columns]
    described = known.reindex(ids).reset_index(drop=True)
    text = described.select_dtypes(include=["object", "string"]).columns
    described[text] = described[text].fillna("")
    described.insert(0, "condition_id", np.where(np.isin(ids, known.index), ids, -1))
    for name in ("well_id", "experiment", "role"):
        described[name] = wells[name].to_numpy()
    return described


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
    """The value that all wells share; "" (or NaN for numbers) where they differ."""
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
