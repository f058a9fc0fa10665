"""What was noted while the tables of a screen were read: on its wells and on its profiles."""

from __future__ import annotations

from typing import Any

import pandas as pd

from phenoprints.reports.page_model import Text
from phenoprints.reports.runs import Run
from phenoprints.reports.tables import Column, Table

EXCLUDED = (
    Column("encoder", "Encoder"),
    Column("reason", "Why they are no features"),
    Column("num_columns", "Columns", "count"),
    Column("columns", "Names"),
)


def table_notes(run: Run, screen: str) -> list[Text | Table]:
    """Return a list of what was noted of the screen's tables, and the columns left out.

    Both come from stored documents: `notes.json` of the screen and the provenance of the
    precomputed encoders. Empty where there is nothing to report.
    """
    notes = [str(text) for text in (run.document("screen_notes", screen=screen) or {}).get(
        "warnings", [])]  # fmt: skip
    excluded: list[pd.DataFrame] = []
    for pair_screen, encoder in run.plan.precomputed_pairs:
        if pair_screen != screen:
            continue
        document = run.document("embeddings", screen=screen, encoder=encoder) or {}
        stored: dict[str, Any] = document.get("notes", {})
        notes += [f"{encoder}: {text}" for text in stored.get("warnings", [])]
        if rows := stored.get("excluded_columns"):
            excluded.append(pd.DataFrame(rows).assign(encoder=encoder))
    parts: list[Text | Table] = []
    if notes:
        parts.append(Text("Noted while the tables were read and matched:", notes))
    if excluded:
        frame = pd.concat(excluded, ignore_index=True)
        caption = f"Columns of the tables of {screen} that are no features"
        parts.append(Table(f"{screen}-excluded", caption, EXCLUDED, frame))
    return parts
