"""The tables of known biology that benchmarks used, and on what terms."""

from __future__ import annotations

from typing import Any

import pandas as pd

from phenoprints.foundations.provenance import provenance_path
from phenoprints.reports.page_model import Section, Text
from phenoprints.reports.runs import Run
from phenoprints.reports.tables import Column, Table


def terms_sections(run: Run) -> list[Section]:
    """One section with licence and citation of every table; none where no table was used."""
    terms: dict[str, dict[str, Any]] = {}
    for screen, encoder in run.plan.evaluated_pairs:
        path = run.path("benchmark_table", screen=screen, encoder=encoder)
        document = run.document_at(provenance_path(path)) or {}
        terms |= document.get("notes", {}).get("terms", {})
    if not terms:
        return []
    rows = [
        {
            "table": name,
            "licence": told["licence"],
            "use": "non-commercial only" if told["is_non_commercial"] else "any",
            "citation": told["citation"],
        }
        for name, told in sorted(terms.items())
    ]
    columns = [
        Column("table", "Table"),
        Column("licence", "Licence"),
        Column("use", "Use"),
        Column("citation", "Citation"),
    ]
    shown = Table("terms", "Tables of known biology", columns, pd.DataFrame(rows))
    text = "Results that rest on a table stand under its terms, too."
    return [Section("terms-section", "Tables of known biology", [Text(text), shown])]
