"""The page of consistency: what looks the same every time, and whether the layout fools us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.reports import numbers, rules
from phenoprints.reports.completeness import look_for, pairs
from phenoprints.reports.contents import Fact, Figure, Page, Section
from phenoprints.reports.figures import p_value_histogram, qq_plot
from phenoprints.reports.points import point_map
from phenoprints.reports.runs import Run
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, NOT_RUN, PASS, Verdict

NAME, TITLE = "consistency", "Consistency"
QUESTION = "Which conditions look the same every time, more than random sets of wells do?"
DEFAULT_P_VALUE = 0.01
MAX_SINGLE_POSITION = 0.5
MAX_UNTESTABLE = 0.2

REASONS = {
    "too_few_conditions": "too few conditions in the experiment for a null",
    "too_few_wells": "fewer than two wells",
    "zero_vector": "a vector of length zero",
    "not_finite": "vectors that are missing or not finite",
}


def page(run: Run) -> Page:
    """The page, from the consistency table of every screen and judge."""
    found = look_for(run, "consistency", pairs(run.plan.judged_pairs), "consistency table")
    facts: list[Fact] = []
    verdicts = [found.verdict(rules.CONSISTENCY_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    shares = []
    for names in found.there:
        table = run.table("consistency", **names)
        if table is None:
            continue
        threshold = p_value_threshold(run.config, names["screen"], names["encoder"])
        facts += _facts(names, table, threshold)
        verdicts += _verdicts(run.config, names, table, threshold)
        sections.append(_section(names, table, threshold))
        shares.append(below(table, "condition", threshold)[2])
    sections += _agreement(run, found.there)
    answer = _answer(shares)
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def _answer(shares: list[float]) -> str:
    if not shares:
        return "No consistency test has run."
    low, high = numbers.percent(min(shares)), numbers.percent(max(shares))
    if len(shares) == 1:
        return f"{low} of the tests of conditions lie below the threshold."
    return f"{low} to {high} of the tests of conditions lie below the threshold, by judge."


def p_value_threshold(config: Mapping[str, Any], screen: str, encoder: str) -> float:
    """The strictest p_value of the manifests that this judge decides on this screen."""
    values = [
        float(manifest["p_value"])
        for manifest in config["manifests"].values()
        if screen in manifest["screens"] and encoder in manifest["judges"]
    ]
    return min(values, default=DEFAULT_P_VALUE)


def below(table: pd.DataFrame, level: str, threshold: float) -> tuple[int, int, float]:
    """Tests of a level below the threshold, tests with a p-value, and their share (NaN of none)."""
    p = table.loc[table["level"] == level, "p_value"].dropna()
    hits = int((p < threshold).sum())
    return hits, len(p), hits / len(p) if len(p) else np.nan


def single_positions(table: pd.DataFrame) -> tuple[int, int]:
    """Conditions all of whose tests have wells at one position only, and tested conditions."""
    tests = table[(table["level"] == "condition") & table["p_value"].notna()]
    by_condition = tests.groupby("condition_id")["single_position"].all()
    return int(by_condition.sum()), len(by_condition)


def anchor(names: Mapping[str, str], what: str) -> str:
    """The anchor of something about a screen and judge."""
    return f"{names['screen']}-{names['encoder'].replace('.', '-')}-{what}"


def _facts(names: Mapping[str, str], table: pd.DataFrame, threshold: float) -> list[Fact]:
    path = ("consistency", names["screen"], names["encoder"])
    who = f"{names['screen']} as {names['encoder']} sees it"
    hits, tests, share = below(table, "condition", threshold)
    facts = [
        Fact((*path, "tests"), f"Tests of conditions, {who}", tests),
        Fact((*path, "threshold"), f"Threshold of p, {who}", threshold),
        Fact((*path, "below_threshold"), f"Tests below it, {who}", hits),
        Fact(
            (*path, "share_below_threshold"),
            f"Share of tests below p = {threshold}, {who}",
            share,
            numbers.percent(share),
            f"{hits} of {tests}",
            headline=True,
        ),
        Fact((*path, "without_p_value"), f"Tests without a p-value, {who}", _num_untested(table)),
    ]
    genes = below(table, "gene", threshold)
    if genes[1]:
        facts.append(Fact((*path, "gene_tests"), f"Tests of genes, {who}", genes[1]))
        facts.append(
            Fact((*path, "genes_below_threshold"), f"Gene tests below it, {who}", genes[0])
        )
    single, conditions = single_positions(table)
    facts.append(
        Fact(
            (*path, "single_position_conditions"),
            f"Conditions at one position only, {who}",
            single,
            note=f"of {conditions} tested",
        )
    )
    return facts + layout_facts(names, table, threshold)


def layout_facts(names: Mapping[str, str], table: pd.DataFrame, threshold: float) -> list[Fact]:
    """The measured false-phenoprint rate with its Wilson interval, or nothing without the guard."""
    hits, tests, share = below(table, "layout", threshold)
    if not tests:
        return []
    path = ("consistency", names["screen"], names["encoder"], "false_phenoprints")
    who = f"{names['screen']}, {names['encoder']}"
    low, high = numbers.wilson_interval(hits, tests)
    note = (
        f"{hits} of {tests} control positions below p = {threshold}; "
        f"95 % {numbers.percent(low)} to {numbers.percent(high)}"
    )
    return [
        Fact(
            (*path, "rate"),
            f"Measured false-phenoprint rate, {who}",
            share,
            numbers.percent(share),
            note,
            headline=True,
        ),
        Fact((*path, "low"), f"Its lower bound, {who}", low),
        Fact((*path, "high"), f"Its upper bound, {who}", high),
        Fact((*path, "below_threshold"), f"Control positions below the threshold, {who}", hits),
        Fact((*path, "tests"), f"Control positions tested, {who}", tests),
        Fact((*path, "nominal"), f"Nominal rate, {who}", threshold),
    ]


def _num_untested(table: pd.DataFrame) -> int:
    tests = table[table["level"] == "condition"]
    return int(tests["p_value"].isna().sum())


def _verdicts(
    config: Mapping[str, Any], names: Mapping[str, str], table: pd.DataFrame, threshold: float
) -> list[Verdict]:
    return [
        layout_verdict(names, table, threshold),
        _single_verdict(names, table),
        _null_verdict(config, names, table, threshold),
        _untestable_verdict(names, table),
    ]


def _scope(names: Mapping[str, str]) -> str:
    return f"{names['screen']}, {names['encoder']}"


def layout_verdict(names: Mapping[str, str], table: pd.DataFrame, threshold: float) -> Verdict:
    """CHECK when control positions fall below the threshold more than twice as often as nominal."""
    hits, tests, share = below(table, "layout", threshold)
    place: dict[str, Any] = {"page": NAME, "anchor": anchor(names, "layout")}
    if not tests:
        text = "no negative controls that share a position often enough, or the guard is off"
        return Verdict(rules.FALSE_PHENOPRINTS, NOT_RUN, _scope(names), text, **place)
    status = CHECK if share > 2 * threshold else PASS
    text = f"{hits} of {tests} control positions look like phenoprints"
    return Verdict(
        rules.FALSE_PHENOPRINTS,
        status,
        _scope(names),
        text,
        numbers.percent(share),
        f"at most {numbers.percent(2 * threshold)} (nominal {numbers.percent(threshold)})",
        hits,
        **place,
    )


def _single_verdict(names: Mapping[str, str], table: pd.DataFrame) -> Verdict:
    single, conditions = single_positions(table)
    place: dict[str, Any] = {"page": NAME, "anchor": anchor(names, "tests")}
    if not conditions:
        return Verdict(
            rules.SINGLE_POSITION, NOT_RUN, _scope(names), "no tested condition", **place
        )
    share = single / conditions
    text = f"{single} of {numbers.plural(conditions, 'condition')} stand at one position only"
    return Verdict(
        rules.SINGLE_POSITION,
        CHECK if share > MAX_SINGLE_POSITION else PASS,
        _scope(names),
        text,
        numbers.percent(share),
        numbers.percent(MAX_SINGLE_POSITION, 0),
        single,
        **place,
    )


def _null_verdict(
    config: Mapping[str, Any], names: Mapping[str, str], table: pd.DataFrame, threshold: float
) -> Verdict:
    num_null = int(config.get("consistency", {}).get("num_null", 10_000))
    tests = table[(table["level"] == "condition") & table["p_value"].notna()]
    most = int(tests.groupby("condition_id").size().max()) if len(tests) else 1
    needed = int(np.ceil(most / threshold))
    text = (
        f"{num_null:,} random sets resolve a combination over {numbers.plural(most, 'experiment')}"
    )
    if num_null < needed:
        text = f"{num_null:,} random sets are too few for {numbers.plural(most, 'experiment')}"
    return Verdict(
        rules.NULL_RESOLUTION,
        CHECK if num_null < needed else PASS,
        _scope(names),
        text,
        f"{num_null:,}",
        f"at least {needed:,}",
        0,
        NAME,
        anchor(names, "p-values"),
    )


def _untestable_verdict(names: Mapping[str, str], table: pd.DataFrame) -> Verdict:
    total = int((table["level"] == "condition").sum())
    untested = _num_untested(table)
    share = untested / total if total else 1.0
    return Verdict(
        rules.UNTESTABLE,
        CHECK if share > MAX_UNTESTABLE else PASS,
        _scope(names),
        f"{untested} of {numbers.plural(total, 'test')} have no p-value",
        numbers.percent(share),
        numbers.percent(MAX_UNTESTABLE, 0),
        untested,
        NAME,
        anchor(names, "reasons"),
    )


def _section(names: Mapping[str, str], table: pd.DataFrame, threshold: float) -> Section:
    title = f"{names['screen']} as {names['encoder']} sees it"
    parts = [
        *_p_value_figures(names, table, threshold),
        _statistic_figure(names, table, threshold),
        *_layout_figures(names, table, threshold),
        _experiments_table(names, table, threshold),
        _reasons_table(names, table),
        _tests_table(names, table),
    ]
    lead = (
        "The statistic is the mean cosine over all pairs of a condition's replicates within an "
        "experiment, compared with random sets of as many wells of different conditions."
    )
    return Section(anchor(names, "section"), title, parts, lead)


def _p_value_figures(
    names: Mapping[str, str], table: pd.DataFrame, threshold: float
) -> list[Figure]:
    p = table.loc[table["level"] == "condition", "p_value"].dropna().to_numpy(float)
    hits, tests, share = below(table, "condition", threshold)
    expected = threshold * tests
    finding = f"{hits} of {tests} tests lie below {threshold}, where chance gives {expected:.1f}"
    return [
        Figure(
            anchor(names, "p-values"),
            finding,
            f"p-values of {tests} tests (a condition in an experiment), uncorrected. The line is "
            "the count without any effect. Good looks like a peak at 0 over a flat floor.",
            p_value_histogram(p, title=f"p-values: {finding}"),
        ),
        Figure(
            anchor(names, "qq"),
            "Small p-values are more frequent than by chance"
            if share > 2 * threshold
            else "Small p-values are about as frequent as by chance",
            f"The same {tests} p-values in order; the band holds 95 % of uniform ones, point by "
            "point. Good looks like points that leave the line at the right end only.",
            qq_plot(p, title="QQ plot of p-values"),
        ),
    ]


def _statistic_figure(names: Mapping[str, str], table: pd.DataFrame, threshold: float) -> Figure:
    tests = table[(table["level"] == "condition") & table["p_value"].notna()]
    hit = np.where(tests["p_value"] < threshold, f"p < {threshold}", "not below")
    medians = tests["statistic"].groupby(tests["p_value"] < threshold).median()
    typical = {flag: numbers.number(medians.get(flag, np.nan)) for flag in (True, False)}
    return Figure(
        anchor(names, "statistic"),
        f"Replicates agree with a median cosine of {typical[True]} below the threshold, "
        f"{typical[False]} above it",
        f"Statistic against replicates of {len(tests)} tests; without effect it is near 1/n. "
        "Good looks like two clouds at every n.",
        point_map(
            tests["num_wells"].to_numpy(float) + _spread(len(tests)),
            tests["statistic"].to_numpy(float),
            title="Statistic against number of wells",
            x_title="wells of the condition in the experiment (spread by up to 0.3)",
            y_title="mean cosine",
            group=list(hit),
        ),
    )


def _spread(size: int) -> np.ndarray:
    """Even offsets in [-0.3, 0.3] that keep points of one count apart, the same every time."""
    golden = (np.arange(size) * 0.6180339887498949) % 1.0
    offsets: np.ndarray = 0.6 * (golden - 0.5)
    return offsets


def _layout_figures(
    names: Mapping[str, str], table: pd.DataFrame, threshold: float
) -> list[Figure]:
    hits, tests, share = below(table, "layout", threshold)
    if not tests:
        return []
    p = table.loc[table["level"] == "layout", "p_value"].dropna().to_numpy(float)
    low, high = numbers.wilson_interval(hits, tests)
    return [
        Figure(
            anchor(names, "layout"),
            f"Layout guard: {numbers.percent(share)} of control positions look like phenoprints",
            f"p-values of {tests} pseudo-conditions: control wells that share only their plate "
            f"position. {hits} lie below {threshold} (95 % interval {numbers.percent(low)} to "
            f"{numbers.percent(high)}). Good looks flat; a peak at 0 means that positions have a "
            "look of their own.",
            p_value_histogram(p, title="p-values of control positions"),
        )
    ]


def _experiments_table(names: Mapping[str, str], table: pd.DataFrame, threshold: float) -> Table:
    tests = table[table["level"] == "condition"]
    rows = [
        {
            "experiment": experiment or "all experiments",
            "tests": int(part["p_value"].notna().sum()),
            "untested": int(part["p_value"].isna().sum()),
            "hits": int((part["p_value"] < threshold).sum()),
            "share": float((part["p_value"].dropna() < threshold).mean()),
            "median": float(part["statistic"].median()),
            "wells": float(part["num_wells"].median()),
        }
        for experiment, part in tests.groupby("experiment", sort=True)
    ]
    columns = [
        Column("experiment", "Experiment"),
        Column("tests", "Tests", "count"),
        Column("untested", "Without p", "count"),
        Column("hits", f"p < {threshold}", "count"),
        Column("share", "Share", "percent"),
        Column("median", "Median statistic", "number"),
        Column("wells", "Median wells", "number"),
    ]
    frame = pd.DataFrame(rows, columns=[column.name for column in columns])
    return Table(anchor(names, "experiments"), "Tests by experiment", columns, frame)


def _reasons_table(names: Mapping[str, str], table: pd.DataFrame) -> Table:
    missing = table[table["p_value"].isna()]
    counts = missing.groupby(["level", "reason"], sort=True).size().reset_index(name="tests")
    counts["meaning"] = [REASONS.get(str(reason), "") for reason in counts["reason"]]
    columns = [
        Column("level", "Level"),
        Column("reason", "Reason"),
        Column("meaning", "Meaning"),
        Column("tests", "Tests", "count"),
    ]
    return Table(anchor(names, "reasons"), "Why tests have no p-value", columns, counts)


def _tests_table(names: Mapping[str, str], table: pd.DataFrame) -> Table:
    genes = table[table["level"] == "gene"]
    frame = genes if len(genes) else table[table["level"] == "condition"]
    frame = frame.sort_values(["p_value", "statistic"], ascending=[True, False], kind="stable")
    what = Column("name", "Gene") if len(genes) else Column("condition_id", "Condition", "count")
    columns = [
        what,
        Column("experiment", "Experiment"),
        Column("num_wells", "Wells", "count"),
        Column("statistic", "Statistic", "number"),
        Column("p_value", "p", "number"),
        Column("single_position", "One position"),
        Column("reason", "Reason"),
    ]
    level = "genes" if len(genes) else "conditions"
    return Table(anchor(names, "tests"), f"Tests of {level}, smallest p first", columns, frame)


def _agreement(run: Run, there: Any) -> list[Section]:
    """Judges against each other on the conditions of a screen that both tested."""
    by_screen: dict[str, list[str]] = {}
    for names in there:
        by_screen.setdefault(names["screen"], []).append(names["encoder"])
    figures = [
        figure
        for screen, judges in by_screen.items()
        for at, first in enumerate(judges)
        for second in judges[at + 1 :]
        if (figure := _agreement_figure(run, screen, first, second)) is not None
    ]
    return [Section("agreement", "Agreement of judges", figures)] if figures else []


def _agreement_figure(run: Run, screen: str, first: str, second: str) -> Figure | None:
    keys = ["experiment", "condition_id"]
    tables = [run.table("consistency", screen=screen, encoder=judge) for judge in (first, second)]
    if any(table is None for table in tables):
        return None
    ours, theirs = (
        t.loc[t["level"] == "condition", [*keys, "p_value"]] for t in tables if t is not None
    )
    both = ours.merge(theirs, on=keys).dropna()
    if len(both) < 3:
        return None
    rho = float(both["p_value_x"].rank().corr(both["p_value_y"].rank()))
    x, y = (-np.log10(both[name].to_numpy(float)) for name in ("p_value_x", "p_value_y"))
    return Figure(
        f"{screen}-{first}-{second}".replace(".", "-"),
        f"{first} and {second} agree with a rank correlation of {numbers.number(rho)} on {screen}",
        f"p-values of {len(both)} tests that both judges made. A phenoprint needs one of them.",
        point_map(
            x,
            y,
            title=f"{first} against {second}",
            x_title=f"−log10 p, {first}",
            y_title=f"−log10 p, {second}",
            has_diagonal=True,
        ),
    )
