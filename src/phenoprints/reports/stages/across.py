"""Across encoders: do probes foretell benchmarks, and does training pay (Figures 4 and 9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.reports import numbers
from phenoprints.reports.figures import named_points
from phenoprints.reports.frames import has_values, records
from phenoprints.reports.page_model import Box, Figure, Section, Text
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.paper import is_spread
from phenoprints.reports.tables import Column, Table

MEASURE = ["screen", "benchmark", "source", "context", "metric"]
MIN_ENCODERS = 3
MAIN = {
    "probe": "balanced_accuracy",
    "relationships": "recall_0.05_0.95", "replicates": "ks", "compound-gene": "average_precision",
    "magnitude": "unbiased", "mechanism": "accuracy_not_same_perturbation",
    "activity": "mean_average_precision",
}  # fmt: skip
"""The metric of each benchmark that is drawn; the tables have all."""

ONE_SOURCE = {"compound-gene": "max"}
"""Benchmarks of many sources, of which one is drawn."""

MAX_FIGURES = 8
"""Figures of each kind, as many as Figure 9 of the paper has panels."""

OURS, PUBLISHED = "this run", "published"


def across_sections(run: Run) -> list[Section]:
    """Return the sections that compare encoders; empty without comparison tables."""
    return [*_foretelling(run), *_paying(run)]


def _foretelling(run: Run) -> list[Section]:
    """Return the rank correlation of probes with benchmarks; nothing where nothing was probed."""
    table = run.table("by_probes")
    if table is None or table["is_published"].all():
        return []
    title = "Do probes foretell benchmarks?"
    table = table[~is_spread(table)]
    ours = table[~table["is_published"]]
    if ours["spearman"].isna().all():
        return [_too_few("across-encoders", title)]
    text = (
        "Spearman's rank correlation over encoders: linear probes are cheap, and the paper found "
        "that they rank encoders as whole-genome benchmarks do (its correlations are marked "
        "published). Few encoders give wild correlations."
    )
    lines = table.drop_duplicates(["is_published", "task", *MEASURE])
    lines = lines[lines["spearman"].notna()]
    columns = [
        Column("task", "Probe"),
        *_measure_columns(),
        Column("spearman", "Spearman", "number"),
        Column("num_encoders", "Encoders", "count"),
        Column("from", "From"),
    ]
    shown = _table("across", "Probes and benchmarks over encoders", columns, lines)
    rows = _drawn(ours.drop_duplicates(["task", *MEASURE]))
    parts = [Text(text), *probe_figures(ours, rows), shown]
    return [Section("across-encoders", title, parts)]


def probe_figures(ours: pd.DataFrame, rows: list[dict[str, Any]]) -> Iterator[Figure]:
    """Figure 4: the measures of `rows` over the probe's accuracy, a point per encoder."""
    keys = ["task", *MEASURE]
    for at, row in enumerate(rows, start=1):
        points = ours[_same(ours, row, keys)]
        title = f"{_what(row)} follows {row['task']} with a rank correlation of "
        title += numbers.number(row["spearman"])
        frame = points.rename(columns={"balanced_accuracy": "x", "value": "y", "encoder": "name"})
        yield Figure(
            f"figure-4-{at}",
            title,
            f"A point per encoder ({len(points)}), as Figure 4 of the paper.",
            named_points(
                frame[["x", "y", "name"]],
                title=title,
                x_title=f"balanced accuracy of probe {row['task']}",
                y_title=_what(row),
            ),
        )


