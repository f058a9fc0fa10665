"""The page of benchmarks: every value beside its baselines, in-sample rows marked."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.configuration.references import BASELINE_KINDS
from phenoprints.reports import numbers, rules
from phenoprints.reports.figures import interval_chart
from phenoprints.reports.frames import has_values, records
from phenoprints.reports.page_model import Box, Fact, Figure, Page, Section
from phenoprints.reports.runs import Run
from phenoprints.reports.stage_status import look_for, pairs
from phenoprints.reports.stages.across import across_sections
from phenoprints.reports.stages.benchmark_answers import answers, phrase
from phenoprints.reports.stages.known_biology import terms_sections
from phenoprints.reports.stages.paper import is_spread, paper_sections
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, NOT_RUN, PASS, Verdict

NAME, TITLE = "benchmarks", "Benchmarks"
QUESTION = "How good is the map, compared with chance and with encoders that learned nothing?"
KEYS = ["screen", "benchmark", "source", "context", "metric"]
BASELINE_COLUMNS = ("untrained", "baseline", "strongest")
MIN_SIGNIFICANCE = 3.0
MAX_HEADLINES = 5
MAIN_MEASURES = (
    ("relationships", "", "recall_0.05_0.95"),
    ("mechanism", "", "accuracy_not_same_perturbation"),
    ("replicates", "", "ks"),
    ("compound-gene", "max", "average_precision"),
    ("activity", "", "mean_average_precision"),
    ("magnitude", "", "unbiased"),
    ("clusters", "", "cosine_gap"),
)
"""The measure that stands for each benchmark: benchmark, source (any if empty) and metric."""

MAX_FIGURES = 12
"""Figures of one benchmark on one screen; the table holds every metric."""

TIDY = (
    "benchmark", "source", "context", "encoder", "block", "metric", "value", "sd", "n", "seen",
    "random", "random_sd", "z", "significance", "reason",
)  # fmt: skip


def page(run: Run) -> Page:
    """Return the page, from the tidy tables of every screen and encoder."""
    found = look_for(run, "benchmark_table", pairs(run.plan.evaluated_pairs), "benchmark table")
    verdicts = [found.verdict(rules.BENCHMARKS_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    everything = benchmark_table(run)
    table = with_values(everything)
    facts = _facts(table)
    if len(everything):
        sections += _not_run(everything)
    if len(table):
        verdicts += [_random_verdict(table), _in_sample_verdict(table)]
        single = table[~is_spread(table)]
        sections += [answers(single, best_rows(single), KEYS), _overview(single)]
        sections += [*_figures(single), *across_sections(run)]
        sections += [*terms_sections(run), *paper_sections(table)]
    answer = _answer(table)
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def benchmark_table(run: Run) -> pd.DataFrame:
    """All rows of all benchmarks, with `screen`, BASELINE_COLUMNS and `is_baseline`.

    `untrained` is the untrained network's value, `baseline` the largest value of the encoders that
    have learned nothing and `strongest` the name of that encoder, each for the same measure.
    `controls` marks magnitudes against in-sample controls. Rows without a metric are benchmarks
    that could not run; their `reason` says why.
    """
    parts = []
    for screen, encoder in run.plan.evaluated_pairs:
        table = run.table("benchmark_table", screen=screen, encoder=encoder)
        if table is not None and len(table):
            parts.append(table.reindex(columns=TIDY).assign(screen=screen))
    if not parts:
        return pd.DataFrame(columns=[*TIDY, "screen", *BASELINE_COLUMNS, "is_baseline", "controls"])
    table = pd.concat(parts, ignore_index=True)
    for name in ("source", "context", "block", "seen", "reason", "metric"):
        table[name] = table[name].fillna("").astype(str)
    return _with_baselines(run, table)


def with_values(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have a value: the others say only why they have none."""
    return table[table["value"].notna()].reset_index(drop=True)


