"""The trust panel of the first page: what makes a screen look better than it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from phenoprints.reports import numbers
from phenoprints.reports.page_model import Box, Fact, Page, Section, Text
from phenoprints.reports.runs import Run
from phenoprints.reports.stages import benchmarks, consistency, phenoprint_tables
from phenoprints.reports.stages.consistency_tests import p_value_threshold, single_positions
from phenoprints.reports.stages.guard import guard_of_judge, is_measured, judge_verdict, range_of
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK

COLUMNS = (
    Column("screen", "Screen"),
    Column("encoder", "Judge"),
    Column("status", "Control guard", "verdict"),
    Column("rate", "Measured false phenoprints", "percent"),
    Column("interval", "95 % interval"),
    Column("tests", "Groups of control wells", "count"),
    Column("nominal", "Nominal", "percent"),
    Column("single", "Conditions at one position", "count"),
    Column("conditions", "Tested conditions", "count"),
)


def trust_facts(pages: Sequence[Page]) -> list[Fact]:
    """Return the measured false-phenoprint rates, as the page of consistency tells them."""
    return [
        fact
        for page in pages
        if page.name == consistency.NAME
        for fact in page.facts
        if "false_phenoprints" in fact.path
    ]


def trust_section(run: Run) -> Section:
    """Control guard, single positions, decisions by the clip and in-sample rows, in one section."""
    rows = [row for pair in run.plan.judged_pairs for row in _guard_rows(run, *pair)]
    frame = pd.DataFrame(rows, columns=[column.name for column in COLUMNS])
    parts: list[Any] = [*_warning(frame), _other_doubts(run, has_guard=bool(rows))]
    if rows:
        caption = "Measured on the screen's own control wells, in groups that copy the conditions"
        parts.append(Table("trust-table", caption, COLUMNS, frame))
    lead = "Four things that make a screen look better than it is."
    return Section("trust", "Trust panel", parts, lead)


def _guard_rows(run: Run, screen: str, encoder: str) -> list[dict[str, Any]]:
    """Return the control guard's rows for one screen and judge; empty before its tests ran."""
    names = {"screen": screen, "encoder": encoder}
    table = run.table("consistency", **names)
    if table is None:
        return []
    threshold = p_value_threshold(run.config, screen, encoder)
    guard = guard_of_judge(run.config, names, table, threshold)
    single, conditions = single_positions(table)
    return [
        {
            **names,
            "status": judge_verdict(names, table, guard, threshold).status,
            "rate": guard["rate"],
            "interval": range_of(guard) if is_measured(guard) else None,
            "tests": guard["tests"],
            "nominal": threshold,
            "single": single,
            "conditions": conditions,
        }
    ]


def _warning(frame: pd.DataFrame) -> list[Box]:
    warned = frame[frame["status"] == CHECK]
    if warned.empty:
        return []
    worst = warned.sort_values("rate").iloc[-1]
    text = (
        f"Control wells with the designs of the conditions are called phenoprints in "
        f"{numbers.percent(worst['rate'])} of the cases for {worst['encoder']} on "
        f"{worst['screen']}, more than twice the nominal {numbers.percent(worst['nominal'])}: part "
        "of the phenoprints comes from plates or positions. See docs/how-to/positions.md."
    )
    return [Box("Control wells look like phenoprints", text, CHECK, "control-warning")]


def _other_doubts(run: Run, *, has_guard: bool) -> Text | Box:
    items = []
    for manifest in run.plan.manifests:
        table = run.table("phenoprints", manifest=manifest)
        if table is not None and phenoprint_tables.judges_of(table):
            clip = int(phenoprint_tables.decided_by_clip(table).sum())
            what = numbers.plural(clip, "condition")
            items.append(f"{manifest}: {what} decided by the upper clip of p-values.")
    values = benchmarks.with_values(benchmarks.benchmark_table(run))
    if len(values):
        seen = values[~values["seen"].isin(["", "none"]) & ~values["is_baseline"]]
        items.append(
            f"{numbers.plural(len(seen), 'benchmark row')} of {len(values)} in-sample: the encoder "
            "has seen the screen."
        )
    if not items and not has_guard:
        text = "Neither tests nor benchmarks have run."
        return Box("Nothing to trust yet", text, anchor="no-trust")
    return Text("Besides the control guard below:" if items else "The control guard:", items)