def _paying(run: Run) -> list[Section]:
    """Benchmarks against the operations of training; nothing where no encoder was trained."""
    table = run.table("by_training")
    if table is None or table["is_published"].all():
        return []
    table = table[~is_spread(table)]
    flops = [f"{value:.2e}" for value in table["training_flops"]]
    table = table.assign(written_flops=flops)
    text = (
        "Each encoder with the floating-point operations of its training, and the slope of a line "
        "through all encoders of a measure per decade of operations, as Figure 9 of the paper, "
        "which found that every benchmark rises so. Its encoders are marked published; their "
        "operations are reckoned here from its numbers of crops."
    )
    columns = [
        *_measure_columns(),
        Column("encoder", "Encoder"),
        Column("written_flops", "Training FLOPs"),
        Column("value", "Value", "number"),
        Column("slope", "Slope per decade", "number"),
        Column("r_squared", "R²", "number"),
        Column("num_encoders", "Encoders", "count"),
        Column("from", "From"),
    ]
    shown = _table("by-training", "Benchmarks against the cost of training", columns, table)
    rows = _drawn(table[~table["is_published"]].drop_duplicates(MEASURE))
    parts = [Text(text), *training_figures(table, rows), shown]
    return [Section("training-pays", "Does training pay?", parts)]


def training_figures(table: pd.DataFrame, rows: list[dict[str, Any]]) -> Iterator[Figure]:
    """Figure 9: the measures of `rows` over the operations of training, published ones marked."""
    ours = table[~table["is_published"]]
    for at, row in enumerate(rows, start=1):
        theirs = table["is_published"] & _same(table, row, ["benchmark", "source", "metric"])
        points = pd.concat([ours[_same(ours, row, MEASURE)], table[theirs]])
        if len(points) < MIN_ENCODERS:
            continue
        frame = pd.DataFrame(
            {
                "x": np.log10(points["training_flops"].to_numpy(float)),
                "y": points["value"].to_numpy(float),
                "name": points["encoder"].to_numpy(),
                "group": np.where(points["is_published"], PUBLISHED, OURS),
            }
        )
        has_line = not numbers.is_missing(row["slope"])
        told = f"{numbers.number(row['slope'])} per tenfold training" if has_line else "too few "
        title = f"{_what(row)}: {told if has_line else told + 'encoders for a line'}"
        yield Figure(
            f"figure-9-{at}",
            title,
            f"A point per trained encoder ({len(points)}). The dashed line is that of our own; few "
            "encoders give wild lines.",
            named_points(
                frame,
                title=title,
                x_title="log10 of the training's floating-point operations",
                y_title=_what(row),
                line=(float(row["intercept"]), float(row["slope"])) if has_line else None,
            ),
        )


def _measure_columns() -> list[Column]:
    return [Column(key, key.capitalize()) for key in MEASURE]


def _table(anchor: str, caption: str, columns: list[Column], frame: pd.DataFrame) -> Table:
    shown = frame.assign(
        metric=frame["metric"].str.replace("_", " "),
        **{"from": np.where(frame["is_published"], PUBLISHED, OURS)},
    )
    told = [column for column in columns if has_values(shown[column.name])]
    return Table(anchor, caption, told, shown.reset_index(drop=True))


def _too_few(anchor: str, title: str) -> Section:
    text = f"It takes {MIN_ENCODERS} encoders that differ to compare them; this run has fewer."
    return Section(anchor, title, [Box("Too few encoders", text, anchor=f"{anchor}-too-few")])


def _drawn(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of the main measures, in the order of MAIN."""
    one = table["benchmark"].map(ONE_SOURCE)
    main = table[
        (table["metric"] == table["benchmark"].map(MAIN)) & (one.isna() | (table["source"] == one))
    ]
    place = {benchmark: at for at, benchmark in enumerate(MAIN)}
    ordered = main.sort_values("benchmark", key=lambda names: names.map(place), kind="stable")
    return records(ordered.head(MAX_FIGURES))


def _same(table: pd.DataFrame, row: dict[str, Any], keys: list[str]) -> pd.Series:
    """Which rows of a table are of the same measure as a row."""
    same: pd.Series = (table[keys] == pd.Series({key: row[key] for key in keys})).all(axis=1)
    return same


def _what(row: dict[str, Any]) -> str:
    words = [row["benchmark"], row["source"], row["context"], row["metric"].replace("_", " ")]
    return " ".join(word for word in words if word)
