"""Across encoders: does training pay (Figure 9 of the paper)."""

from __future__ import annotations

from phenoprints.reports.contents import Section, Text
from phenoprints.reports.runs import Run
from phenoprints.reports.tables import Column, Table


def scaling_sections(run: Run) -> list[Section]:
    """Benchmarks against the operations of training; none where no encoder here was trained."""
    table = run.table("by_training")
    if table is None or table["is_published"].all():
        return []
    shown = table.assign(
        published=table["is_published"].map({True: "published", False: ""}),
        metric=table["metric"].str.replace("_", " "),
    )
    text = (
        "Each encoder with the floating-point operations of its training, and the slope of a line "
        "through all encoders of a measure per decade of operations. The paper found that every "
        "benchmark rises so. Its encoders are marked as published; their operations are reckoned "
        "here from its numbers of crops."
    )
    columns = [
        Column("screen", "Screen"),
        Column("benchmark", "Benchmark"),
        Column("source", "Source"),
        Column("context", "Context"),
        Column("metric", "Metric"),
        Column("encoder", "Encoder"),
        Column("training_flops", "Training FLOPs", "number"),
        Column("value", "Value", "number"),
        Column("slope", "Slope per decade", "number"),
        Column("r_squared", "R²", "number"),
        Column("num_encoders", "Encoders", "count"),
        Column("published", "Published"),
    ]
    caption = "Benchmarks against the cost of training"
    return [
        Section(
            "training-pays",
            "Does training pay?",
            [Text(text), Table("by-training", caption, columns, shown)],
        )
    ]
