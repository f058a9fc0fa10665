"""The page of matches: what new screens resemble on a frozen reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from phenoprints.reports import numbers, rules
from phenoprints.reports.examples import Example, bad_wells, example_gallery
from phenoprints.reports.links import place_of
from phenoprints.reports.page_model import Box, Fact, Figure, Gallery, Page, Section
from phenoprints.reports.runs import Run
from phenoprints.reports.scatter import REST, point_map
from phenoprints.reports.stage_status import look_for, pairs
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import FAIL, NOT_RUN, PASS, Verdict
from phenoprints.wells import single_condition

NAME, TITLE = "matches", "Matches"
QUESTION = "What do new conditions resemble?"
NUM_NAMED = 3
"""Neighbours that are named in the row of a condition."""

NUM_PICTURED = 3
MEASURES = {
    "outside": "Share outside the components",
    "spread": "Mahalanobis distance, squared, per component",
    "distance": "Energy distance, in mean distances of two controls",
}
REASONS = {
    "too_few_wells": "one well",
    "too_few_conditions": "too few other conditions",
    "too_few_sets": "too few random sets",
    "zero_vector": "a vector of length 0",
    "not_finite": "no vector",
    "no_reference": "no other perturbation",
}


def page(run: Run) -> Page:
    """Return the page, from the tables of every matched screen."""
    found = look_for(run, "matches", pairs(run.plan.matched_pairs), "table of matches")
    verdicts = [found.verdict(rules.MATCHES_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    facts: list[Fact] = []
    for names in found.there:
        table, fits = run.table("matches", **names), run.table("match_fits", **names)
        if table is None or fits is None:
            continue
        facts += _facts(run, names, table)
        verdicts.append(_fit_verdict(names, fits))
        sections.append(_section(run, names, table, fits))
    shown = "; ".join(f"{fact.label.lower()}: {fact.shown}" for fact in facts[:2])
    answer = f"{shown[:1].upper()}{shown[1:]}." if shown else "No screen was matched."
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def _max_q(run: Run) -> float:
    return float(run.config["match"]["max_q"])


def _first(table: pd.DataFrame) -> pd.DataFrame:
    """Return the row of each condition's nearest neighbour, or its only row."""
    return table[table["rank"] <= 1].reset_index(drop=True)


def _facts(run: Run, names: dict[str, str], table: pd.DataFrame) -> list[Fact]:
    first = _first(table)
    where, path = f"{names['screen']} by {names['encoder']}", ("matches", *names.values())
    like, novel = int((first["q_value"] < _max_q(run)).sum()), int(first["is_novel"].sum())
    total = f"of {len(first)} conditions"
    return [
        Fact((*path, "with_neighbour"), f"Conditions with a neighbour, {where}", like,
             note=total, headline=True),
        Fact((*path, "novel"), f"Phenoprints that resemble nothing, {where}", novel, note=total),
        Fact((*path, "conditions"), f"New conditions, {where}", len(first)),
    ]  # fmt: skip


def _fit_verdict(names: dict[str, str], fits: pd.DataFrame) -> Verdict:
    where = f"{names['screen']}, {names['encoder']}"
    failed = fits[fits["status"] == "FAIL"]
    status = FAIL if len(failed) else NOT_RUN if (fits["status"] == "NOT RUN").all() else PASS
    batches = fits["batch"].nunique()
    text = {
        FAIL: f"controls of {failed['batch'].nunique()} of {batches} batches do not fit",
        NOT_RUN: f"the reference has {fits['num_batches'].max()} batches, too few for a limit",
        PASS: f"controls of {numbers.plural(batches, 'batch', 'batches')} fit",
    }[status]
    return Verdict(
        rules.MATCH_FIT, status, where, text, str(failed["batch"].nunique()), "0",
        len(failed), NAME, place_of(names, "fit"),
    )  # fmt: skip


def _section(run: Run, names: dict[str, str], table: pd.DataFrame, fits: pd.DataFrame) -> Section:
    parts: list[Any] = _misfits(names, fits)
    parts += [_conditions_table(run, names, table), _place(run, names, table)]
    parts += _examples(run, names, table)
    parts += [_neighbours_table(names, table), _fits_table(names, fits)]
    lead = (
        f"A neighbour counts with q below {_max_q(run):g}; the reference and all that was "
        "published of it stay as they are."
    )
    return Section(
        place_of(names, "section"), f"{names['screen']} by {names['encoder']}", parts, lead
    )