def _with_baselines(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    kind = {name: str(item["kind"]) for name, item in run.config["encoders"].items()}
    kinds = table["encoder"].map(lambda name: kind.get(name.removesuffix(".trimmed"), name))
    table["is_baseline"] = kinds.isin(BASELINE_KINDS)
    table["controls"] = _controls(run, table)
    rows = table[kinds == "untrained"].groupby(KEYS, sort=False)["value"].first()
    keys = pd.MultiIndex.from_frame(table[KEYS])
    table["untrained"] = rows.reindex(keys).to_numpy(float) if len(rows) else np.nan
    ranked = table[table["is_baseline"] & table["value"].notna()]
    ranked = ranked.sort_values("value", ascending=False, kind="stable").drop_duplicates(KEYS)
    best = ranked.set_index(KEYS)[["value", "encoder"]].reindex(keys)
    table["baseline"], table["strongest"] = best["value"].to_numpy(float), best["encoder"].array
    order = [*KEYS, "value"]
    ascending = [True] * len(KEYS) + [False]
    return table.sort_values(order, ascending=ascending, ignore_index=True)


def _controls(run: Run, table: pd.DataFrame) -> list[str]:
    """`in-sample` for magnitudes against the controls that the alignment was fitted on, else ""."""
    in_sample = {screen for screen in set(table["screen"]) if _is_in_sample(run, screen)}
    return [
        "in-sample" if row["benchmark"] == "magnitude" and row["screen"] in in_sample else ""
        for row in records(table)
    ]


def _is_in_sample(run: Run, screen: str) -> bool:
    own = run.config["screens"][screen].get("benchmarks") or run.config.get("benchmarks") or {}
    return (own.get("magnitude") or {}).get("controls") == "as-fitted"


def _answer(table: pd.DataFrame) -> str:
    if table.empty:
        return "No benchmark has a value."
    told = [
        f"{phrase(row)}: {numbers.number(row['value'])} with {row['encoder']} on {row['screen']} "
        f"({numbers.number(row['random'])} by chance)"
        for row in records(table.loc[_headlines(table)[:2]])
    ]
    encoders = numbers.plural(table["encoder"].nunique(), "encoder")
    measures = numbers.plural(len(table[KEYS].drop_duplicates()), "measure")
    return "; ".join([f"{encoders} on {measures}", *told]) + "."


def _facts(table: pd.DataFrame) -> list[Fact]:
    facts = []
    headlines = _headlines(table)[:MAX_HEADLINES]
    ordered = [*headlines, *(at for at in table.index if at not in set(headlines))]
    for row in records(table.loc[ordered].reset_index(names="at")):
        source = [row[name] for name in ("source", "context") if row[name]]
        path = (
            "benchmarks",
            row["screen"],
            row["benchmark"],
            *source,
            str(row["metric"]),
            row["encoder"],
        )
        named = dict.fromkeys([row["benchmark"], *source, metric_words(str(row["metric"]))])
        label = f"{' '.join(named)}, {row['encoder']} on {row['screen']}"
        is_large = row["at"] in headlines
        if is_large:
            label = f"{phrase(row)}, {row['encoder']} on {row['screen']}"
        value = _float(row["value"])
        facts.append(Fact((*path, "value"), label, value, note=_note(row), headline=is_large))
        facts += [
            Fact((*path, key), f"{label}: {key}", _float(row[key]))
            for key in (
                "sd",
                "n",
                "random",
                "random_sd",
                "untrained",
                "baseline",
                "z",
                "significance",
            )
            if not numbers.is_missing(row[key])
        ]
        if row["seen"]:
            facts.append(Fact((*path, "seen"), f"{label}: seen of the screen", str(row["seen"])))
    return facts


def _headlines(table: pd.DataFrame) -> list[Any]:
    """Return the best encoder's row of the main measure of each benchmark, known
    benchmarks first.
    """
    ours = table[~table["is_baseline"] & table["random"].notna()]
    best = ours.sort_values("value", ascending=False, kind="stable").drop_duplicates(KEYS)
    rank = [_rank(row) for row in records(best)]
    order = best.assign(rank=rank).sort_values(["rank", *KEYS], kind="stable")
    return list(order.drop_duplicates(["screen", "benchmark"]).index)


def _rank(row: dict[str, Any]) -> int:
    """How early a measure stands: MAIN_MEASURES first, in their order."""
    for at, (benchmark, source, metric) in enumerate(MAIN_MEASURES):
        is_source = source in ("", row["source"])
        if row["benchmark"] == benchmark and is_source and str(row["metric"]).startswith(metric):
            return at
    return len(MAIN_MEASURES)


def _float(value: Any) -> float | int | None:
    if numbers.is_missing(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) > 1 else float(value)


def _note(row: dict[str, Any]) -> str:
    parts = []
    if not numbers.is_missing(row["random"]):
        parts.append(f"random {numbers.number(row['random'])}")
    if not numbers.is_missing(row["significance"]):
        parts.append(f"{numbers.number(row['significance'])} sd from chance")
    if row["controls"]:
        parts.append(f"{row['controls']} controls")
    return ", ".join(parts)


def _random_verdict(table: pd.DataFrame) -> Verdict:
    """Whether the best encoder's main measure of every benchmark beats chance and the baselines.

    The significance counts, not z: z compares with the spread between perturbations, which is
    large where many have an effect and many have none.
    """
    main = table.loc[_headlines(table)].dropna(subset=["significance"])
    if main.empty:
        text = "no main measure was compared with chance"
        return Verdict(rules.BEATS_RANDOM, NOT_RUN, "run", text, page=NAME, anchor="all")
    is_chance = main["significance"] < MIN_SIGNIFICANCE
    low = main[is_chance | (main["value"] <= main["baseline"])]
    names = ", ".join(_not_beaten(row) for row in records(low))
    text = f"main measures that beat the strongest baseline: {len(main) - len(low)} of {len(main)}"
    return Verdict(
        rules.BEATS_RANDOM,
        CHECK if len(low) else PASS,
        "run",
        f"{text}; not {names}" if names else text,
        f"smallest significance {numbers.number(main['significance'].min())} sd",
        f"{MIN_SIGNIFICANCE:g} sd",
        len(low),
        NAME,
        "all",
    )


def _not_beaten(row: dict[str, Any]) -> str:
    """Return a benchmark with what its best encoder does not beat."""
    if row["significance"] < MIN_SIGNIFICANCE:
        return f"{row['benchmark']} ({numbers.number(row['significance'])} sd from chance)"
    own, other = numbers.number(row["value"]), numbers.number(row["baseline"])
    return f"{row['benchmark']} ({own}; {row['strongest']} {other})"


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


def metric_words(metric: str) -> str:
    """Return a metric as a person says it: recall_0.05_0.95 is that in the outer 5 % of either
    side.
    """
    found = re.match(r"recall_0\.(\d+)_([\d.]+)(.*)", metric)
    if found and abs(1 - float(found[2]) - float(f"0.{found[1]}")) < 1e-9:
        outer = numbers.number(100 * float(f"0.{found[1]}"))
        return f"recall in the outer {outer}{numbers.NBSP}%{found[3].replace('_', ' ')}"
    return metric.replace("_", " ")


def best_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the best encoder's row of the main measure of each benchmark on each screen."""
    return table.loc[_headlines(table)]


def overview(table: pd.DataFrame, anchor: str, caption: str, note: str) -> Table:
    """All values as a table, without columns that say nothing here."""
    words = table.assign(metric=table["metric"].map(metric_words))
    told = [column for column in _columns() if has_values(table[column.name])]
    return Table(anchor, caption, told, words, note)


def _columns() -> list[Column]:
    return [
        Column("screen", "Screen"),
        Column("benchmark", "Benchmark"),
        Column("source", "Source"),
        Column("context", "Context"),
        Column("metric", "Metric"),
        Column("encoder", "Encoder"),
        Column("block", "Block"),
        Column("value", "Value", "number"),
        Column("sd", "sd", "number"),
        Column("n", "n", "count"),
        Column("random", "Random", "number"),
        Column("untrained", "Untrained", "number"),
        Column("baseline", "Strongest baseline", "number"),
        Column("strongest", "Which baseline"),
        Column("z", "z over random", "number"),
        Column("significance", "Standard deviations from chance", "number"),
        Column("controls", "Controls"),
        Column("seen", "Seen of the screen"),
    ]


def _overview(table: pd.DataFrame) -> Section:
    note = (
        "z = (value − random)/sqrt(sd² + sd_random²) compares with the spread between "
        "perturbations or draws; whether a value differs from chance is the next column: its "
        "distance from the mean of draws without any signal, in their standard deviations. A "
        "row whose encoder has seen the screen or "
        "its experiments is in-sample: read it as an upper bound."
    )
    return Section(
        "values",
        "All values",
        [overview(table, "all", "Benchmark values", note)],
        is_folded=True,
    )


def _figures(table: pd.DataFrame) -> list[Section]:
    sections = []
    for (screen, benchmark), part in table.groupby(["screen", "benchmark"], sort=True):
        main = part[part["random"].notna()] if part["random"].notna().any() else part
        groups = list(main.groupby(["source", "context", "metric"], sort=True))
        figures = [
            _figure(f"{screen}-{benchmark}", f"{source} {context}".strip(), str(metric), rows)
            for (source, context, metric), rows in groups[:MAX_FIGURES]
        ]
        title = f"{str(benchmark).replace('-', ' ').capitalize()} on {screen}"
        sections.append(Section(f"{screen}-{benchmark}", title, figures, is_folded=True))
    return sections


def _figure(place: str, source: str, metric: str, rows: pd.DataFrame) -> Figure:
    ranked = rows.dropna(subset=["value"]).sort_values("value", ascending=False, kind="stable")
    what = f"{metric_words(metric)}{f' ({source})' if source else ''}"
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
    baseline = ranked["random"].dropna()
    title = _finding(ranked, what)
    return Figure(
        _anchor(f"{place}-{source or 'all'}-{metric}"),
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
    """Return the first encoder by value, or a tie where spreads overlap."""
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


def _anchor(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", text)


def _not_run(table: pd.DataFrame) -> list[Section]:
    """List benchmarks that could not run on a screen, with their reasons."""
    rows = table[table["value"].isna()].drop_duplicates(["screen", "benchmark", "reason"])
    boxes = [
        Box(
            f"{row['benchmark']} on {row['screen']}",
            row["reason"] or "No value was computed, and no reason was given.",
            anchor=f"not-run-{at}",
        )
        for at, row in enumerate(records(rows))
    ]
    return [Section("not-run", "Not run", boxes)] if boxes else []
