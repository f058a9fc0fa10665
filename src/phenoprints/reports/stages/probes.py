"""The page of probes: which block of an encoder knows most biology."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.reports import numbers, rules
from phenoprints.reports.figures import heat_map, line_chart
from phenoprints.reports.frames import has_values, records
from phenoprints.reports.page_model import Box, Fact, Figure, Page, Section
from phenoprints.reports.runs import Run
from phenoprints.reports.stage_status import look_for
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, NOT_RUN, PASS, Verdict

NAME, TITLE = "probes", "Probes"
QUESTION = "Which block of each encoder knows most biology?"
MAX_CLASSES = 40
"""Classes of a confusion matrix that is drawn."""

CONTEXT = ["screen", "cell_type", "background"]
BEST = [
    "encoder", *CONTEXT, "block", "accuracy", "last_block", "last_accuracy", "num_classes",
]  # fmt: skip


def page(run: Run) -> Page:
    """Return the page, from the accuracies of every task and encoder."""
    wanted = [
        {"task": task, "encoder": encoder}
        for task in run.config["evaluation"]["probes"]
        for encoder in run.plan.probed_encoders
    ]
    found = look_for(run, "probe_accuracies", wanted, "probe table")
    verdicts = [found.verdict(rules.PROBES_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    facts: list[Fact] = []
    sentences = []
    for task in sorted({names["task"] for names in found.there}):
        accuracies = task_accuracies(run, task, found.there)
        if accuracies.empty:
            sections.append(_empty(task))
            continue
        best = best_blocks(accuracies, _choose(run))
        sentences.append(best_of(task, best))
        facts += _facts(task, best)
        verdicts += _verdicts(task, best)
        sections.append(_section(run, task, accuracies, best))
    sections += _chosen_section(run)
    answer = " ".join(sentences) or "No probe has run."
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def best_of(task: str, best: pd.DataFrame) -> str:
    """Which encoder and block know most of a task, on test experiments, as a sentence."""
    known = best.dropna(subset=["accuracy"])
    if known.empty:
        return f"{task}: no block could be measured."
    row = records(known.sort_values("accuracy", ascending=False, kind="stable").head(1))[0]
    return (
        f"{task}: {row['encoder']} knows most, at block {row['block']} of {row['last_block']} "
        f"(balanced accuracy {numbers.number(row['accuracy'])}, chance "
        f"{numbers.number(1 / row['num_classes'])})."
    )


def best_sentences(run: Run) -> Iterator[str]:
    """Yield the sentence of `best_of` for every task that was probed."""
    for task in sorted(run.config["evaluation"]["probes"]):
        there = [
            {"task": task, "encoder": encoder}
            for encoder in run.plan.probed_encoders
            if run.has("probe_accuracies", task=task, encoder=encoder)
        ]
        accuracies = task_accuracies(run, task, there)
        if len(accuracies):
            yield best_of(task, best_blocks(accuracies, _choose(run)))


def task_accuracies(run: Run, task: str, there: Any) -> pd.DataFrame:
    """All encoders' accuracies of one task, one row per run and block."""
    tables = [
        table
        for names in there
        if names["task"] == task and (table := run.table("probe_accuracies", **names)) is not None
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=BEST)


def best_blocks(accuracies: pd.DataFrame, choose: str = "validation") -> pd.DataFrame:
    """Per encoder and run the chosen block with its accuracy on test experiments (BEST).

    The block is chosen as the stage of probes chooses: by validation accuracy, ties to the earlier
    block, unless the configuration says otherwise.
    """
    from phenoprints.probes.choosing import selection_scores

    rows = []
    for (encoder, *context), part in accuracies.groupby(["encoder", *CONTEXT], sort=True):
        part = part.sort_values("block")
        scores = selection_scores(part, choose)  # type: ignore[arg-type]
        if np.isnan(scores).all():
            continue
        best, last = part.iloc[int(np.nanargmax(scores))], part.iloc[-1]
        rows.append(
            [
                encoder, *context, int(best["block"]), float(best["balanced_accuracy"]),
                int(last["block"]), float(last["balanced_accuracy"]), int(best["num_classes"]),
            ]
        )  # fmt: skip
    return pd.DataFrame(rows, columns=BEST)


