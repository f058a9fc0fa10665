"""Metadata tables of any usual form, read as text: nothing is guessed, no plate id loses a zero."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Sequence
from glob import has_magic
from pathlib import Path

import pandas as pd

from phenoprints.foundations.errors import MissingInputError, Problem, TableError, raise_problems
from phenoprints.foundations.finding import find
from phenoprints.foundations.size_limits import check_decompressed_size, memory_errors
from phenoprints.screens.problems import FILE, LINE

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "Not listed", "#N/A")
"""Values that mean "missing" in the tables of the field ("Not listed" is IDR's)."""

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
UNREADABLE = (ValueError, OSError, EOFError, zlib.error, lzma.LZMAError, ImportError)
"""What the readers of tables raise on files that are not what their names say."""
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")


def read_table(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    optional: Sequence[str] = (),
    missing: Sequence[str] = MISSING,
) -> pd.DataFrame:
    """Read a table as text, missing values as None, with a column `line` (the header is line 1).

    Parameters
    ----------
    path
        CSV, TSV (`.tsv`, `.txt`), each also compressed, or Parquet (`.parquet`).
    columns
        Columns to read; all when None. Blanks around column names are removed.
    optional
        Further columns that are read where they are there.
    missing
        Values that count as missing.

    Raises
    ------
    MissingInputError
        The file is not there.
    TableError
        The file cannot be read as what its name says, or lacks one of the columns.
    UnsafeInputError
        It is small and would become very large.
    """
    place = Path(path)
    if not place.is_file():
        raise MissingInputError(
            f"{path}: the file is not there.\n"
            "  To fix: correct the path in the configuration; relative paths start where "
            "snakemake was started."
        )
    wanted = None if columns is None else [*columns, *optional]
    check_decompressed_size(place, wanted)
    read = _read_parquet if _suffix(place) == ".parquet" else _read_text
    with memory_errors(place):
        try:
            table = read(place, wanted)
        except UNREADABLE as error:
            raise TableError(f"{path}: the table cannot be read. {error}") from error
    table = table.rename(columns=lambda name: str(name).strip())
    require_columns(table, columns or (), str(path))
    if columns is not None:
        table = table[[*columns, *(name for name in optional if name in table)]]
    for column in table.columns:
        values = table[column]
        table[column] = values.where(values.notna() & ~values.isin(missing), None)
    return table.assign(**{LINE: range(2, len(table) + 2)})


def require_columns(table: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    """Raise TableError with every column that the table lacks."""
    there = ", ".join(map(str, [c for c in table.columns if c not in (LINE, FILE)][:40]))
    raise_problems(
        Problem(where, f'column "{column}" is missing', f"one of the table's columns: {there}")
        for column in columns
        if column not in table.columns
    )


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes = suffixes[:-1]
    return suffixes[-1] if suffixes else ""


def _read_text(path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    separator = SEPARATORS.get(_suffix(path))
    if separator is None:
        known = ", ".join([*SEPARATORS, ".parquet"])
        raise ValueError(f"Its name should end in {known}, or one of these compressed.")
    return pd.read_csv(
        path,
        sep=separator,
        dtype=str,
        keep_default_na=False,
        na_values=[""],
        encoding="utf-8-sig",
        skipinitialspace=True,
        usecols=None if columns is None else lambda name: name.strip() in columns,
    )


def _read_parquet(path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    there = pq.read_schema(path).names
    wanted = [name for name in there if columns is None or name in columns]
    table = pq.read_table(path, columns=wanted)
    simple = [name for name in wanted if not pa.types.is_nested(table.schema.field(name).type)]
    texts = {name: pc.cast(table.column(name), pa.string()).to_pandas() for name in simple}
    return pd.DataFrame(texts, columns=simple, dtype=object)


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
    files: Sequence[Path], missing: Sequence[str], columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the rows of all files as one table with the columns `line` and `file`."""
    tables = [read_table(f, missing=missing, columns=columns).assign(file=str(f)) for f in files]
    whole = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    whole[FILE] = whole[FILE].astype("category")
    return whole
