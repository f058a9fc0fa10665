"""Across encoders: do probes foretell benchmarks, and does training pay (Figures 4 and 9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.encoder_folders import training_flops
from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.provenance import artefact_path
from phenoprints.reports import numbers
from phenoprints.reports.completeness import look_for
from phenoprints.reports.contents import Box, Figure, Section, Text
from phenoprints.reports.figures import named_points
from phenoprints.reports.frames import records
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.probes import best_blocks, task_accuracies
from phenoprints.reports.tables import Column, Table

TRIMMED = ".trimmed"
KEYS = ["benchmark", "source", "metric"]
MIN_ENCODERS = 3
MAIN = {
    "relationships": "recall_0.05_0.95", "replicates": "ks", "compound-gene": "average_precision",
    "magnitude": "unbiased", "mechanism": "accuracy_not_same_perturbation",
    "activity": "mean_average_precision",
}  # fmt: skip
"""The metric of each benchmark that is drawn; the tables have all."""

ONE_SOURCE = {"compound-gene": "max"}
"""Benchmarks of many sources, of which one is drawn."""

MAX_FIGURES = 6


def across_sections(run: Run, benchmarks: pd.DataFrame) -> list[Section]:
    """What a comparison of at least three encoders says, or a box that says it takes three."""
    flops = _flops(run, sorted(set(benchmarks["encoder"]))) if len(benchmarks) else pd.Series()
    return [*_foretelling(run, benchmarks), *_paying(benchmarks, flops)]


def _foretelling(run: Run, benchmarks: pd.DataFrame) -> list[Section]:
    """The rank correlation of probes with benchmarks; nothing where nothing was probed."""
    from phenoprints.benchmarks.comparison import probes_and_benchmarks

    accuracies = probe_accuracies(run)
    if accuracies.empty or benchmarks.empty:
        return []
    table = probes_and_benchmarks(accuracies, benchmarks)
    table = table[table["spearman"].notna()].reset_index(drop=True)
    title = "Do probes foretell benchmarks?"
    if table.empty:
        return [_too_few("across-encoders", title)]
    text = (
        "Spearman's rank correlation over encoders, mean over screens: linear probes are cheap, "
        "and the paper found that they rank encoders as whole-genome benchmarks do (published: "
        "0.97 with StringDB recall, 0.91 with replicate consistency). Few encoders give wild "
        "correlations."
    )
    columns = [
        Column("task", "Probe"),
        *_key_columns(),
        Column("spearman", "Spearman", "number"),
        Column("num_encoders", "Encoders", "count"),
    ]
    shown = Table("across", "Probes and benchmarks over encoders", columns, table)
    figures = list(_probe_figures(accuracies, benchmarks, table))
    return [Section("across-encoders", title, [Text(text), *figures, shown])]


def _key_columns() -> list[Column]:
    return [Column(key, key.capitalize()) for key in KEYS]


def _too_few(anchor: str, title: str) -> Section:
    text = f"It takes {MIN_ENCODERS} encoders that differ to compare them; this run has fewer."
    return Section(anchor, title, [Box("Too few encoders", text, anchor=f"{anchor}-too-few")])


def _probe_figures(
    accuracies: pd.DataFrame, benchmarks: pd.DataFrame, table: pd.DataFrame
) -> Iterator[Figure]:
    """Figure 4: the main measures over the probe's accuracy, a point per encoder."""
    for at, row in enumerate(_drawn(table), start=1):
        own = accuracies[accuracies["task"] == row["task"]]
        x = own.groupby("encoder")["balanced_accuracy"].mean()
        both = _joined(x, _values(benchmarks, row))
        title = f"{_what(row)} follows {row['task']} with a rank correlation of "
        title += numbers.number(row["spearman"])
        yield Figure(
            f"figure-4-{at}",
            title,
            f"A point per encoder ({len(both)}), means over screens, as Figure 4 of the paper.",
            named_points(
                both,
                title=title,
                x_title=f"balanced accuracy of probe {row['task']}",
                y_title=_what(row),
            ),
        )