def _choose(run: Run) -> str:
    return str((run.config.get("probes") or {}).get("block_selection", "validation"))


def _empty(task: str) -> Section:
    text = "The accuracies of this task hold no row: no class had wells enough to be probed."
    return Section(f"{task}-section", f"Task {task}", [Box("No accuracy", text)])


def _context(row: dict[str, Any]) -> list[str]:
    return [str(row[name]) for name in CONTEXT if row[name]]


def _facts(task: str, best: pd.DataFrame) -> list[Fact]:
    facts = []
    for row in records(best):
        path = ("probes", task, row["encoder"], *_context(row))
        who = f"{row['encoder']} ({task}, {' '.join(_context(row))})"
        note = f"of {row['last_block']}; balanced accuracy {numbers.number(row['accuracy'])}"
        facts += [
            Fact((*path, "best_block"), f"Best block of {who}", row["block"], "", note, True),
            Fact((*path, "balanced_accuracy"), f"Balanced accuracy there, {who}", row["accuracy"]),
            Fact((*path, "last_block"), f"Last block of {who}", row["last_block"]),
            Fact(
                (*path, "last_block_accuracy"),
                f"Balanced accuracy of the last block, {who}",
                row["last_accuracy"],
            ),
            Fact((*path, "chance"), f"Chance, {who}", 1 / row["num_classes"]),
        ]
    return facts


def _verdicts(task: str, best: pd.DataFrame) -> list[Verdict]:
    place: dict[str, Any] = {"page": NAME, "anchor": f"{task}-blocks"}
    verdicts = []
    for row in records(best):
        scope = f"{task}, {row['encoder']}, {' '.join(_context(row))}"
        accuracy, classes = row["accuracy"], row["num_classes"]
        if classes < 2 or np.isnan(accuracy):
            text = "fewer than two classes, or no test wells"
            verdicts.append(Verdict(rules.ABOVE_CHANCE, NOT_RUN, scope, text, **place))
            continue
        status = PASS if accuracy > 1 / classes else CHECK
        text = f"block {row['block']} reaches {numbers.number(accuracy)} in {classes} classes"
        value, chance = numbers.number(accuracy), numbers.number(1 / classes)
        verdicts.append(Verdict(rules.ABOVE_CHANCE, status, scope, text, value, chance, **place))
    return verdicts


def _section(run: Run, task: str, accuracies: pd.DataFrame, best: pd.DataFrame) -> Section:
    parts: list[Any] = [
        _blocks_figure(task, accuracies, best),
        *_confusions(run, task, best),
        Table(f"{task}-best", f"Best blocks for {task}", _best_columns(best), best),
        Table(f"{task}-accuracies", f"All accuracies of {task}", _columns(accuracies), accuracies),
    ]
    return Section(f"{task}-section", f"Task {task}", parts)


def _blocks_figure(task: str, accuracies: pd.DataFrame, best: pd.DataFrame) -> Figure:
    """Accuracy over the depth of an encoder, as in Figure 3 of the paper."""
    runs = accuracies.groupby(["encoder", *CONTEXT], sort=True)
    depth = np.maximum(runs["block"].transform("max"), 1)
    several = accuracies[CONTEXT].drop_duplicates().shape[0] > 1
    names = accuracies["encoder"]
    if several:
        words = accuracies[["encoder", *CONTEXT]].astype(str).agg(" ".join, axis=1)
        names = words.str.split().str.join(" ")
    frame = pd.DataFrame(
        {"x": accuracies["block"] / depth, "y": accuracies["balanced_accuracy"], "group": names}
    ).dropna()
    inner = int((best["block"] < best["last_block"]).sum())
    title = f"{task}: in {inner} of {numbers.plural(len(best), 'run')} an inner block is chosen"
    chance = "; ".join(f"1/{n}" for n in sorted(best["num_classes"].unique()))
    return Figure(
        f"{task}-blocks",
        title,
        "Balanced accuracy of a linear probe on test experiments, by depth of the block (1 is the "
        f"last). Blocks are chosen on validation experiments. Chance is {chance}. Good looks like "
        "a rise well above chance.",
        line_chart(
            frame,
            title=title,
            x_title="depth of the block",
            y_title="balanced accuracy",
            has_points=True,
        ),
    )


