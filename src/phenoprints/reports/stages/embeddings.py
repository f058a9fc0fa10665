"""The page of embeddings: what every encoder saw, and the wells that it could not see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from phenoprints.foundations.provenance import artefact_path
from phenoprints.reports import numbers, rules
from phenoprints.reports.page_model import Fact, Page, Section
from phenoprints.reports.replicate_similarity import replicate_similarity_sections, share_nearer
from phenoprints.reports.runs import Run
from phenoprints.reports.stage_status import look_for, pairs
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, PASS, Verdict
from phenoprints.wells import WHOLE_WELL

NAME, TITLE = "embeddings", "Embeddings"
QUESTION = "What does every encoder see, and which wells could it not see?"
MAX_LISTED = 2000
LEFT_OUT = "no_good_site"
"""The reason of wells that quality control left out: no failure of the embedding."""

COLUMNS = (
    Column("screen", "Screen"),
    Column("encoder", "Encoder"),
    Column("kind", "Kind"),
    Column("wells", "Wells", "count"),
    Column("features", "Features", "count"),
    Column("failed", "Wells without vector", "count"),
    Column("no_good_site", "Wells without a good site", "count"),
    Column("nearer", "Replicates nearer than controls", "percent"),
    Column("dtype", "Stored as"),
)


def page(run: Run) -> Page:
    """Return the page, from the stores' attributes and tables of failures."""
    found = look_for(run, "embeddings", pairs(run.plan.pairs), "embeddings store")
    verdicts = [found.verdict(rules.EMBEDDINGS_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    rows = [_row(run, names) for names in found.there]
    facts = [fact for row in rows for fact in _facts(row)]
    verdicts += [_failed_verdict(run, row) for row in rows]
    if rows:
        frame = pd.DataFrame(rows)
        tables: list[Any] = [Table("stores", "Stores of vectors", list(COLUMNS), frame)]
        tables += _failures(run, found.there)
        sections.append(Section("vectors", "Vectors", tables))
        sections += replicate_similarity_sections(run, found.there)
    failed = sum(row["failed"] or 0 for row in rows)
    answer = (
        f"{numbers.plural(len(rows), 'store')} of vectors; {numbers.plural(failed, 'well')} have "
        "none."
        if rows
        else "Nothing was embedded."
    )
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def _row(run: Run, names: dict[str, str]) -> dict[str, Any]:
    store = artefact_path(run.path("embeddings", **names))
    group = run.document_at(store / "zarr.json") or {}
    attributes = group.get("attributes", {})
    provenance = run.document("embeddings", **names) or {}
    failures = run.table("embedding_failures", ["well_id", "site", "reason"], **names)
    num_failed = num_left_out = None
    if failures is not None:
        whole = failures[failures["site"] == WHOLE_WELL].drop_duplicates("well_id")
        num_left_out = int((whole["reason"] == LEFT_OUT).sum())
        num_failed = len(whole) - num_left_out
    wells = run.table("screen_wells", ["well_id"], screen=names["screen"])
    kind = run.config["encoders"].get(names["encoder"].removesuffix(".trimmed"), {}).get("kind", "")
    return {
        **names,
        "kind": kind,
        "wells": None if wells is None else len(wells),
        "features": _num_features(store, attributes),
        "failed": num_failed,
        "no_good_site": num_left_out,
        "nearer": share_nearer(run, names),
        "dtype": provenance.get("settings", {}).get("stored_as"),
    }


def _num_features(store: Path, attributes: dict[str, Any]) -> int | None:
    """Return the length of a vector, from the first experiment's array."""
    for entry in (attributes.get("experiments") or {}).values():
        try:
            array = json.loads((store / entry["array"] / "zarr.json").read_text(encoding="utf-8"))
            return int(array["shape"][-1])
        except (OSError, ValueError, KeyError):
            return None
    return None


def _facts(row: dict[str, Any]) -> list[Fact]:
    path = ("embeddings", row["screen"], row["encoder"])
    who = f"{row['screen']} as {row['encoder']} sees it"
    return [
        Fact((*path, "features"), f"Features, {who}", row["features"]),
        Fact((*path, "failed_wells"), f"Wells without a vector, {who}", row["failed"]),
        Fact((*path, "nearer"), f"Conditions nearer than controls, {who}", row["nearer"]),
    ]


def _failed_verdict(run: Run, row: dict[str, Any]) -> Verdict:
    limit = run.config["screens"].get(row["screen"], {}).get("max_failed_fraction", 0.01)
    failed, wells = row["failed"] or 0, row["wells"] or 0
    share = failed / wells if wells else 0.0
    return Verdict(
        rules.FAILED_ROWS,
        CHECK if failed else PASS,
        f"{row['screen']}, {row['encoder']}",
        f"{numbers.plural(failed, 'well')} of {wells:,} without a vector",
        numbers.percent(share),
        f"0 (error above {numbers.percent(limit)})",
        failed,
        NAME,
        "stores",
    )


def _failures(run: Run, there: Any) -> list[Table]:
    tables = []
    for names in there:
        table = run.table("embedding_failures", **names)
        if table is not None and len(table):
            tables.append(table.assign(screen=names["screen"], encoder=names["encoder"]))
    if not tables:
        return []
    columns = [
        Column("screen", "Screen"),
        Column("encoder", "Encoder"),
        Column("experiment", "Experiment"),
        Column("plate", "Plate"),
        Column("well", "Well"),
        Column("site", "Site"),
        Column("reason", "Reason"),
    ]
    frame = pd.concat(tables, ignore_index=True).head(MAX_LISTED)
    frame["site"] = frame["site"].astype(str).replace("-1", "whole well")
    frame["reason"] = frame["reason"].str.replace("_", " ")
    return [Table("failures", "Sites and wells without a vector, and why", columns, frame)]
