"""The page of consistency: what looks the same every time, and how often chance and layout do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.consistency.guard import NOT_HELD_OUT
from phenoprints.consistency.pseudo_conditions import COPY_REASONS
from phenoprints.consistency.sensitivity import screen_power
from phenoprints.consistency.separation import can_reach
from phenoprints.curation.measured import REASON_TEXTS
from phenoprints.foundations.provenance import provenance_path
from phenoprints.reports import numbers, rules
from phenoprints.reports.frames import has_values
from phenoprints.reports.page_model import Fact, Page, Section
from phenoprints.reports.runs import Run
from phenoprints.reports.stage_status import look_for, pairs
from phenoprints.reports.stages.consistency_figures import (
    agreement,
    experiment_panels,
    test_figures,
)
from phenoprints.reports.stages.consistency_tests import (
    anchor,
    below,
    p_value_threshold,
    single_positions,
)
from phenoprints.reports.stages.guard import Guard, guard_facts, guard_of_judge, judge_verdict
from phenoprints.reports.stages.power import power_facts, power_sentence, shared_verdicts
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, NOT_RUN, PASS, Verdict

NAME, TITLE = "consistency", "Consistency"
QUESTION = "Which conditions look the same every time, more than random sets of wells do?"
MAX_SINGLE_POSITION = 0.5
MAX_UNTESTABLE = 0.2

CONDITION_NAMES = {
    "perturbation": Column("perturbation", "Perturbation"),
    "concentration_um": Column("concentration_um", "Concentration", "number", "µM"),
    "cell_type": Column("cell_type", "Cell type"),
    "background": Column("background", "Background"),
}
REASONS = {
    "too_few_sets": "fewer distinct null sets than 1/threshold: no p-value could be below it",
    **{reason: REASON_TEXTS[reason] for reason in COPY_REASONS},
    NOT_HELD_OUT: REASON_TEXTS[NOT_HELD_OUT],
    "too_few_conditions": "too few conditions in the experiment for a null",
    "too_few_wells": "fewer than two wells",
    "zero_vector": "a vector of length zero",
    "not_finite": "vectors that are missing or not finite",
}


def page(run: Run) -> Page:
    """Return the page, from the consistency table of every screen and judge."""
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
        guard = guard_of_judge(run.config, names, table, threshold)
        facts += _facts(names, table, threshold, guard)
        verdicts += [
            judge_verdict(names, table, guard, threshold),
            *_verdicts(run.config, names, table, threshold),
            *_repeated_verdict(run, names),
        ]
        sections.append(_section(run, names, table, threshold, guard))
        shares.append(below(table, "condition", threshold).value)
    sections += agreement(run, found.there)
    answer = _answer(shares)
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def _answer(shares: list[float]) -> str:
    if not shares:
        return "No consistency test has run."
    low, high = numbers.percent(min(shares)), numbers.percent(max(shares))
    if len(shares) == 1:
        return f"{low} of the tests of conditions lie below the threshold."
    return f"{low} to {high} of the tests of conditions lie below the threshold, by judge."


def _facts(
    names: Mapping[str, str], table: pd.DataFrame, threshold: float, guard: Guard
) -> list[Fact]:
    path = ("consistency", names["screen"], names["encoder"])
    who = f"{names['screen']} as {names['encoder']} sees it"
    hits = below(table, "condition", threshold)
    facts = [
        Fact((*path, "tests"), f"Tests of conditions, {who}", hits.total),
        Fact((*path, "threshold"), f"Threshold of p, {who}", threshold),
        Fact((*path, "below_threshold"), f"Tests below it, {who}", hits.count),
        Fact(
            (*path, "share_below_threshold"),
            f"Share of tests below p = {threshold}, {who}",
            hits.value,
            hits.shown,
            f"{hits.count:,} of {hits.total:,}",
            headline=True,
        ),
        Fact((*path, "without_p_value"), f"Tests without a p-value, {who}", _num_untested(table)),
    ]
    genes = below(table, "gene", threshold)
    if genes.total:
        label = f"Gene tests below it, {who}"
        facts += [
            Fact((*path, "gene_tests"), f"Tests of genes, {who}", genes.total),
            Fact((*path, "genes_below_threshold"), label, genes.count),
        ]
    single, conditions = single_positions(table)
    facts.append(
        Fact(
            (*path, "single_position_conditions"),
            f"Conditions at one position only, {who}",
            single,
            note=f"of {conditions} tested",
        )
    )
    facts += power_facts((*path, "power"), who, screen_power(table, threshold))
    return facts + guard_facts((*path, "false_phenoprints"), who, guard, threshold)


def _num_untested(table: pd.DataFrame) -> int:
    tests = table[table["level"] == "condition"]
    return int(tests["p_value"].isna().sum())


def _verdicts(
    config: Mapping[str, Any], names: Mapping[str, str], table: pd.DataFrame, threshold: float
) -> list[Verdict]:
    return [
        _single_verdict(names, table),
        null_verdict(config, names, table, threshold),
        _untestable_verdict(names, table),
        *shared_verdicts(names, screen_power(table, threshold)),
    ]


def _scope(names: Mapping[str, str]) -> str:
    return f"{names['screen']}, {names['encoder']}"


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


def null_verdict(
    config: Mapping[str, Any], names: Mapping[str, str], table: pd.DataFrame, threshold: float
) -> Verdict:
    """CHECK when null sets, drawn or existing, are too few for the threshold."""
    num_null = int(config["screens"][names["screen"]]["consistency"]["num_null"])
    tests = table[(table["level"] == "condition") & table["p_value"].notna()]
    most = int(tests.groupby("condition_id").size().max()) if len(tests) else 1
    needed = int(np.ceil(most / threshold))
    text = (
        f"{num_null:,} random sets resolve a combination over {numbers.plural(most, 'experiment')}"
    )
    if num_null < needed:
        text = f"{num_null:,} random sets are too few for {numbers.plural(most, 'experiment')}"
    can = can_reach(table, threshold)
    unable = int((~can).sum())
    if unable:
        text = (
            f"{unable} of {numbers.plural(len(can), 'test')} cannot fall below {threshold}: their "
            "plates hold too few different null sets"
        )
    is_coarse = num_null < needed or unable > MAX_UNTESTABLE * len(can)
    return Verdict(
        rules.NULL_RESOLUTION,
        CHECK if is_coarse else PASS,
        _scope(names),
        text,
        f"{num_null:,}",
        f"at least {needed:,}",
        unable,
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


def _repeated_verdict(run: Run, names: Mapping[str, str]) -> list[Verdict]:
    """CHECK when vectors stand under several wells; nothing where the test did not count them."""
    document = run.document_at(provenance_path(run.path("consistency", **names))) or {}
    count = document.get("notes", {}).get("repeated_vectors")
    if count is None:
        return []
    text = f"{numbers.plural(count, 'well')} with the vector of another well, which counts alone"
    place: dict[str, Any] = {"page": NAME, "anchor": anchor(names, "section")}
    status = CHECK if count else PASS
    verdict = Verdict(
        rules.REPEATED_VECTORS, status, _scope(names), text, f"{count:,}", "0", count, **place
    )
    return [verdict]


def _section(
    run: Run, names: Mapping[str, str], table: pd.DataFrame, threshold: float, guard: Guard
) -> Section:
    title = f"{names['screen']} as {names['encoder']} sees it"
    parts = [
        *test_figures(names, table, threshold, guard),
        _experiments_table(names, table, threshold),
        *experiment_panels(names, table, threshold),
        _reasons_table(names, table),
        *_tests_tables(run, names, table),
    ]
    lead = (
        "The statistic is the mean cosine over all pairs of a condition's replicates within an "
        "experiment, compared with random sets of as many wells of different conditions. "
        + power_sentence(screen_power(table, threshold), threshold)
    )
    return Section(anchor(names, "section"), title, parts, lead)


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


MARKS = {"single_position": "One position", "single_plate": "One plate"}
"""Marks of a test's wells, shown as yes or no; results of version 0.1 have the first only."""

