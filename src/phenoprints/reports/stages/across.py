"""Across encoders: do probes foretell benchmarks (Figure 4 of the paper)."""

from __future__ import annotations

import pandas as pd

from phenoprints.reports.completeness import look_for
from phenoprints.reports.contents import Section, Text
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.probes import best_blocks, task_accuracies
from phenoprints.reports.tables import Column, Table

TRIMMED = ".trimmed"


def across_sections(run: Run, benchmarks: pd.DataFrame) -> list[Section]:
    """The rank correlation of probes with benchmarks; nothing below three encoders with both."""
    from phenoprints.benchmarks.comparison import probes_and_benchmarks

    accuracies = probe_accuracies(run)
    if accuracies.empty or benchmarks.empty:
        return []
    table = probes_and_benchmarks(accuracies, benchmarks)
    table = table[table["spearman"].notna()].reset_index(drop=True)
    if table.empty:
        return []
    text = (
        "Spearman's rank correlation over encoders, mean over screens: linear probes are cheap, "
        "and the paper found that they rank encoders as whole-genome benchmarks do (0.97 with "
        "StringDB recall, 0.91 with replicate consistency). Few encoders give wild correlations."
    )
    columns = [
        Column("task", "Probe"),
        Column("benchmark", "Benchmark"),
        Column("source", "Source"),
        Column("metric", "Metric"),
        Column("spearman", "Spearman", "number"),
        Column("num_encoders", "Encoders", "count"),
    ]
    shown = Table("across", "Probes and benchmarks over encoders", columns, table)
    return [Section("across-encoders", "Do probes foretell benchmarks?", [Text(text), shown])]


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
