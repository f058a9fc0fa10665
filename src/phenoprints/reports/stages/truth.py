"""What curation recovers of the truth of a simulated screen: facts, verdicts and a figure."""

from __future__ import annotations

from typing import Any

import pandas as pd

from phenoprints.reports import numbers, rules
from phenoprints.reports.figures import interval_chart
from phenoprints.reports.frames import has_values, is_true
from phenoprints.reports.page_model import Fact, Figure
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.phenoprint_tables import nominal_rate, recovery, truth_table
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, FAIL, NOT_RUN, PASS, Verdict

NAME = "curation"
MIN_RECALL = 0.90
LABELS = {
    "recall": "Planted phenoprints found",
    "precision": "Phenoprints that were planted",
    "false_calls": "Conditions without effect that were called",
}


def truth_facts(run: Run, manifest: str) -> list[Fact]:
    """Recall, precision and false calls with their Wilson intervals; nothing without a truth."""
    truth = truth_table(run, manifest)
    if truth is None:
        return []
    path = ("curation", manifest, "truth")
    return [
        fact
        for key, share in recovery(truth).items()
        for fact in share.facts(
            (*path, key), f"{LABELS[key]}, {manifest}", keys=("value", "hits", "of")
        )
    ]


def truth_verdicts(run: Run, manifest: str) -> list[Verdict]:
    """Whether enough is found, and no more is called than the rule allows."""
    truth = truth_table(run, manifest)
    if truth is None:
        return []
    found = recovery(truth)
    recall, false = found["recall"], found["false_calls"]
    place: dict[str, Any] = {"page": NAME, "anchor": f"{manifest}-truth"}
    nominal = nominal_rate(run, manifest)
    enough = PASS if recall.total and recall.value >= MIN_RECALL else FAIL
    return [
        Verdict(
            rules.TRUTH_RECALL,
            enough if recall.total else NOT_RUN,
            manifest,
            f"{recall.count} of {recall.total} planted phenoprints found",
            recall.shown,
            numbers.percent(MIN_RECALL, 0),
            recall.total - recall.count,
            **place,
        ),
        Verdict(
            rules.TRUTH_FALSE,
            NOT_RUN if not false.total else PASS if false.low <= nominal else CHECK,
            manifest,
            f"{false.count} of {false.total} conditions without effect called ({false.range})",
            false.shown,
            numbers.percent(nominal),
            false.count,
            **place,
        ),
    ]


def truth_parts(run: Run, manifest: str) -> list[Figure | Table]:
    """Return the recovery as a figure, and the conditions on which verdict and truth differ."""
    truth = truth_table(run, manifest)
    return [] if truth is None else [_figure(manifest, truth), _differences(manifest, truth)]


def _figure(manifest: str, truth: pd.DataFrame) -> Figure:
    found = recovery(truth)
    frame = pd.DataFrame(
        [
            {
                "name": name.replace("_", " "),
                "value": share.value,
                "low": share.low,
                "high": share.high,
                "hits": share.count,
                "of": share.total,
            }
            for name, share in found.items()
        ]
    )
    columns = [
        Column("name", "Measure"),
        Column("hits", "Count", "count"),
        Column("of", "Of", "count"),
        Column("value", "Share", "percent"),
        Column("low", "Low", "percent"),
        Column("high", "High", "percent"),
    ]
    recall = found["recall"]
    return Figure(
        f"{manifest}-truth",
        f"{recall.count} of {recall.total} planted phenoprints are found",
        "Against the truth of the simulated screen, with 95 % Wilson intervals; effects that "
        "exist in one experiment only count in neither. Good looks like recall at 0.9 or more "
        "and false calls at the nominal rate.",
        interval_chart(frame, title="Recovery of the truth", value_title="share"),
        Table(f"{manifest}-truth-numbers", "Recovery of the truth", columns, frame),
    )


def _differences(manifest: str, truth: pd.DataFrame) -> Table:
    called = is_true(truth["has_phenoprint"])
    wrong = ((truth["truth"] == "full") & ~called) | ((truth["truth"] == "none") & called)
    columns = [
        Column("perturbation", "Perturbation"),
        Column("concentration_um", "Concentration", "number", "µM"),
        Column("truth", "Truth"),
        Column("has_phenoprint", "Called"),
    ]
    shown = [column for column in columns if has_values(truth[column.name])]
    caption = "Conditions on which the verdict and the truth differ"
    return Table(f"{manifest}-wrong", caption, shown, truth[wrong])
