"""Write a screen's tables where the workflow expects them."""

from __future__ import annotations

from pathlib import Path

from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.publishing import publish_json, publish_table, publish_text
from phenoprints.screens.contracts import CONDITIONS, SITES, WELLS
from phenoprints.screens.listing import Screen


def write_screen(screen: Screen, folder: str | Path) -> None:
    """Publish wells, sites, conditions, notes and extra tables of a screen in `folder`.

    Extra tables are `<name>.parquet` beside the others; the notes list their names.
    """
    place = Path(folder)
    WELLS.write(place / "wells.parquet", screen.wells)
    SITES.write(place / "sites.parquet", screen.sites)
    CONDITIONS.write(place / "conditions.parquet", screen.conditions)
    for name, table in sorted(screen.extras.items()):
        publish_table(place / f"{name}.parquet", table)
    publish_json(place / "notes.json", {**screen.notes, "extras": sorted(screen.extras)})


def write_problems(error: PhenoprintsError, path: str | Path) -> None:
    """Publish every problem that an error carries, one after the other, as text."""
    publish_text(path, "\n".join(map(str, error.problems)) + "\n")
