"""Platemaps in pycytominer's form: plates name a map, and a map says what is in each well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from phenoprints.foundations.errors import (
    MissingInputError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.foundations.names import inside
from phenoprints.foundations.table_files import LINE, TableFormat, read_names
from phenoprints.screens.problems import FILE
from phenoprints.screens.tables import unequal_columns

PLATE_COLUMN, MAP_COLUMN = "Assay_Plate_Barcode", "Plate_Map_Name"
WELL_COLUMN = "well_position"
SUFFIXES = (".txt", ".tsv", ".csv")


@dataclass(frozen=True)
class Platemaps:
    """The barcode table, a row for each plate and well of its map, and the files of both."""

    plates: pd.DataFrame
    maps: pd.DataFrame
    files: list[Path]

    @property
    def wells(self) -> pd.DataFrame:
        """Each plate and well with all columns of both tables."""
        plates = self.plates.drop(columns=MAP_COLUMN)
        return plates.merge(self.maps, on=PLATE_COLUMN, how="inner")


def read_platemaps(
    root: str | Path, barcodes: str, folder: str | None, form: TableFormat, notes: list[str]
) -> Platemaps:
    """Return what the platemaps say, with all columns of both tables.

    Parameters
    ----------
    root
        Folder that the paths start from.
    barcodes
        Table with the columns `Assay_Plate_Barcode` and `Plate_Map_Name`; its further columns
        belong to every well of the plate.
    folder
        Folder of the maps (`<name>.txt`, also .tsv, .csv); by default `platemap` beside the table.
    form, notes
        How the tables are written; receives what was noted while reading.

    Raises
    ------
    TableError, MissingInputError
        A plate has two maps, a column is missing or in both tables, or maps are not there; all in
        one message.
    UnsafeInputError
        The name of a map leads out of its folder.
    """
    place = Path(root) / barcodes
    plates = _read(place, [PLATE_COLUMN, MAP_COLUMN], form, notes).drop(columns=LINE)
    twice = plates[plates.duplicated(PLATE_COLUMN, keep=False)]
    raise_problems(
        Problem(str(place), f"plate {plate} occurs in {len(rows)} rows", "one platemap each")
        for plate, rows in twice.groupby(PLATE_COLUMN, sort=True)
    )
    without = plates.loc[plates[MAP_COLUMN].isna(), PLATE_COLUMN].dropna()
    if len(without):
        notes.append(f"{place}: {len(without)} plates name no platemap ({', '.join(without[:5])})")
    where = Path(root) / folder if folder is not None else place.parent / "platemap"
    files = _find_maps(where, plates)
    maps = [
        _read(file, [WELL_COLUMN], form, notes).assign(**{FILE: str(file), MAP_COLUMN: name})
        for name, file in files.items()
    ]
    columns = {str(table[FILE].iloc[0]): list(table.columns) for table in maps if len(table)}
    notes += unequal_columns(columns, {name for names in columns.values() for name in names})
    together = pd.concat(maps, ignore_index=True)
    together = together.drop(columns=[c for c in together if c in ("plate_map_name", PLATE_COLUMN)])
    both = sorted({*plates.columns} & {*together.columns} - {MAP_COLUMN, ""})
    raise_problems(
        Problem(str(place), f'column "{name}" is in the platemaps too', "each column once",
                "rename or delete it in one of them")
        for name in both
    )  # fmt: skip
    named = plates[[PLATE_COLUMN, MAP_COLUMN]].merge(together, on=MAP_COLUMN, how="inner")
    return Platemaps(
        plates.drop(columns="", errors="ignore"),
        named.drop(columns="", errors="ignore"),
        [place, *files.values()],
    )


def _read(path: Path, columns: Sequence[str], form: TableFormat, notes: list[str]) -> pd.DataFrame:
    table = read_names(path, form=form, notes=notes)
    there = ", ".join(name for name in table.columns if name != LINE)
    raise_problems(
        Problem(
            str(path), f'column "{name}" is missing', f"it among those that were found: {there}",
            f"name the column {name}, or set table_format.separator where the columns are "
            "separated otherwise",
        )
        for name in columns if name not in table
    )  # fmt: skip
    return table


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


def compare_plates(wells: pd.Series[str], maps: Platemaps) -> list[str]:
    """Return sentences about plates of the wells without a platemap, and the reverse.

    Raises
    ------
    TableError
        No plate of the wells has a platemap.
    """
    there, known = list(dict.fromkeys(wells.dropna())), set(maps.plates[PLATE_COLUMN].dropna())
    lost = [plate for plate in there if plate not in known]
    place = str(maps.files[0])
    if there and len(lost) == len(there):
        what = f"none of {len(there)} plates of the wells ({', '.join(lost[:5])}) is here"
        fix = "correct the names: they are compared as text, so that 0041000 is not 41000"
        raise_problems(
            [Problem(place, what, f"plates such as {', '.join(sorted(known)[:5])}", fix)]
        )
    lines = []
    if lost:
        lines.append(f"{len(lost)} of {len(there)} plates have no platemap in {place} "
                     f"({', '.join(lost[:5])})")  # fmt: skip
    idle = sorted(known - set(there))
    if idle:
        lines.append(f"{len(idle)} plates of {place} have no well in the table of wells "
                     f"({', '.join(idle[:5])})")  # fmt: skip
    return lines
