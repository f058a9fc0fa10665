"""Platemaps in pycytominer's form: plates name a map, and a map says what is in each well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from phenoprints.foundations.errors import (
    MissingInputError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.foundations.names import inside
from phenoprints.screens.problems import FILE, LINE
from phenoprints.screens.tables import MISSING, read_table

PLATE_COLUMN, MAP_COLUMN = "Assay_Plate_Barcode", "Plate_Map_Name"
WELL_COLUMN = "well_position"
SUFFIXES = (".txt", ".tsv", ".csv")


def read_platemaps(
    root: str | Path,
    barcodes: str,
    folder: str | None,
    missing: Sequence[str] = MISSING,
) -> tuple[pd.DataFrame, list[Path]]:
    """Return a row for each plate and well of its map, and the files that were read.

    Parameters
    ----------
    root
        Folder that the paths start from.
    barcodes
        Table with the columns `Assay_Plate_Barcode` and `Plate_Map_Name`.
    folder
        Folder of the maps (`<name>.txt`, also .tsv, .csv); by default `platemap` beside the table.
    missing
        Cell texts that mean "nothing is known".

    Raises
    ------
    TableError, MissingInputError
        A plate has two maps, a column is missing, or maps are not there; all in one message.
    UnsafeInputError
        The name of a map leads out of its folder.
    """
    place = Path(root) / barcodes
    plates = read_table(place, missing=missing, columns=[PLATE_COLUMN, MAP_COLUMN])
    twice = plates[plates.duplicated(PLATE_COLUMN, keep=False)]
    raise_problems(
        Problem(str(place), f"plate {plate} stands in {len(rows)} rows", "one platemap each")
        for plate, rows in twice.groupby(PLATE_COLUMN, sort=True)
    )
    where = Path(root) / folder if folder is not None else place.parent / "platemap"
    files = _find_maps(where, plates)
    maps = [
        read_table(file, missing=missing).assign(**{FILE: str(file), MAP_COLUMN: name})
        for name, file in files.items()
    ]
    raise_problems(
        Problem(str(table[FILE].iloc[0]), f'column "{WELL_COLUMN}" is missing', "a platemap")
        for table in maps
        if WELL_COLUMN not in table
    )
    together = pd.concat(maps, ignore_index=True)
    together = together.drop(columns=[c for c in together if c in ("plate_map_name", PLATE_COLUMN)])
    whole = plates.drop(columns=[LINE]).merge(together, on=MAP_COLUMN, how="inner")
    return whole, [place, *files.values()]


def _find_maps(folder: Path, plates: pd.DataFrame) -> dict[str, Path]:
    files: dict[str, Path] = {}
    problems = []
    for name in plates[MAP_COLUMN].dropna().unique():
        candidates = [inside(folder, f"{name}{suffix}") for suffix in SUFFIXES]
        there = [file for file in candidates if file.is_file()]
        if there:
            files[str(name)] = there[0]
        else:
            rows = int((plates[MAP_COLUMN] == name).sum())
            what = f'the platemap "{name}" of {rows} plates is not there'
            problems.append(Problem(str(folder), what, f"{name}.txt"))
    raise_problems(problems, MissingInputError)
    if not files:
        raise TableError(f"{folder}: no plate names a platemap.")
    return files