def _misfits(names: dict[str, str], fits: pd.DataFrame) -> list[Box]:
    """Return one box that says in words which experiments do not fit."""
    failed = fits[fits["status"] == "FAIL"]
    if failed.empty:
        return []
    told = [
        f"{row.batch}: {MEASURES[str(row.measure)].lower()} {row.value:.3g}, limit {row.limit:.3g}"
        for row in failed.itertuples()
    ]
    text = (
        f"The controls of these batches lie outside the range of the reference's: "
        f"{'; '.join(told[:10])}. Their rows are marked; do not read neighbours from them before "
        "stain, exposure, encoder and cell type are known to be the same."
    )
    return [Box("Does not fit", text, FAIL, place_of(names, "misfit"))]


def _conditions_table(run: Run, names: dict[str, str], table: pd.DataFrame) -> Table:
    first = _first(table)
    near = table[table["rank"].between(1, NUM_NAMED)]
    named = near.assign(
        text=near["neighbour"] + " (" + near["cosine"].map(lambda value: f"{value:.2f}") + ")"
    )
    lists = named.groupby("condition_id")["text"].agg("; ".join)
    frame = first.assign(
        nearest=first["condition_id"].map(lists).fillna(""),
        verdict=_words(first, _max_q(run)),
        untested=first["reason"].map(REASONS).fillna(""),
        order=first["q_value"].fillna(2),
    ).sort_values(["order", "name"], kind="stable")
    columns = [
        Column("name", "Condition"),
        Column("num_wells", "Wells", "count"),
        Column("consistency_p_value", "p of a phenoprint", "number"),
        Column("verdict", "Result"),
        Column("nearest", "Nearest, with cosine"),
        Column("annotation", "The nearest is"),
        Column("low", "Cosine from", "number"),
        Column("high", "to", "number"),
        Column("p_value", "p", "number"),
        Column("q_value", "q", "number"),
        Column("untested", "Not tested because"),
    ]
    note = (
        "p is the share of random sets of as many wells, of other conditions on the same plates, "
        "whose largest cosine with any reference perturbation is as large; q is that of Benjamini "
        "and Hochberg over the conditions. The interval comes from resampling the wells."
    )
    caption = f"What each of {len(first)} new conditions resembles"
    return Table(place_of(names, "conditions"), caption, columns, frame, note)


def _words(first: pd.DataFrame, max_q: float) -> np.ndarray:
    """Return the result of each condition in words."""
    return np.select(
        [
            first["is_misfit"],
            first["q_value"] < max_q,
            first["is_novel"],
            first["p_value"].isna(),
        ],
        ["does not fit", "resembles", "novel", "not tested"],
        "no neighbour",
    )


def _place(run: Run, names: dict[str, str], table: pd.DataFrame) -> Figure | Box:
    places, first = run.table("match_map", **names), _first(table)
    anchor = place_of(names, "place")
    first = first[first["x"].notna()]
    if places is None or places.empty or first.empty:
        return Box("No places", "The reference's map has no layout.", anchor=anchor)
    level = first["level"].mode().iloc[0]
    known = places[places["level"] == level]
    words = _words(first, _max_q(run))
    group = [REST] * len(known) + [
        {"resembles": "new, resembles"}.get(w, f"new, {w}") for w in words
    ]
    return Figure(
        anchor,
        f"{numbers.plural(len(first), 'new condition')} on the reference's map",
        f"Grey: {len(known)} perturbations of the reference (level {level}). A new condition lies "
        "at the mean of its five nearest neighbours, weighted by cosine: a place to look, not a "
        "measurement.",
        point_map(
            np.append(known["x"].to_numpy(float), first["x"].to_numpy(float)),
            np.append(known["y"].to_numpy(float), first["y"].to_numpy(float)),
            title="New conditions on the map",
            x_title="first axis",
            y_title="second axis",
            group=group,
            radius=3.0,
        ),
    )


