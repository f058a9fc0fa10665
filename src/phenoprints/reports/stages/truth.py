"""What curation recovers of the truth of a simulated screen: facts, verdicts and a figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from phenoprints.reports import numbers, rules
from phenoprints.reports.contents import Fact, Figure
from phenoprints.reports.figures import interval_chart
from phenoprints.reports.frames import is_true
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.phenoprint_tables import nominal_rate, recovery, truth_table
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, FAIL, NOT_RUN, PASS, Verdict

NAME = "curation"
MIN_RECALL = 0.90


def truth_facts(run: Run, manifest: str) -> list[Fact]:
    """Recall, precision and false calls with their Wilson intervals; nothing without a truth."""
    truth = truth_table(run, manifest)
    if truth is None:
        return []
    labels = {
        "recall": "Planted phenoprints found",
        "precision": "Phenoprints that were planted",
        "false_calls": "Conditions without effect that were called",
    }
    facts = []
    for key, (hits, trials) in recovery(truth).items():
        low, high = numbers.wilson_interval(hits, trials)
        share = hits / trials if trials else np.nan
        note = f"{hits} of {trials}; 95 % {numbers.percent(low)} to {numbers.percent(high)}"
        path = ("curation", manifest, "truth", key)
        facts += [
            Fact(
                (*path, "value"),
                f"{labels[key]}, {manifest}",
                share,
                numbers.percent(share),
                note,
                headline=True,
            ),
            Fact((*path, "low"), f"{labels[key]}, lower bound, {manifest}", low),
            Fact((*path, "high"), f"{labels[key]}, upper bound, {manifest}", high),
            Fact((*path, "hits"), f"{labels[key]}, count, {manifest}", hits),
            Fact((*path, "of"), f"{labels[key]}, out of, {manifest}", trials),
        ]
    return facts


def truth_verdicts(run: Run, manifest: str) -> list[Verdict]:
    """Whether enough is found, and no more is called than the rule allows."""
    truth = truth_table(run, manifest)
    if truth is None:
        return []
    found = recovery(truth)
    (hits, full), (false, none) = found["recall"], found["false_calls"]
    place: dict[str, Any] = {"page": NAME, "anchor": f"{manifest}-truth"}
    recall = hits / full if full else np.nan
    nominal = nominal_rate(run, manifest)
    low, high = numbers.wilson_interval(false, none)
    return [
        Verdict(
            rules.TRUTH_RECALL,
            NOT_RUN if not full else PASS if recall >= MIN_RECALL else FAIL,
            manifest,
            f"{hits} of {full} planted phenoprints found",
            numbers.percent(recall),
            numbers.percent(MIN_RECALL, 0),
            full - hits,
            **place,
        ),
        Verdict(
            rules.TRUTH_FALSE,
            NOT_RUN if not none else PASS if low <= nominal else CHECK,
            manifest,
            f"{false} of {none} conditions without effect called (95 % {numbers.percent(low)} to "
            f"{numbers.percent(high)})",
            numbers.percent(false / none if none else np.nan),
            numbers.percent(nominal),
            false,
            **place,
        ),
    ]


def truth_parts(run: Run, manifest: str) -> list[Figure | Table]:
    """The recovery as a figure, and the conditions on which verdict and truth differ."""
    truth = truth_table(run, manifest)
    if truth is None:
        return []
    found = recovery(truth)
    rows = []
    for name, (hits, trials) in found.items():
        low, high = numbers.wilson_interval(hits, trials)
        rows.append(
            {
                "name": name.replace("_", " "),
                "value": hits / trials if trials else np.nan,
                "low": low,
                "high": high,
                "hits": hits,
                "of": trials,
            }
        )
    frame = pd.DataFrame(rows)
    recall = rows[0]
    wrong = truth[
        ((truth["truth"] == "full") & ~is_true(truth["has_phenoprint"]))
        | ((truth["truth"] == "none") & is_true(truth["has_phenoprint"]))
    ]
    columns = [
        Column("perturbation", "Perturbation"),
        Column("concentration_um", "Concentration", "number", "µM"),
        Column("truth", "Truth"),
        Column("has_phenoprint", "Called"),
    ]
    return [
        Figure(
            f"{manifest}-truth",
            f"{recall['hits']} of {recall['of']} planted phenoprints are found",
            "Against the truth of the simulated screen, with 95 % Wilson intervals; effects that "
            "exist in one experiment only count in neither. Good looks like recall at 0.9 or more "
            "and false calls at the nominal rate.",
            interval_chart(frame, title="Recovery of the truth", value_title="share"),
            Table(
                f"{manifest}-truth-numbers",
                "Recovery of the truth",
                [
                    Column("name", "Measure"),
                    Column("hits", "Count", "count"),
                    Column("of", "Of", "count"),
                    Column("value", "Share", "percent"),
                    Column("low", "Low", "percent"),
                    Column("high", "High", "percent"),
                ],
                frame,
            ),
        ),
        Table(
            f"{manifest}-wrong",
            "Conditions on which the verdict and the truth differ",
            columns,
            wrong,
        ),
    ]
