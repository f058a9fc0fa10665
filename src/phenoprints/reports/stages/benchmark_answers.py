"""What each benchmark's main measure means in words, and one table that answers first."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from phenoprints.reports import numbers
from phenoprints.reports.frames import records
from phenoprints.reports.page_model import Section
from phenoprints.reports.tables import Column, Table

PHRASES = {
    ("relationships", "recall"): "known relationships among the outermost pairs of the map",
    ("mechanism", "accuracy_not_same_perturbation"):
        "treatments whose nearest other compound shares their mechanism",
    ("replicates", "ks"): "how far cosines of replicates exceed those of different perturbations",
    ("compound-gene", "average_precision"): "how early a compound's known target genes rank",
    ("activity", "mean_average_precision"): "how early replicates find each other among controls",
    ("magnitude", "unbiased"): "distance of perturbed wells from control wells",
    ("magnitude", "energy_distance"): "distance of perturbed wells from control wells",
    ("clusters", "cosine_gap"): "cosine inside annotated groups less that between groups",
    ("enrichment", "fraction_enriched"): "perturbations whose neighbours share their annotation",
}  # fmt: skip
"""By benchmark and the beginning of the metric's name."""

SHARES = ("recall", "accuracy", "fraction")
"""Beginnings of metrics that are a share of n, and so have a Wilson interval."""


def phrase(row: dict[str, Any]) -> str:
    """Return what a value measures, as a phrase; benchmark and metric where there is none."""
    metric = str(row["metric"])
    for (benchmark, start), words in PHRASES.items():
        if row["benchmark"] == benchmark and metric.startswith(start):
            found = re.match(r"recall_0\.(\d+)_", metric)
            outer = f" (outer {numbers.number(100 * float(f'0.{found[1]}'))} %)" if found else ""
            return words + outer
    return f"{row['benchmark']}: {metric.replace('_', ' ')}"


def value_words(row: dict[str, Any]) -> str:
    """Return a value with its 95 % Wilson interval (shares) or its sd, and a mark if in-sample."""
    value, metric = numbers.number(row["value"]), str(row["metric"])
    text = value
    if not numbers.is_missing(row["sd"]):
        text = f"{value} ± {numbers.number(row['sd'])}"
    elif metric.startswith(SHARES) and not numbers.is_missing(row["n"]) and row["n"] > 0:
        total = int(row["n"])
        low, high = numbers.wilson_interval(round(float(row["value"]) * total), total)
        text = f"{value} ({numbers.number(low)} to {numbers.number(high)})"
    return text if str(row["seen"]) in ("", "none") else f"{text}, in-sample"


def answers(table: pd.DataFrame, main: pd.DataFrame, keys: list[str]) -> Section:
    """Return one table: a row per main measure, a column per encoder, and chance.

    `main` holds a row of each main measure, whose `keys` choose the rows of `table`.
    """
    encoders = list(dict.fromkeys(table.sort_values("is_baseline", kind="stable")["encoder"]))
    rows = []
    for chosen in records(main):
        same = (table[keys] == [chosen[key] for key in keys]).all(axis=1)
        values = {row["encoder"]: value_words(row) for row in records(table[same])}
        about = {"screen": chosen["screen"], "measure": phrase(chosen), "n": chosen["n"],
                 "chance": chosen["random"]}  # fmt: skip
        rows.append({**about, **{f"as {name}": values.get(name, "") for name in encoders}})
    columns = [Column("screen", "Screen"), Column("measure", "What is measured")]
    columns += [Column(f"as {name}", name) for name in encoders]
    columns += [Column("chance", "By chance", "number"), Column("n", "n", "count")]
    names = [column.name for column in columns]
    note = (
        "Shares with their 95 % Wilson interval, other values ± sd over perturbations or draws. "
        "In-sample: the encoder has seen the screen, so read the value as an upper bound."
    )
    frame = pd.DataFrame(rows, columns=names)
    return Section("answers", "The answer in one table", [
        Table("answer", "Main measure of each benchmark", columns, frame, note)])  # fmt: skip