def _neighbours_table(names: dict[str, str], table: pd.DataFrame) -> Table:
    columns = [
        Column("name", "Condition"),
        Column("rank", "Rank", "count"),
        Column("neighbour", "Neighbour"),
        Column("annotation", "Known of it"),
        Column("cosine", "Cosine", "number"),
        Column("low", "from", "number"),
        Column("high", "to", "number"),
        Column("p_value", "p", "number"),
        Column("q_value", "q", "number"),
    ]
    frame = table[table["rank"] > 0]
    return Table(
        place_of(names, "neighbours"), "All neighbours of every new condition", columns, frame,
        "Search for a name.",
    )  # fmt: skip


def _fits_table(names: dict[str, str], fits: pd.DataFrame) -> Table:
    columns = [
        Column("batch", "Batch"),
        Column("what", "Measure of its controls"),
        Column("value", "Value", "number"),
        Column("limit", "Limit", "number"),
        Column("num_batches", "Batches behind the limit", "count"),
        Column("status", "Verdict", "verdict"),
    ]
    frame = fits.assign(what=fits["measure"].map(MEASURES))
    note = (
        "Measured before the batch is aligned, and compared with each batch of the reference left "
        "out of its fit in turn."
    )
    return Table(
        place_of(names, "fit"), "Whether the controls are like the reference's", columns, frame,
        note,
    )  # fmt: skip


def _examples(run: Run, names: dict[str, str], table: pd.DataFrame) -> list[Gallery | Box]:
    """Return wells of the nearest conditions, and of their neighbours where the run has them."""
    screen = names["screen"]
    if screen in run.plan.screens_without_images:
        return []
    near = _first(table).dropna(subset=["q_value"]).sort_values("q_value", kind="stable")
    chosen = near.head(NUM_PICTURED)
    ids = _wells_of(run, screen)
    shown = zip(chosen["condition_id"].tolist(), chosen["name"], chosen["neighbour"], strict=True)
    examples = [
        Example(ids[key], f"{name}, like {like}") for key, name, like in shown if key in ids
    ]
    galleries = [
        example_gallery(
            run, screen, examples, anchor=place_of(names, "examples"),
            title="Wells of the conditions that resemble something most surely",
            caption="One well of each; only wells that passed quality control.",
        )
    ]  # fmt: skip
    return galleries + _reference_examples(run, names, chosen)


def _wells_of(run: Run, screen: str) -> dict[int, int]:
    """Return one good well of each condition of a screen."""
    wells = run.table("screen_wells", ["well_id", "conditions"], screen=screen)
    if wells is None:
        return {}
    wells = wells[~wells["well_id"].isin(bad_wells(run, screen))]
    wells = wells.assign(code=single_condition(wells["conditions"])).drop_duplicates("code")
    pairs_of = zip(wells["code"].tolist(), wells["well_id"].tolist(), strict=True)
    return {code: well_id for code, well_id in pairs_of if code >= 0}


def _reference_examples(
    run: Run, names: dict[str, str], chosen: pd.DataFrame
) -> list[Gallery | Box]:
    """Return the neighbours of these conditions, from screens of this run that hold them."""
    galleries: list[Gallery | Box] = []
    for screen in run.plan.screens_with_images:
        conditions = run.table("screen_conditions", screen=screen)
        if conditions is None or screen == names["screen"]:
            continue
        ids, examples = _wells_of(run, screen), []
        for row in chosen.drop_duplicates("neighbour").itertuples():
            bare = str(row.neighbour).split(" @ ")[0]
            columns = [c for c in ("perturbation", "gene", "guide") if c in conditions]
            same = conditions[(conditions[columns] == bare).any(axis=1)]["condition_id"]
            wells = [ids[int(key)] for key in same if int(key) in ids]
            examples += [Example(wells[0], f"{row.neighbour} of {screen}")] if wells else []
        if examples:
            galleries.append(
                example_gallery(
                    run, screen, examples, anchor=place_of(names, f"examples-{screen}"),
                    title=f"Their neighbours, in screen {screen}",
                    caption="One well of each perturbation.",
                )
            )  # fmt: skip
    return galleries
