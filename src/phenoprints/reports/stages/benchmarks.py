"""The page of benchmarks: every value beside its baselines, in-sample rows marked."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.reports import numbers, rules
from phenoprints.reports.completeness import look_for, pairs
from phenoprints.reports.contents import Fact, Figure, Page, Section, Text
from phenoprints.reports.figures import interval_chart
from phenoprints.reports.frames import records
from phenoprints.reports.runs import Run
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, NOT_RUN, PASS, Verdict

NAME, TITLE = "benchmarks", "Benchmarks"
QUESTION = "How good is the map, compared with chance and with an untrained network?"
KEYS = ["screen", "benchmark", "source", "metric"]
RANDOM_KINDS, BASELINE_KINDS = ("random",), ("random", "untrained")
RANDOM_ENCODER = "random"
"""Name of the rows that a benchmark computes by chance, beside encoders of kind random."""

MIN_Z = 3.0
TIDY = ("benchmark", "source", "encoder", "block", "metric", "value", "sd", "n", "seen")
LOWER_IS_BETTER = ("p_value",)


def page(run: Run) -> Page:
    """The page, from the tidy tables of every screen and encoder."""
    found = look_for(run, "benchmark_table", pairs(run.plan.evaluated_pairs), "benchmark table")
    verdicts = [found.verdict(rules.BENCHMARKS_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    table = benchmark_table(run)
    facts = _facts(table)
    if len(table):
        verdicts += [_random_verdict(table), _in_sample_verdict(table)]
        sections += [_overview(table), *_figures(table), _published_section()]
    answer = _answer(table)
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def benchmark_table(run: Run) -> pd.DataFrame:
    """All rows of all benchmarks, with `screen`, `baseline` (random's value) and `z` over it.

    z = (value - random) / sqrt(sd² + sd_random²), NaN where both spreads are unknown or 0.
    """
    parts = []
    for screen, encoder in run.plan.evaluated_pairs:
        table = run.table("benchmark_table", screen=screen, encoder=encoder)
        if table is not None and len(table):
            parts.append(table.reindex(columns=TIDY).assign(screen=screen))
    if not parts:
        return pd.DataFrame(columns=[*TIDY, "screen", "baseline", "untrained", "z", "is_baseline"])
    table = pd.concat(parts, ignore_index=True)
    table["source"] = table["source"].fillna("")
    table["seen"] = table["seen"].fillna("")
    table = table.drop_duplicates([*KEYS, "encoder", "block"], ignore_index=True)
    return _with_baselines(run, table)


def _with_baselines(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    kind = {name: str(item["kind"]) for name, item in run.config["encoders"].items()}
    kinds = table["encoder"].map(lambda name: kind.get(name.removesuffix(".trimmed"), name))
    table["is_baseline"] = kinds.isin(BASELINE_KINDS)
    for column, wanted in (("baseline", RANDOM_KINDS), ("untrained", ("untrained",))):
        rows = table[kinds.isin(wanted)].groupby(KEYS, sort=False).first()
        keys = pd.MultiIndex.from_frame(table[KEYS])
        for name in ("value", "sd"):
            target = column if name == "value" else f"{column}_sd"
            values = rows[name].reindex(keys) if len(rows) else None
            table[target] = np.nan if values is None else values.to_numpy(float)
    spread = np.hypot(table["sd"].astype(float).fillna(0), table["baseline_sd"].fillna(0))
    with np.errstate(divide="ignore", invalid="ignore"):
        z: pd.Series = (table["value"].astype(float) - table["baseline"]) / spread
    table["z"] = z.where(spread > 0)
    return table.sort_values([*KEYS, "value"], ascending=[True] * 4 + [False], ignore_index=True)


def _answer(table: pd.DataFrame) -> str:
    if table.empty:
        return "No benchmark has run."
    encoders = numbers.plural(table["encoder"].nunique(), "encoder")
    pieces = numbers.plural(len(table[KEYS].drop_duplicates()), "measure")
    return f"{encoders} on {pieces} of {numbers.plural(table['screen'].nunique(), 'screen')}."


def _facts(table: pd.DataFrame) -> list[Fact]:
    facts = []
    for row in records(table):
        source = [str(row["source"])] if row["source"] else []
        block = [] if numbers.is_missing(row["block"]) else [f"block {row['block']}"]
        path = (
            "benchmarks",
            row["screen"],
            row["benchmark"],
            *source,
            str(row["metric"]),
            row["encoder"],
            *block,
        )
        label = (
            f"{row['benchmark']} {' '.join(source)} {row['metric']}, {row['encoder']} on "
            f"{row['screen']}"
        )
        facts.append(Fact((*path, "value"), label, _float(row["value"]), note=_note(row)))
        facts += [
            Fact((*path, key), f"{label}: {key}", _float(row[key]))
            for key in ("sd", "n", "baseline", "untrained", "z")
            if not numbers.is_missing(row[key])
        ]
        if row["seen"]:
            facts.append(Fact((*path, "seen"), f"{label}: seen of the screen", str(row["seen"])))
    return facts


def _float(value: Any) -> float | int | None:
    if numbers.is_missing(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) > 1 else float(value)


def _note(row: dict[str, Any]) -> str:
    parts = []
    if not numbers.is_missing(row["baseline"]):
        parts.append(f"random {numbers.number(row['baseline'])}")
    if not numbers.is_missing(row["z"]):
        parts.append(f"z {numbers.number(row['z'])}")
    return ", ".join(parts)


def _random_verdict(table: pd.DataFrame) -> Verdict:
    ours = table[~table["is_baseline"] & table["z"].notna()]
    if ours.empty:
        text = "no random baseline was evaluated: add an encoder of kind random"
        return Verdict(rules.BEATS_RANDOM, NOT_RUN, "run", text, page=NAME, anchor="all")
    low = ours[ours["z"].abs() < MIN_Z]
    text = (
        f"{len(ours) - len(low)} of {numbers.plural(len(ours), 'value')} differ from random by z "
        "≥ 3"
    )
    return Verdict(
        rules.BEATS_RANDOM,
        CHECK if len(low) else PASS,
        "run",
        text,
        numbers.number(ours["z"].abs().min()),
        f"z of {MIN_Z:g}",
        len(low),
        NAME,
        "all",
    )


def _in_sample_verdict(table: pd.DataFrame) -> Verdict:
    seen = table[~table["seen"].isin(["", "none"]) & ~table["is_baseline"]]
    text = f"{numbers.plural(len(seen), 'row')} of encoders that have seen the screen"
    return Verdict(
        rules.IN_SAMPLE,
        CHECK if len(seen) else PASS,
        "run",
        text,
        str(len(seen)),
        "0",
        len(seen),
        NAME,
        "all",
    )


def overview_columns() -> list[Column]:
    """Columns of the table of all values."""
    return [
        Column("screen", "Screen"),
        Column("benchmark", "Benchmark"),
        Column("source", "Source"),
        Column("metric", "Metric"),
        Column("encoder", "Encoder"),
        Column("block", "Block"),
        Column("value", "Value", "number"),
        Column("sd", "sd", "number"),
        Column("n", "n", "count"),
        Column("baseline", "Random", "number"),
        Column("untrained", "Untrained", "number"),
        Column("z", "z over random", "number"),
        Column("seen", "Seen of the screen"),
    ]


def _overview(table: pd.DataFrame) -> Section:
    note = (
        "z = (value − random)/sqrt(sd² + sd_random²). A row whose encoder has seen the screen or "
        "its experiments is in-sample: read it as an upper bound."
    )
    return Section(
        "values", "All values", [Table("all", "Benchmark values", overview_columns(), table, note)]
    )


def _figures(table: pd.DataFrame) -> list[Section]:
    sections = []
    for (screen, benchmark), part in table.groupby(["screen", "benchmark"], sort=True):
        figures = [
            _figure(str(screen), str(benchmark), str(source), str(metric), rows)
            for (source, metric), rows in part.groupby(["source", "metric"], sort=True)
        ]
        title = f"{str(benchmark).replace('-', ' ').capitalize()} on {screen}"
        sections.append(Section(f"{screen}-{benchmark}", title, figures))
    return sections


def _figure(screen: str, benchmark: str, source: str, metric: str, rows: pd.DataFrame) -> Figure:
    ranked = rows.dropna(subset=["value"]).sort_values("value", ascending=False, kind="stable")
    what = f"{metric.replace('_', ' ')}{f' ({source})' if source else ''}"
    frame = pd.DataFrame(
        {
            "name": [_name(row) for row in records(ranked)],
            "value": ranked["value"].astype(float),
            "low": ranked["value"].astype(float) - ranked["sd"].astype(float).fillna(0),
            "high": ranked["value"].astype(float) + ranked["sd"].astype(float).fillna(0),
            "group": np.where(
                ranked["is_baseline"],
                "baseline",
                np.where(ranked["seen"].isin(["", "none"]), "unseen screen", "in-sample"),
            ),
        }
    )
    baseline = ranked["baseline"].dropna()
    title = _finding(ranked, what)
    return Figure(
        f"{screen}-{benchmark}-{source or 'all'}-{metric}".replace(".", "-").replace(" ", "-"),
        title,
        f"{what}, value ± sd. The dashed line is the random baseline, where there is one.",
        interval_chart(
            frame,
            title=title,
            value_title=what,
            reference=float(baseline.iloc[0]) if len(baseline) else None,
        ),
    )


def _name(row: dict[str, Any]) -> str:
    block = "" if numbers.is_missing(row["block"]) else f", block {row['block']}"
    return f"{row['encoder']}{block}"


def _finding(ranked: pd.DataFrame, what: str) -> str:
    """The first encoder by value, or a tie where spreads overlap."""
    ours = ranked[~ranked["is_baseline"]]
    if ours.empty:
        return f"{what}: baselines only"
    first = ours.iloc[0]
    if len(ours) == 1:
        return f"{what}: {first['encoder']} reaches {numbers.number(first['value'])}"
    second = ours.iloc[1]
    sds = [0.0 if numbers.is_missing(row["sd"]) else float(row["sd"]) for row in (first, second)]
    spread = float(np.hypot(sds[0], sds[1]))
    if float(first["value"]) - float(second["value"]) <= spread:
        return f"{what}: {first['encoder']} and {second['encoder']} cannot be told apart"
    return f"{what}: {first['encoder']} is highest with {numbers.number(first['value'])}"


@cache
def published() -> pd.DataFrame:
    """The paper's results cell by cell, as they stand in its tables."""
    path = resources.files("phenoprints.reports") / "published.tsv"
    with path.open(encoding="utf-8") as stream:
        frame: pd.DataFrame = pd.read_csv(stream, sep="\t", dtype=str, keep_default_na=False)
    return frame


def _published_section() -> Section:
    frame = published()
    columns = [
        Column(str(name), str(name).replace("_", " ").capitalize()) for name in frame.columns
    ]
    text = (
        "The paper's own values, on its own screens and alignments: a scale to read ours by, not a "
        "result of this run."
    )
    table = Table(
        "published", "Published results (ViTally Consistent, Tables 1, 2, 3 and 6)", columns, frame
    )
    return Section("published-section", "Published values", [Text(text), table])