def _confusions(run: Run, task: str, best: pd.DataFrame) -> list[Figure]:
    figures = []
    for at, row in enumerate(records(best), start=1):
        table = run.table("probe_confusions", task=task, encoder=row["encoder"])
        if table is None:
            continue
        same = (table[CONTEXT] == pd.Series({name: row[name] for name in CONTEXT})).all(axis=1)
        part = table[same & (table["block"] == row["block"])]
        classes = part["label"].nunique()
        if part.empty or classes > MAX_CLASSES:
            continue
        shares = part.pivot_table("num_wells", "label", "predicted", "sum", fill_value=0)
        shares = shares.div(shares.sum(axis=1), axis=0)
        cells = shares.rename_axis(index="row", columns="column").stack().rename("value")
        cells = cells.reset_index()
        title = f"{row['encoder']}, block {row['block']}: what is taken for what"
        figures.append(
            Figure(
                f"{task}-confusion-{at}",
                title,
                f"{int(part['num_wells'].sum())} test wells; each row is a true class and sums to "
                "1. Good looks like a diagonal.",
                heat_map(
                    cells.round(3),
                    title=title,
                    value_title="share",
                    limits=(0, 1),
                    palette="viridis",
                    step=int(np.clip(240 // classes, 16, 48)),
                ),
            )
        )
    return figures


def _best_columns(best: pd.DataFrame) -> list[Column]:
    columns = [
        Column("encoder", "Encoder"),
        Column("screen", "Screen"),
        Column("cell_type", "Cell type"),
        Column("background", "Background"),
        Column("block", "Best block", "count"),
        Column("accuracy", "Balanced accuracy", "number"),
        Column("last_block", "Last block", "count"),
        Column("last_accuracy", "Balanced accuracy there", "number"),
        Column("num_classes", "Classes", "count"),
    ]
    return [column for column in columns if has_values(best[column.name])]


def _columns(accuracies: pd.DataFrame) -> list[Column]:
    return [
        Column(str(name), str(name).replace("_", " ").capitalize(), _kind(accuracies[name]))
        for name in accuracies.columns
        if has_values(accuracies[name])
    ]


def _kind(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column):
        return "text"
    return "number" if pd.api.types.is_numeric_dtype(column) else "text"


def _chosen_section(run: Run) -> list[Section]:
    """After which block each trimmed encoder ends, and what that saves."""
    rows = []
    for encoder in run.plan.probed_encoders:
        document = run.document("probe_chosen", encoder=encoder)
        if document is not None:
            savings = document.get("savings") or {}
            plain = {k: v for k, v in savings.items() if isinstance(v, (int, float))}
            rows.append({"encoder": encoder, "block": document.get("block"), **plain})
    if not rows:
        return []
    frame = pd.DataFrame(rows)
    columns = [Column("encoder", "Encoder"), Column("block", "Ends after block", "count")]
    columns += [
        Column(str(name), str(name).replace("_", " ").capitalize(), "number")
        for name in frame.columns[2:]
    ]
    table = Table("chosen", "Where trimmed encoders end, over all deciding tasks", columns, frame)
    return [Section("chosen-section", "Trimmed encoders", [table])]