def _paying(benchmarks: pd.DataFrame, flops: pd.Series) -> list[Section]:
    """The line of each benchmark over the training's operations; nothing without a training."""
    from phenoprints.benchmarks.comparison import training_pays

    if benchmarks.empty or not (flops > 0).any():
        return []
    lines = training_pays(benchmarks, flops)
    lines = lines[lines["slope"].notna()].reset_index(drop=True)
    title = "Does training pay?"
    if lines.empty:
        return [_too_few("training-pays", title)]
    text = (
        "A straight line through each benchmark over log10 of the floating-point operations that "
        "the training of each encoder took (Figure 9 of the paper, which finds such lines over "
        "all of its benchmarks). Untrained networks, which took none, are left out."
    )
    columns = [
        *_key_columns(),
        Column("slope", "Gain per tenfold training", "number"),
        Column("r_squared", "R²", "number"),
        Column("num_encoders", "Encoders", "count"),
    ]
    table = Table("training-pays-table", "Benchmarks over training operations", columns, lines)
    figures = list(_flops_figures(benchmarks, np.log10(flops[flops > 0]), lines))
    return [Section("training-pays", title, [Text(text), *figures, table])]


def _flops_figures(
    benchmarks: pd.DataFrame, log_flops: pd.Series, lines: pd.DataFrame
) -> Iterator[Figure]:
    for at, row in enumerate(_drawn(lines), start=1):
        both = _joined(log_flops, _values(benchmarks, row))
        title = f"{_what(row)}: {numbers.number(row['slope'])} per tenfold training"
        yield Figure(
            f"figure-9-{at}",
            title,
            f"A point per trained encoder ({len(both)}), means over screens; R² "
            f"{numbers.number(row['r_squared'])}. Few encoders give wild lines.",
            named_points(
                both,
                title=title,
                x_title="log10 of the training's floating-point operations",
                y_title=_what(row),
                line=(float(row["intercept"]), float(row["slope"])),
            ),
        )


def _drawn(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of the main measures, in the order of MAIN."""
    one = table["benchmark"].map(ONE_SOURCE)
    main = table[
        (table["metric"] == table["benchmark"].map(MAIN)) & (one.isna() | (table["source"] == one))
    ]
    place = {benchmark: at for at, benchmark in enumerate(MAIN)}
    ordered = main.sort_values("benchmark", key=lambda names: names.map(place), kind="stable")
    return records(ordered.head(MAX_FIGURES))


def _values(benchmarks: pd.DataFrame, row: dict[str, Any]) -> pd.Series:
    same = (benchmarks[KEYS] == pd.Series({key: row[key] for key in KEYS})).all(axis=1)
    values: pd.Series = benchmarks[same].groupby("encoder")["value"].mean()
    return values


def _joined(x: pd.Series, y: pd.Series) -> pd.DataFrame:
    both = pd.concat([x.rename("x"), y.rename("y")], axis=1, join="inner").dropna()
    both.index = both.index.rename("name")
    return both.reset_index()


def _what(row: dict[str, Any]) -> str:
    words = [row["benchmark"], row["source"], row["metric"].replace("_", " ")]
    return " ".join(word for word in words if word)


def _flops(run: Run, encoders: list[str]) -> pd.Series:
    """Operations of the training of each encoder that has left a folder which says so."""
    told = {}
    for encoder in encoders:
        try:
            told[encoder] = training_flops(artefact_path(run.path("encoder", encoder=encoder)))
        except PhenoprintsError:  # precomputed or random: there is no network
            continue
    return pd.Series(told, dtype=float)


def probe_accuracies(run: Run) -> pd.DataFrame:
    """Columns task, encoder, balanced_accuracy: of the last block, and of the chosen one trimmed.

    The mean over screens, cell types and backgrounds of a task.
    """
    wanted = [
        {"task": task, "encoder": encoder}
        for task in run.config["evaluation"]["probes"]
        for encoder in run.plan.probed_encoders
    ]
    there = look_for(run, "probe_accuracies", wanted, "probe table").there
    rows = []
    for task in sorted({names["task"] for names in there}):
        accuracies = task_accuracies(run, task, there)
        if accuracies.empty:
            continue
        best = best_blocks(accuracies, str(run.config["probes"]["choose"]))
        means = best.groupby("encoder")[["last_accuracy", "accuracy"]].mean()
        for encoder, own in means.iterrows():
            rows.append((task, str(encoder), own["last_accuracy"]))
            rows.append((task, f"{encoder}{TRIMMED}", own["accuracy"]))
    return pd.DataFrame(rows, columns=["task", "encoder", "balanced_accuracy"])
