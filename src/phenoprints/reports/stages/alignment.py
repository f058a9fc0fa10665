"""The page of alignment: how batch effects were removed, on which controls."""

from __future__ import annotations

from typing import Any

import pandas as pd

from phenoprints.foundations.provenance import artefact_path
from phenoprints.reports import numbers, rules
from phenoprints.reports.page_model import Fact, Page, Passage, Section, Text
from phenoprints.reports.runs import Run
from phenoprints.reports.stage_status import look_for, pairs
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, NOT_RUN, PASS, Verdict

NAME, TITLE = "alignment", "Alignment"
QUESTION = "How were batch effects removed, and are there enough controls to do so?"
DEFAULT_WARN = 16


def page(run: Run) -> Page:
    """Return the page, from the index that every alignment keeps."""
    found = look_for(run, "alignment", pairs(run.plan.aligned_pairs), "alignment")
    facts: list[Fact] = []
    verdicts = [found.verdict(rules.ALIGNMENT_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    for names in found.there:
        index = run.document_at(artefact_path(run.path("alignment", **names)) / "index.json")
        if index is None:
            continue
        attributes = index.get("attributes", {})
        batches = batch_table(index)
        facts += _facts(names, attributes, batches)
        verdicts.append(_batches_verdict(run, names, batches))
        sections.append(_section(names, attributes, batches))
    method = run.config.get("alignment", {}).get("method", "")
    answer = (
        f"{numbers.plural(len(found.there), 'alignment')} by {method}; the maps are applied on "
        "reading."
        if found.there
        else "Nothing was aligned."
    )
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def batch_table(index: dict[str, Any]) -> pd.DataFrame:
    """One row per experiment: controls used, and the reason where it was not aligned."""
    controls = index.get("attributes", {}).get("num_controls") or {}
    rows = [
        {"experiment": name, "controls": controls.get(name), "reason": entry.get("reason") or ""}
        for name, entry in sorted(index.get("experiments", {}).items())
    ]
    return pd.DataFrame(rows, columns=["experiment", "controls", "reason"])


def _anchor(names: dict[str, str]) -> str:
    return f"{names['screen']}-{names['encoder'].replace('.', '-')}"


def _facts(names: dict[str, str], attributes: dict[str, Any], batches: pd.DataFrame) -> list[Fact]:
    path = ("alignment", names["screen"], names["encoder"])
    who = f"{names['screen']} as {names['encoder']} sees it"
    facts = [Fact((*path, "batches"), f"Batches, {who}", len(batches))]
    return facts + [
        Fact((*path, key), f"{label}, {who}", attributes[key])
        for key, label in (("num_features", "Features in"), ("num_components", "Components kept"))
        if attributes.get(key) is not None
    ]


def _batches_verdict(run: Run, names: dict[str, str], batches: pd.DataFrame) -> Verdict:
    warn = run.config.get("alignment", {}).get("warn_controls", DEFAULT_WARN)
    counts = batches["controls"].dropna()
    who = f"{names['screen']}, {names['encoder']}"
    place: dict[str, Any] = {"page": NAME, "anchor": _anchor(names)}
    if counts.empty:
        text = "the alignment does not say how many controls each batch had"
        return Verdict(rules.SMALL_BATCHES, NOT_RUN, who, text, **place)
    low = int((counts < warn).sum())
    text = (
        f"{int(counts.min())} controls in the smallest of "
        f"{numbers.plural(len(counts), 'batch', 'batches')}"
    )
    status = CHECK if low else PASS
    return Verdict(
        rules.SMALL_BATCHES, status, who, text, str(int(counts.min())), str(warn), low, **place
    )


def _section(names: dict[str, str], attributes: dict[str, Any], batches: pd.DataFrame) -> Section:
    lines = "\n".join(f"{k}: {v}" for k, v in sorted(attributes.get("settings", {}).items()))
    notes = [str(note) for note in attributes.get("notes") or []]
    columns = [
        Column("experiment", "Batch"),
        Column("controls", "Controls", "count"),
        Column("reason", "Reason where not aligned"),
    ]
    parts: list[Any] = [Table(_anchor(names), "Batches and their controls", columns, batches)]
    if notes:
        parts.append(Text("The fit noted:", notes))
    parts.append(Passage(f"{_anchor(names)}-settings", "Settings of this alignment", lines))
    title = f"{names['screen']} as {names['encoder']} sees it"
    return Section(f"{_anchor(names)}-section", title, parts)
