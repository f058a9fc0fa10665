"""Tables of cells or sites that were given as tables of wells."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from phenoprints.foundations.errors import Problem, raise_problems
from phenoprints.screens.problems import FILE

MIN_SHARE = 0.5
"""Share of wells with several rows from which rows are cells or sites and no mistakes."""


def refuse_cells(wells: pd.DataFrame, columns: Collection[str]) -> None:
    """Raise TableError for tables in which most wells have several rows, each in one file.

    Parameters
    ----------
    wells
        experiment, plate, well and file of each row.
    columns
        The columns that the screen reads, which the command of the message keeps.
    """
    keys = ["experiment", "plate", "well", FILE]
    sizes = wells.groupby(keys, sort=False, dropna=False, observed=True).size()
    several = int((sizes > 1).sum())
    if len(sizes) < 2 or several <= MIN_SHARE * len(sizes):
        return
    file = str(wells[FILE].iloc[0])
    num_files = wells[FILE].nunique()
    rows = f"{sizes.median():g} rows each" if sizes.nunique() == 1 else f"{sizes.mean():.1f} rows"
    what = f"{several} of {len(sizes)} wells have {rows}: a table of cells or sites, not of wells"
    fix = (
        f"aggregate first. Write one row a well with\n{command(file, sorted(columns))}\n"
        "    name wells_only.csv under `wells` of the screen, and this table under `profiles` of "
        "the encoder, which averages the rows of a well"
    )
    fix += "" if num_files == 1 else f"; so for each of the {num_files} files"
    raise_problems([Problem(file, what, "one row for each well", fix)])


def command(file: str, columns: Collection[str]) -> str:
    """Return the command that writes the first row of each well of a table."""
    names = ", ".join(f"'{name}'" for name in columns)
    read = f"read_parquet('{file}', columns=[{names}])"
    if not file.endswith(".parquet"):
        read = f"read_csv('{file}', sep=None, engine='python', dtype=str, usecols=[{names}])"
    target = Path(file).with_name("wells_only.csv")
    code = f"import pandas as pd; pd.{read}.drop_duplicates().to_csv('{target}', index=False)"
    return f'    python -c "{code}"'
