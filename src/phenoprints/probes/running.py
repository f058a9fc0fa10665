"""A probe task over whole screens: its split, its probes of an encoder, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import CorruptionError, DataError
from phenoprints.probes.choosing import Choose, choose_block
from phenoprints.probes.contracts import ACCURACIES, CONFUSIONS, SPLIT
from phenoprints.probes.probing import BlockProbe, ProbeSettings, confusion_table, fit_blocks
from phenoprints.probes.splits import SplitBy, split_wells
from phenoprints.probes.tasks import Task, label_wells, task_wells
from phenoprints.wells import describe_wells, usable_wells

SCREEN_RUN = ("screen", "cell_type", "background")


class BlockReader(Protocol):
    """What gives the features of every block: a reader of `phenoprints.embeddings`."""

    experiments: list[str]

    def read(self, experiment: str) -> NDArray[np.float32]:
        """Return the features (n, B, D) of an experiment's wells."""

    def well_ids(self, experiment: str) -> NDArray[np.uint64]:
        """Return the ids of these wells."""


@dataclass
class TaskSplit:
    """The split of a task (a table of the contract), with coverage and refusals for provenance."""

    table: pd.DataFrame
    coverage: dict[str, dict[str, int]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def split_task(
    task: Task,
    screens: Mapping[str, tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]],
    *,
    split: SplitBy = "experiments",
    block_selection: Choose = "validation",
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
    max_wells_per_class: int | None = None,
    seed: int = 0,
) -> TaskSplit:
    """Which wells of which screens a task trains on, chooses the block with, and is tested on.

    Parameters
    ----------
    task
        What is classified. Experiments are split within each cell type; a task across cell types
        then trains and tests on all of them as one run, whose cell type is empty.
    screens
        For each screen its wells, conditions and quality tables. Wells that fail quality control
        are left out.
    split, validation_fraction, test_fraction, seed
        See `split_wells`; with `block_selection` paper there is no validation split.
    max_wells_per_class
        See `task_wells`.

    Raises
    ------
    DataError
        The task is refused on every screen, cell type and background.
    """
    done = TaskSplit(pd.DataFrame())
    fractions = 0.0 if block_selection == "paper" else validation_fraction, test_fraction
    parts = []
    for name, (wells, conditions, quality) in screens.items():
        good = wells[usable_wells(wells, quality)].reset_index(drop=True)
        genes = describe_wells(good, conditions, ["gene"])["gene"].to_numpy()
        labels = label_wells(good, conditions, task)
        done.coverage[name] = labels.coverage
        used = task_wells(good, labels, max_wells_per_class, seed=seed)
        table = good.assign(screen=name, label=labels.values, gene=genes)[used]
        parts += [
            _split_run(run, names, done, seed=seed, fractions=fractions, by=split)
            for names, run in table.groupby(list(SCREEN_RUN), sort=True)
        ]
    parts = [part for part in parts if len(part)]
    if not parts:
        reasons = "\n".join(f"{run}: {reason}" for run, reason in done.refused.items())
        listed = reasons or "no well of its screens has a label"
        raise DataError(f"task {task.name} cannot run.\n{listed}")
    table = pd.concat(parts)
    if task.across_cell_types:
        table = table.assign(cell_type="")
    done.table = SPLIT.conform(table).to_pandas()
    return done


def _split_run(
    run: pd.DataFrame,
    names: Sequence[Any],
    done: TaskSplit,
    *,
    seed: int,
    fractions: tuple[float, float],
    by: SplitBy,
) -> pd.DataFrame:
    """Return wells of one screen, cell type and background with their split; none when refused."""
    try:
        splits = split_wells(
            run["label"].to_numpy(), run["experiment"].to_numpy(),
            genes=run["gene"].to_numpy() if by == "genes" else None,
            validation_fraction=fractions[0], test_fraction=fractions[1],
            rare="leave-out", seed=seed,
        )  # fmt: skip
    except DataError as error:
        done.refused["/".join(map(str, names))] = str(error)
        return run.iloc[:0]
    return run.assign(split=splits)[list(SPLIT.schema.names)]


def probe_task(
    split: pd.DataFrame,
    open_blocks: Callable[[str], BlockReader],
    *,
    encoder: str,
    task: str,
    settings: ProbeSettings,
    num_threads: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Probe every block of an encoder: accuracies, and confusions of the last and best block.

    A run is apart for each screen, cell type and background of the split. `open_blocks` gives
    the reader of a screen's blocks. Confusions are of the test split.
    """
    accuracies: list[pd.DataFrame] = []
    confusions: list[pd.DataFrame] = []
    for names, run in split[split["split"] != ""].groupby(list(SCREEN_RUN), sort=True):
        texts = map(str, names)
        key = {"encoder": encoder, "task": task, **dict(zip(SCREEN_RUN, texts, strict=True))}
        ordered = run.sort_values("well_id")
        probes = fit_blocks(
            _features(open_blocks(key["screen"]), ordered), ordered["label"].to_numpy(),
            ordered["experiment"].to_numpy(), splits=ordered["split"].to_numpy(),
            settings=settings, num_threads=num_threads,
        )  # fmt: skip
        table = pd.DataFrame([probe.scores for probe in probes]).assign(**key)
        accuracies.append(table)
        confusions += _confusions(table, probes, key)
    return (
        ACCURACIES.conform(pd.concat(accuracies)).to_pandas(),
        CONFUSIONS.conform(pd.concat(confusions)).to_pandas(),
    )


def _features(reader: BlockReader, wells: pd.DataFrame) -> NDArray[np.float32]:
    """Return the features (n, B, D) of the wells, in their order."""
    rows: list[NDArray[np.float32]] = []
    order: list[NDArray[np.int64]] = []
    ids = pd.Index(wells["well_id"].to_numpy(np.uint64))
    there = set(reader.experiments)
    for experiment in wells["experiment"].unique():
        if experiment not in there:
            continue
        place = ids.get_indexer(pd.Index(reader.well_ids(experiment)))
        order.append(place[place >= 0])
        rows.append(reader.read(experiment)[place >= 0])
    found = np.concatenate(order) if order else np.empty(0, np.int64)
    if len(found) != len(wells):
        raise CorruptionError(
            f"{len(wells) - len(found)} of {len(wells)} wells of the split have no block features. "
            "To fix: delete the provenance of the blocks and run again."
        )
    features = np.concatenate(rows)
    return features[np.argsort(found)]


def _confusions(
    table: pd.DataFrame, probes: Sequence[BlockProbe], key: Mapping[str, str]
) -> Iterable[pd.DataFrame]:
    column = "validation_accuracy" if table["num_validation"].all() else "balanced_accuracy"
    best = int(np.nanargmax(table[column].to_numpy()))
    for index in sorted({best, len(probes) - 1}):
        confusion = confusion_table(*probes[index].predictions["test"])
        yield confusion.assign(block=index + 1, **key)


def chosen_blocks(
    accuracies: pd.DataFrame,
    *,
    block_selection: Choose = "validation",
    trim_tasks: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the block where an encoder is cut, by its accuracies in `trim_tasks` (or all tasks).

    Raises DataError when none of `trim_tasks` has run.
    """
    deciding = accuracies[accuracies["task"].isin(list(trim_tasks))] if trim_tasks else accuracies
    if not len(deciding):
        raise DataError(
            f"trim_tasks: none of {', '.join(trim_tasks)} has run.\n"
            "  To fix: name them in evaluation.probes."
        )
    chosen = choose_block(deciding, block_selection)
    return {
        **chosen,
        "block_selection": block_selection,
        "trim_tasks": sorted(deciding["task"].unique()),
    }
