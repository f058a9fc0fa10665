"""The files of a screen's tables, and their rows as one table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from glob import has_magic
from pathlib import Path

import pandas as pd

from phenoprints.foundations.errors import MissingInputError, Problem, raise_problems
from phenoprints.foundations.finding import find
from phenoprints.foundations.table_files import TableFile, TableFormat
from phenoprints.screens.problems import FILE


def find_files(root: str | Path, patterns: str | Sequence[str]) -> list[Path]:
    """Return the files below `root` that paths or globs name, sorted, each once.

    Raises
    ------
    MissingInputError
        A path or glob names no file; all of them in one message.
    """
    found: dict[Path, None] = {}
    problems = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        files = [path for path in find(root, pattern) if path.is_file()]
        if not files:
            what = "no file matches" if has_magic(pattern) else "the file is not there"
            where = str(Path(root) / pattern)
            problems.append(Problem(where, what, "", "correct the path in the configuration"))
        found.update(dict.fromkeys(files))
    raise_problems(problems, MissingInputError)
    return list(found)


def read_files(
    files: Sequence[Path],
    form: TableFormat,
    notes: list[str],
    wanted: Callable[[Sequence[str]], Sequence[str]] | None = None,
    used: Collection[str] | None = None,
) -> pd.DataFrame:
    """Return the rows of all files as one table of text with the columns `line` and `file`.

    Parameters
    ----------
    files, form
        The files, and how they are written.
    notes
        Receives what was decided or changed while reading.
    wanted
        From the columns of a file to those that are read; all when None.
    used
        Columns that are noted where some of the files lack them; those of the first when None.
    """
    tables, columns = [], {}
    for path in files:
        file = TableFile(path, form)
        table = file.names(wanted(file.columns) if wanted else None)
        tables.append(table.assign(**{FILE: str(path)}))
        notes += file.notes
        columns[str(path)] = file.columns
    notes += unequal_columns(columns, set(columns[str(files[0])]) if used is None else used)
    whole = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    whole = whole.astype(object).where(whole.notna(), None)
    return whole.astype({FILE: "category"})


def unequal_columns(columns: Mapping[str, Sequence[str]], used: Collection[str]) -> list[str]:
    """Return a sentence for each used column that some files have and others lack."""
    lines = []
    for name in sorted(used):
        without = [file for file, names in columns.items() if name not in names]
        if name and 0 < len(without) < len(columns):
            some = ", ".join(without[:3]) + (", …" if len(without) > 3 else "")
            lines.append(
                f"{len(without)} of {len(columns)} tables lack the column {name!r} ({some})"
            )
    return lines
