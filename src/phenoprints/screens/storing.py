"""Write a screen's tables where the workflow expects them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phenoprints.foundations.errors import MAX_SHOWN, PhenoprintsError
from phenoprints.foundations.names import file_name
from phenoprints.foundations.provenance import provenance_path
from phenoprints.foundations.publishing import publish_json, publish_table, publish_text
from phenoprints.screens.listing import Screen
from phenoprints.wells.contracts import CONDITIONS, SITES, WELLS


def write_screen(screen: Screen, folder: str | Path) -> list[Path]:
    """Publish wells, sites, conditions, extra tables and notes of a screen in `folder`.

    Extra tables are `<name>.parquet` beside the others; the notes, written last, list their names.
    Extra tables of an earlier form of the screen are removed. Returns the files that were written.
    """
    place = Path(folder)
    for name in sorted(_extras_there(place) - set(screen.extras)):
        (place / f"{file_name(name)}.parquet").unlink(missing_ok=True)
        provenance_path(place / f"{file_name(name)}.parquet").unlink(missing_ok=True)
    WELLS.write(place / "wells.parquet", screen.wells)
    SITES.write(place / "sites.parquet", screen.sites)
    CONDITIONS.write(place / "conditions.parquet", screen.conditions)
    for name, table in sorted(screen.extras.items()):
        publish_table(place / f"{name}.parquet", table)
    publish_json(place / "notes.json", {**screen.notes, "extras": sorted(screen.extras)})
    tables = ["wells", "sites", "conditions", *sorted(screen.extras)]
    return [*(place / f"{name}.parquet" for name in tables), place / "notes.json"]


def _extras_there(folder: Path) -> set[str]:
    try:
        return set(json.loads((folder / "notes.json").read_text(encoding="utf-8"))["extras"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


@contextmanager
def problems_written(path: str | Path) -> Iterator[None]:
    """Write the problems of an error to `path` when they are more than its message shows."""
    try:
        yield
    except PhenoprintsError as error:
        if len(error.problems) > MAX_SHOWN:
            publish_text(path, "\n".join(map(str, error.problems)) + "\n")
            error.args = (f"{error}\nAll of them stand in {path}.",)
        raise
