"""The page of the paper's tables: each published value, ours, or why it was not run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.benchmarks.published import WHOLE_GENOME, published_results
from phenoprints.configuration import base_encoder
from phenoprints.reports import numbers
from phenoprints.reports.figures import line_chart
from phenoprints.reports.frames import records
from phenoprints.reports.page_model import Box, Fact, Figure, Page, Section, Text
from phenoprints.reports.runs import Run
from phenoprints.reports.stage_status import look_for
from phenoprints.reports.stages.across import MEASURE, probe_figures, training_figures
from phenoprints.reports.stages.benchmarks import benchmark_table
from phenoprints.reports.stages.paper import LABELS, MATCHES, our_values
from phenoprints.reports.stages.probes import CONTEXT, task_accuracies
from phenoprints.reports.tables import Column, Table

NAME, TITLE = "paper", "The paper's tables"
QUESTION = "What did the paper publish, what does this run find, and what was not run?"
TRIMMED = ".trimmed"
FAMILIES = {"microscopy": True, "natural images": False}
"""The two columns of Figures 3 and 7, and whether their encoders learned from microscopy."""

FIGURE_4 = (("relationships", "stringdb", "recall_0.05_0.95"), ("replicates", "", "ks"))
TRAINED_KINDS = ("mae", "weakly-supervised", "dino", "openphenom")


def page(run: Run) -> Page:
    """Return the page; it exists where the configuration says what stands for the paper's rows."""
    cells = paper_cells(run, benchmark_table(run))
    num_run = int(cells["ours"].notna().sum())
    facts = [
        Fact((NAME, "cells"), "Published values", len(cells)),
        Fact((NAME, "cells_run"), "Of these with one of ours beside", num_run, headline=True),
    ]
    sections = [
        Section("tables", "Tables 1, 2, 3 and 6, and the probes", [*_tables(cells), _list(cells)],
                "Each cell is published | ours. Published values are on the paper's own screens "
                "and training sets: a scale to read ours by."),
        Section("figures-3-7", "Figures 3 and 7: probes by block", list(block_panels(run))),
        Section("figure-4", "Figure 4: probes and benchmarks", list(_figure_4(run))),
        Section("figure-9", "Figure 9: the cost of training", list(_figure_9(run))),
    ]  # fmt: skip
    answer = f"{num_run} of {len(cells)} published values have one of this run beside them."
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, has_verdict=False)


