"""The page of probes: which block of an encoder knows most biology."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from phenoprints.reports import numbers, rules
from phenoprints.reports.completeness import look_for
from phenoprints.reports.contents import Fact, Figure, Page, Section
from phenoprints.reports.figures import line_chart
from phenoprints.reports.frames import records
from phenoprints.reports.runs import Run
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, NOT_RUN, PASS, Verdict

NAME, TITLE = "probes", "Probes"
QUESTION = "Which block of each encoder knows most biology?"


def page(run: Run) -> Page:
    """The page, from the accuracies of every task and encoder."""
    wanted = [
        {"task": task, "encoder": encoder}
        for task in run.config["evaluation"]["probes"]
        for encoder in run.plan.probed_encoders
    ]
    found = look_for(run, "probe_accuracies", wanted, "table of probe accuracies")
    verdicts = [found.verdict(rules.PROBES_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    facts: list[Fact] = []
    for task in sorted({names["task"] for names in found.there}):
        accuracies = task_accuracies(run, task, found.there)
        if accuracies.empty:
            continue
        facts += _facts(task, accuracies)
        verdicts += _verdicts(run, task, accuracies)
        sections.append(_section(run, task, accuracies))
    answer = "; ".join(f"{f.label}: {f.shown}" for f in facts if f.headline)[:400]
    return Page(
        NAME,
        TITLE,
        QUESTION,
        f"{answer}." if answer else "No probe has run.",
        sections,
        facts,
        verdicts,
    )


def task_accuracies(run: Run, task: str, there: Any) -> pd.DataFrame:
    """All encoders' accuracies of one task: encoder, block, split, balanced_accuracy and others."""
    tables = [
        table.assign(encoder=names["encoder"])
        for names in there
        if names["task"] == task and (table := run.table("probe_accuracies", **names)) is not None
    ]
    if not tables:
        return pd.DataFrame(columns=["encoder", "block", "balanced_accuracy"])
    return pd.concat(tables, ignore_index=True)


def best_blocks(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Per encoder the block with the highest accuracy on the deciding split; ties to the earlier.

    Where the table has splits, validation decides and test is reported.
    """
    rows = []
    for encoder, part in accuracies.groupby("encoder", sort=True):
        deciding, reported = _split(part, "validation"), _split(part, "test")
        means = deciding.groupby("block")["balanced_accuracy"].mean().dropna()
        if means.empty:
            continue
        block = int(means.index[int(means.to_numpy().argmax())])
        shown = reported[reported["block"] == block]["balanced_accuracy"].mean()
        last = int(part["block"].max())
        at_last = reported[reported["block"] == last]["balanced_accuracy"].mean()
        rows.append(
            {
                "encoder": encoder,
                "block": block,
                "accuracy": float(shown),
                "last_block": last,
                "last_accuracy": float(at_last),
            }
        )
    return pd.DataFrame(
        rows, columns=["encoder", "block", "accuracy", "last_block", "last_accuracy"]
    )


def _split(part: pd.DataFrame, name: str) -> pd.DataFrame:
    if "split" in part and (part["split"] == name).any():
        return part[part["split"] == name]
    return part


def _facts(task: str, accuracies: pd.DataFrame) -> list[Fact]:
    facts = []
    for row in records(best_blocks(accuracies)):
        path = ("probes", task, row["encoder"])
        facts += [
            Fact(
                (*path, "best_block"),
                f"Best block of {row['encoder']} for {task}",
                int(row["block"]),
                note=f"of {row['last_block']}",
                headline=True,
            ),
            Fact(
                (*path, "balanced_accuracy"),
                f"Balanced accuracy of {row['encoder']} there, {task}",
                row["accuracy"],
            ),
            Fact(
                (*path, "last_block_accuracy"),
                f"Balanced accuracy of the last block of {row['encoder']}, {task}",
                row["last_accuracy"],
            ),
        ]
    return facts


def num_classes(run: Run, task: str, accuracies: pd.DataFrame) -> int | None:
    """Classes of a task, from the accuracies or from the published split."""
    if "num_classes" in accuracies and accuracies["num_classes"].notna().any():
        return int(accuracies["num_classes"].max())
    split = run.table("probe_split", task=task)
    if split is not None and "label" in split:
        return int(split["label"].nunique())
    return None


def _verdicts(run: Run, task: str, accuracies: pd.DataFrame) -> list[Verdict]:
    classes = num_classes(run, task, accuracies)
    verdicts = []
    for row in records(best_blocks(accuracies)):
        place: dict[str, Any] = {"page": NAME, "anchor": f"{task}-blocks"}
        scope = f"{task}, {row['encoder']}"
        if classes is None:
            verdicts.append(
                Verdict(
                    rules.ABOVE_CHANCE,
                    NOT_RUN,
                    scope,
                    "the number of classes is not known",
                    **place,
                )
            )
            continue
        chance = 1 / classes
        text = (
            f"block {row['block']} reaches {numbers.number(row['accuracy'])} in {classes} classes"
        )
        status = PASS if row["accuracy"] > chance else CHECK
        verdicts.append(
            Verdict(
                rules.ABOVE_CHANCE,
                status,
                scope,
                text,
                numbers.number(row["accuracy"]),
                numbers.number(chance),
                **place,
            )
        )
    return verdicts


def _section(run: Run, task: str, accuracies: pd.DataFrame) -> Section:
    reported = pd.concat(
        [_split(part, "test") for _, part in accuracies.groupby("encoder", sort=True)]
    )
    means = (
        reported.groupby(["encoder", "block"], sort=True)["balanced_accuracy"].mean().reset_index()
    )
    depth = means.groupby("encoder")["block"].transform("max")
    frame = pd.DataFrame(
        {
            "x": means["block"] / np.maximum(depth, 1),
            "y": means["balanced_accuracy"],
            "group": means["encoder"],
        }
    )
    best = best_blocks(accuracies)
    inner = best[best["block"] < best["last_block"]]
    title = (
        f"{task}: in {len(inner)} of {numbers.plural(len(best), 'encoder')} an earlier block "
        "knows more than the last"
    )
    classes = num_classes(run, task, accuracies)
    chance = f" Chance is {numbers.number(1 / classes)} ({classes} classes)." if classes else ""
    columns = [
        Column("encoder", "Encoder"),
        Column("block", "Best block", "count"),
        Column("accuracy", "Balanced accuracy", "number"),
        Column("last_block", "Last block", "count"),
        Column("last_accuracy", "There", "number"),
    ]
    shown = [
        Column(
            str(name),
            str(name).replace("_", " ").capitalize(),
            "number" if pd.api.types.is_numeric_dtype(accuracies[name]) else "text",
        )
        for name in accuracies.columns
    ]
    return Section(
        f"{task}-section",
        f"Task {task}",
        [
            Figure(
                f"{task}-blocks",
                title,
                "Balanced accuracy of a linear probe on test experiments, by depth of the block "
                f"(1 is the last).{chance} Blocks are chosen on validation experiments.",
                line_chart(
                    frame,
                    title=title,
                    x_title="depth of the block",
                    y_title="balanced accuracy",
                    has_points=True,
                ),
            ),
            Table(f"{task}-best", f"Best blocks for {task}", columns, best),
            Table(f"{task}-accuracies", f"All accuracies of {task}", shown, accuracies),
        ],
    )
