"""What is classified: the label of every well for a task, and how much of the task is covered."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.configuration.models.curation import TaskKeys
from phenoprints.foundations.errors import DataError, MissingInputError, TableError
from phenoprints.foundations.randomness import hash_uint64
from phenoprints.wells import CONDITIONS, PERTURBED_ROLES, WELLS, single_condition

ALIASES = {"MPP5": "PALS1"}
"""Older symbols of genes in the packaged groups, and the approved ones (HGNC)."""


class Task(TaskKeys):
    """A classification of wells; fields and defaults are those of the configuration."""

    name: str
    """What it is called."""

    @classmethod
    def of(cls, name: str, settings: Mapping[str, Any]) -> Task:
        """Return the task of a configuration's settings, without its screens and sources."""
        return cls.from_section({"name": name, **settings})


@dataclass(frozen=True)
class Labels:
    """The label of each well (None: not part of the task), and what of the task is covered."""

    values: NDArray[np.object_]
    coverage: dict[str, int] = field(default_factory=dict)


def read_groups(groups: str) -> dict[str, str]:
    """Return the group of each gene, from the packaged `anax` table or a tsv with
    group and gene.
    """
    if groups == "anax":
        text = resources.files("phenoprints.probes").joinpath("data/anax_groups.tsv").read_text()
    else:
        if not Path(groups).is_file():
            raise MissingInputError(f"{groups}: the table of gene groups is not there.")
        text = Path(groups).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    if not rows or not {"group", "gene"} <= set(rows[0]):
        raise TableError(f"{groups}: expected a tab-separated table with the columns group, gene.")
    of_gene: dict[str, str] = {}
    for row in rows:
        if of_gene.setdefault(row["gene"], row["group"]) != row["group"]:
            what = f'{groups}: gene "{row["gene"]}" is in two groups'
            raise TableError(f"{what} ({of_gene[row['gene']]}, {row['group']}); expected one.")
    return of_gene


def label_wells(wells: pd.DataFrame, conditions: pd.DataFrame, task: Task) -> Labels:
    """Return the class of every well.

    Parameters
    ----------
    wells
        `role` and `conditions` (lists of condition ids).
    conditions
        The conditions table, with the column that the task classifies.
    task
        What is classified. A treatment or positive control takes the label of its condition, a
        well of a role in `controls` that role (or its perturbation, where these are classified).
        Wells with several conditions, of unknown or no perturbation, and those whose condition
        has no label, have none.

    Returns
    -------
    Labels
        Their coverage counts wells and classes, and for groups the `genes` of `num_genes` and
        the `groups` of `num_groups` that the screen has.

    Raises
    ------
    DataError
        The conditions have no such annotation.
    """
    of_condition, coverage = _condition_labels(conditions, task)
    ids = single_condition(wells["conditions"])
    roles = wells["role"].to_numpy()
    values = np.full(len(wells), None, dtype=object)
    is_perturbed = np.isin(roles, PERTURBED_ROLES) & (ids >= 0)
    values[is_perturbed] = [of_condition.get(i) for i in ids[is_perturbed].tolist()]
    for role in task.controls:
        values[roles == role] = role
    if task.labels == "perturbation":
        is_control = np.isin(roles, list(task.controls)) & (ids >= 0)
        values[is_control] = [of_condition.get(i) for i in ids[is_control].tolist()]
    classes = {value for value in values if value is not None}
    counts = {"wells": int(sum(v is not None for v in values)), "classes": len(classes)}
    return Labels(values, {**counts, **coverage})


def probe_wells(
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    tasks: Iterable[Task],
    *,
    max_wells_per_class: int | None = None,
    seed: int = 0,
) -> NDArray[np.uint64]:
    """Ids of the wells that any of the tasks uses, sorted: those whose blocks are worth keeping.

    `max_wells_per_class` keeps the wells of the smallest hashes of (seed, well id) of each class,
    cell type and background.
    """
    ids = wells["well_id"].to_numpy(np.uint64)
    used = np.zeros(len(wells), np.bool_)
    for task in tasks:
        used |= task_wells(
            wells, label_wells(wells, conditions, task), max_wells_per_class, seed=seed
        )
    return np.sort(ids[used])


def wells_of_tasks(
    wells: str | Path, conditions: str | Path, settings: Mapping[str, Any], seed: int
) -> NDArray[np.uint64] | None:
    """`probe_wells` of tables in files, or None where `settings` has no `tasks`.

    `settings` has `tasks` (settings by name) and `max_wells_per_class`.
    """
    tasks = [Task.of(name, task) for name, task in settings["tasks"].items()]
    if not tasks:
        return None
    return probe_wells(
        WELLS.read(wells), CONDITIONS.read(conditions), tasks,
        max_wells_per_class=settings["max_wells_per_class"], seed=seed,
    )  # fmt: skip


def task_wells(
    wells: pd.DataFrame, labels: Labels, max_wells_per_class: int | None, *, seed: int
) -> NDArray[np.bool_]:
    """Whether each well is used: labelled, and among the first of its class by seeded hash."""
    is_labelled = np.array([value is not None for value in labels.values], np.bool_)
    if max_wells_per_class is None:
        return is_labelled
    ids = wells["well_id"].to_numpy(np.uint64)
    table = wells[["cell_type", "background"]].assign(
        label=labels.values, draw=hash_uint64(seed, ids), row=np.arange(len(wells))
    )
    ranked = table[is_labelled].sort_values(["draw", "row"])
    kept = ranked.groupby(["cell_type", "background", "label"], sort=False)
    chosen = np.zeros(len(wells), np.bool_)
    chosen[kept.head(max_wells_per_class)["row"].to_numpy()] = True
    return chosen


def _condition_labels(
    conditions: pd.DataFrame, task: Task
) -> tuple[dict[int, str], dict[str, int]]:
    column = {"groups": "gene", "annotation": task.annotation}.get(task.labels, task.labels)
    if column not in conditions.columns:
        there = ", ".join(conditions.columns)
        raise DataError(
            f'task {task.name}: the conditions have no column "{column}".\n'
            f"  Expected one of {there}.\n"
            "  To fix: name another `annotation`, or map it under `columns.annotations` of the "
            "screen."
        )
    values = conditions[column]
    is_known = values.notna() & (values.astype(str) != "")
    ids = conditions.loc[is_known, "condition_id"].tolist()
    labels = dict(zip(ids, values[is_known].astype(str), strict=True))
    if task.labels != "groups":
        return labels, {}
    of_gene = read_groups(task.groups or "anax")
    known = {**of_gene, **{new: of_gene[old] for old, new in ALIASES.items() if old in of_gene}}
    grouped = {i: known[gene] for i, gene in labels.items() if gene in known}
    canonical = {new: old for old, new in ALIASES.items() if old in of_gene}
    found = {canonical.get(gene, gene) for gene in labels.values() if gene in known}
    coverage = {
        "genes": len(found),
        "num_genes": len(of_gene),
        "groups": len(set(grouped.values())),
        "num_groups": len(set(of_gene.values())),
    }
    return grouped, coverage