TEST_COLUMNS = (
    Column("experiment", "Experiment"),
    Column("num_wells", "Wells", "count"),
    Column("statistic", "Statistic", "number"),
    Column("p_value", "p", "number"),
    *(Column(mark, title) for mark, title in MARKS.items()),
    Column("reason", "Reason"),
)


def _tests_tables(run: Run, names: Mapping[str, str], table: pd.DataFrame) -> list[Table]:
    """Every test of conditions, named as the screen names them, and of genes where there are."""
    ordered = table.sort_values(["p_value", "statistic"], ascending=[True, False], kind="stable")
    conditions = ordered[ordered["level"] == "condition"].drop(columns="name")
    named = run.table("screen_conditions", ["condition_id", *CONDITION_NAMES], **names)
    if named is not None:
        conditions = conditions.merge(named, on="condition_id", how="left")
    what = [c for name, c in CONDITION_NAMES.items() if name in conditions]
    tables = [_tests_table(names, "tests", "conditions", [*what, *TEST_COLUMNS], conditions)]
    genes = ordered[ordered["level"] == "gene"]
    if len(genes):
        columns = [Column("name", "Gene"), *TEST_COLUMNS]
        tables.append(_tests_table(names, "gene-tests", "genes", columns, genes))
    return tables


def _tests_table(
    names: Mapping[str, str], what: str, level: str, columns: list[Column], frame: pd.DataFrame
) -> Table:
    there = [column for column in columns if column.name in frame]
    told = [column for column in there if has_values(frame[column.name])]
    words = frame.assign(
        **{mark: np.where(frame[mark], "yes", "no") for mark in MARKS if mark in frame}
    )
    return Table(anchor(names, what), f"Tests of {level}, smallest p first", told, words)
