"""What was noted of the tables of a screen is on the page of screens."""

from __future__ import annotations

from tests.tables.small_tables import good_table, write_config

from phenoprints.configuration import load
from phenoprints.foundations.publishing import publish_json
from phenoprints.reports.page_model import Text
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.table_notes import table_notes
from phenoprints.reports.tables import Table


def test_notes_and_excluded_columns_are_on_the_page(tmp_path):
    good_table().to_csv(tmp_path / "wells.csv", index=False)
    run = Run(tmp_path / "results", load(write_config(tmp_path)))
    assert table_notes(run, "s") == []
    publish_json(run.path("screen_notes", screen="s"), {"warnings": ["3 doses differ"]})
    excluded = [{"reason": "mapped", "num_columns": 2, "columns": "plate, dose"}]
    notes = {"warnings": ["1 plates have no row"], "excluded_columns": excluded}
    publish_json(run.path("embeddings", screen="s", encoder="e"), {"notes": notes})
    text, table = table_notes(run, "s")
    assert isinstance(text, Text)
    assert list(text.items) == ["3 doses differ", "e: 1 plates have no row"]
    assert isinstance(table, Table)
    assert [cell.text for cell in table.first_rows[0]] == ["e", "mapped", "2", "plate, dose"]