def paper_cells(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """Return every published value with ours, or the reason why there is none.

    Parameters
    ----------
    table
        All rows of all benchmarks, as from `benchmark_table`, those that could not run too.

    Returns
    -------
    The columns of `published_results`, then ours (NaN where not run), our_encoder,
    our_screen, our_block and why ("" where there is a value).
    """
    published = published_results()
    accuracies = {key: _ends(run, task) for key, task in _chosen(run, "tasks").items()}
    cells = [
        _probe_cell(run, row, accuracies)
        if row["metric"].endswith("_balanced_accuracy")
        else _benchmark_cell(run, row, table)
        for row in records(published)
    ]
    none = {"ours": np.nan, "our_encoder": "", "our_screen": "",
            "our_block": "", "why": ""}  # fmt: skip
    ours = pd.DataFrame([{**none, **cell} for cell in cells])
    return pd.concat([published.reset_index(drop=True), ours], axis=1)


def _chosen(run: Run, key: str) -> dict[str, str]:
    chosen: dict[str, str] = ((run.config.get("reports") or {}).get("paper") or {}).get(key, {})
    return chosen


def _name(run: Run, row: dict[str, Any]) -> str | None:
    """Our encoder for a published row."""
    name = _chosen(run, "encoders").get(row["encoder"])
    return f"{name}{TRIMMED}" if name and row["is_trimmed"] else name


def _benchmark_cell(run: Run, row: dict[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    encoder, screen = _name(run, row), _chosen(run, "screens").get(row["table"].split()[1])
    if encoder is None or screen is None:
        return {"why": f"no {'encoder' if encoder is None else 'screen'} of this run stands for it"}
    cell = {"our_encoder": encoder, "our_screen": screen}
    own = table[(table["screen"] == screen) & (table["encoder"] == encoder)]
    values = our_values(own, row["metric"]).dropna(subset=[row["metric"]])
    if values.empty:
        return {**cell, "why": _why_not(run, encoder, screen, MATCHES[row["metric"]], own)}
    first = records(values.sort_values("context", kind="stable"))[0]
    return {**cell, "ours": first[row["metric"]], "our_block": first["block"]}


def _why_not(
    run: Run, encoder: str, screen: str, measure: tuple[str, str | None, str], own: pd.DataFrame
) -> str:
    benchmark, source, _ = measure
    if (screen, encoder) not in run.plan.evaluated_pairs:
        return f"{encoder} is not compared on {screen}"
    if benchmark not in run.config["evaluation"]["benchmarks"]:
        return f"the benchmark {benchmark} is not asked for"
    if own.empty:
        return "its benchmarks have not run, or their job failed"
    reasons = own[(own["benchmark"] == benchmark) & (own["reason"] != "")]["reason"]
    if len(reasons):
        return str(reasons.iloc[0])
    return f"{benchmark} has no value of {source}" if source else f"{benchmark} has no value"


def _probe_cell(
    run: Run, row: dict[str, Any], accuracies: dict[str, pd.DataFrame]
) -> dict[str, Any]:
    encoder, task = _name(run, row), row["metric"].removesuffix("_balanced_accuracy")
    if encoder is None or task not in accuracies:
        return {"why": f"no {'encoder' if encoder is None else 'task'} of this run stands for it"}
    own = accuracies[task][accuracies[task]["encoder"] == encoder]
    cell = {"our_encoder": encoder, "our_screen": ", ".join(sorted(set(own["screen"])))}
    if own.empty:
        return {**cell, "why": "its probes have not run, or their job failed"}
    blocks = ", ".join(str(block) for block in sorted(set(own["block"])))
    return {**cell, "ours": float(own["balanced_accuracy"].mean()), "our_block": blocks}


def _ends(run: Run, task: str) -> pd.DataFrame:
    """Accuracies of a task at the last block, and at the chosen one as `<encoder>.trimmed`.

    A task on several screens counts on the one that stands for Table 1, where that is one of them.
    """
    table = _accuracies(run, task)
    first = _chosen(run, "screens").get("1")
    if first in set(table["screen"]):
        table = table[table["screen"] == first]
    last = table[table["block"] == table.groupby("encoder")["block"].transform("max")]
    parts = [last]
    for encoder in table["encoder"].unique():
        block = (run.document("probe_chosen", encoder=encoder) or {}).get("block")
        own = table[(table["encoder"] == encoder) & (table["block"] == block)]
        parts.append(own.assign(encoder=f"{encoder}{TRIMMED}"))
    return pd.concat(parts, ignore_index=True)


def _accuracies(run: Run, task: str) -> pd.DataFrame:
    wanted = [{"task": task, "encoder": encoder} for encoder in run.plan.probed_encoders]
    found = look_for(run, "probe_accuracies", wanted, "probe table")
    columns = ["encoder", *CONTEXT, "block", "balanced_accuracy"]
    return task_accuracies(run, task, found.there).reindex(columns=columns)


def _tables(cells: pd.DataFrame) -> Iterator[Table]:
    """One table for each of the paper's, a row per published row, a column per measure."""
    for name, part in cells.groupby("table", sort=False):
        part = part.assign(cell=[_written(row) for row in records(part)])
        keys = ["encoder", "block", "is_trimmed"]
        wide = part.pivot_table("cell", keys, "metric", "first", sort=False).reset_index()
        rest = part.groupby(keys, sort=False).agg(
            our_encoder=("our_encoder", "first"),
            our_block=("our_block", "max"),
            why=("why", _joined),
        )  # fmt: skip
        wide = wide.merge(rest.reset_index(), on=keys)
        wide["is_trimmed"] = np.where(wide["is_trimmed"], "yes", "no")
        number = str(name).split()[1] if str(name).startswith("table") else "probes"
        columns = [
            Column("encoder", "Published encoder"),
            Column("block", "Block"),
            Column("is_trimmed", "Trimmed"),
            *(Column(m, LABELS.get(m, m.replace("_", " "))) for m in part["metric"].unique()),
            Column("our_encoder", "Ours"),
            Column("our_block", "Our block"),
            Column("why", "Not run because"),
        ]
        yield Table(f"table-{number}", f"{str(name).capitalize()}: published | ours", columns, wide)


def _written(row: dict[str, Any]) -> str:
    ours = "not run" if numbers.is_missing(row["ours"]) else numbers.number(row["ours"])
    return f"{numbers.number(row['value'])} | {ours}"


def _joined(reasons: pd.Series) -> str:
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


def _list(cells: pd.DataFrame) -> Table:
    columns = [
        Column("table", "Table"),
        Column("encoder", "Published encoder"),
        Column("block", "Block"),
        Column("metric", "Measure"),
        Column("value", "Published", "number"),
        Column("ours", "Ours", "number"),
        Column("our_encoder", "Our encoder"),
        Column("our_screen", "Our screen"),
        Column("our_block", "Our block"),
        Column("why", "Not run because"),
    ]
    return Table("cells", "All published values, one a row", columns, cells)


def block_panels(run: Run) -> Iterator[Figure | Box]:
    """Yield the panels of Figures 3 and 7: accuracy by block, for each task and family.

    The task that stands for Anax belongs to Figure 3 on the screen of Table 1 and to Figure 7 on
    others, apart for each cell type and background.
    """
    first = _chosen(run, "screens").get("1")
    for published, task in _chosen(run, "tasks").items():
        table = _accuracies(run, task).dropna(subset=["balanced_accuracy"])
        if table.empty:
            text = f"The probes of {task} have not run, or no class had wells enough."
            yield Box(f"Figure 3, {published}: not run", text, anchor=f"figure-3-{published}")
        for context, part in table.groupby(CONTEXT, sort=True):
            number = 7 if published == "anax" and context[0] != first else 3
            for family, is_microscopy in FAMILIES.items():
                yield _block_panel(run, part, (number, published, *context), family, is_microscopy)


def _block_panel(
    run: Run, part: pd.DataFrame, key: tuple[Any, ...], family: str, is_microscopy: bool
) -> Figure | Box:
    number, published, *context = key
    where = " ".join(str(word) for word in context if word)
    anchor = "-".join(
        str(word) for word in (f"figure-{number}", published, *context, family) if word
    )
    anchor = anchor.lower().replace(" ", "-")
    kinds = part["encoder"].map(lambda name: run.config["encoders"][base_encoder(name)]["kind"])
    own = part[kinds.isin(TRAINED_KINDS) == is_microscopy]
    if own.empty:
        text = f"No encoder of {family} was probed on {where}."
        return Box(f"Figure {number}, {published}, {family}: not run", text, anchor=anchor)
    best = records(own.sort_values("balanced_accuracy", ascending=False, kind="stable").head(1))[0]
    title = (
        f"{published} on {where}, encoders of {family}: {best['encoder']} is best at block "
        f"{best['block']}"
    )
    frame = own.rename(columns={"block": "x", "balanced_accuracy": "y", "encoder": "group"})
    return Figure(
        anchor,
        title,
        f"Balanced accuracy on test experiments by block, as in Figure {number} of the paper.",
        line_chart(
            frame[["x", "y", "group"]].astype({"x": float}), title=title, x_title="block",
            y_title="balanced accuracy", has_points=True, is_whole=True,
        ),
    )  # fmt: skip


def _rows(table: pd.DataFrame, screen: str | None, measures: Any, keys: list[str]) -> list[Any]:
    """Return the first row of each of these measures on a screen ("" for measures of no screen)."""
    found = []
    for benchmark, source, metric in measures:
        same = (table["benchmark"] == benchmark) & (table["source"] == source)
        same &= (table["metric"] == metric) & table["screen"].isin([screen, ""])
        found += records(table[same & ~table["is_published"]].drop_duplicates(keys))
    return found


def _figure_4(run: Run) -> Iterator[Figure | Box | Text]:
    """Yield the four panels: two tasks by recall of StringDB and replicate consistency."""
    table, screen = run.table("by_probes"), _chosen(run, "screens").get("1")
    yield Text("A point per encoder and per trimmed encoder, on the screen of Table 1.")
    tasks = list(_chosen(run, "tasks").values())
    ours = None if table is None else table[~table["is_published"] & table["task"].isin(tasks)]
    rows = [] if ours is None else _rows(ours, screen, FIGURE_4, ["task", *MEASURE])
    if ours is None or not rows:
        text = "It takes probes and the benchmarks of StringDB or replicates on the same encoders."
        yield Box("Figure 4: not run", text, anchor="figure-4-not-run")
        return
    yield from probe_figures(ours, rows)


def _figure_9(run: Run) -> Iterator[Figure | Box | Text]:
    """Yield the eight panels: the six measures of Table 1, and the two probes."""
    table, screen = run.table("by_training"), _chosen(run, "screens").get("1")
    probes = [("probe", task, "balanced_accuracy") for task in _chosen(run, "tasks").values()]
    yield Text("A point per encoder that was trained here; the paper's are marked published.")
    measures = [*WHOLE_GENOME.values(), *probes]
    rows = [] if table is None else _rows(table, screen, measures, MEASURE)
    figures = list(training_figures(table, rows)) if table is not None else []
    if not figures:
        text = "It takes three trained encoders, ours and published ones together, of a measure."
        yield Box("Figure 9: not run", text, anchor="figure-9-not-run")
    yield from figures
