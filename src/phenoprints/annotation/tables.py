"""Read tables of known biology into the forms that alignment and benchmarks take."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.annotation.catalogue import CATALOGUE
from phenoprints.foundations.errors import (
    CorruptionError,
    MissingInputError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.foundations.fingerprints import file_sha256
from phenoprints.foundations.size_limits import check_decompressed_size
from phenoprints.foundations.table_files import (
    TableFile,
    TableFormat,
    named,
    open_bytes,
    require_columns,
)

_CACHED = {source.cached_name: source for source in CATALOGUE.values()}
PAIR_COLUMNS = ("entity1", "entity2")
NAMES = TableFormat(missing=("",))
"""A gene may be called NAN1 or NA: of names only empty cells are missing."""


def read_table(path: str | Path, numbers: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table in any form as text, missing values as None; some columns as numbers.

    Raises
    ------
    MissingInputError, TableError, UnsafeInputError
        The file does not exist, cannot be read, lacks one of the columns `numbers`, has words in
        them, or would become very large.
    """
    _check_cached(Path(path))
    file, names = TableFile(path), TableFile(path, NAMES)
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, column in file.numbers(numbers):
        found[name] = column.values[:, 0]
        problems += (
            Problem(f"{path}, {file.place(row)}", f'column "{name}": "{word}"', "a number")
            for row, word in column.words
        )
    raise_problems(problems, TableError)
    return names.names([name for name in names.columns if name not in found]).assign(**found)


def read_pairs(path: str | Path, *, min_score: float = 0.95) -> pd.DataFrame:
    """Known pairs as columns entity1 and entity2 (and source, where the file has it).

    The first two columns that have a name count where they are not named so. A further numeric
    column is a combined score, in [0, 1] or, as STRING writes it, in [0, 1000]: pairs need more
    than `min_score`. A pair that lacks a name is a TableError.
    """
    _check_cached(Path(path))
    file = TableFile(path, NAMES)
    columns = [name for name in file.columns if name]
    if len(columns) < 2:
        raise TableError(f"{path}: {len(columns)} column. Expected two columns of names.")
    pair = PAIR_COLUMNS if set(PAIR_COLUMNS) <= set(columns) else columns[:2]
    others = [name for name in columns if name not in (*pair, "source")]
    numbers = (column for _, column in TableFile(path).numbers(others))
    scores = [column.values[:, 0] for column in numbers if column.kind == "number"]
    table = file.names([*pair, *({"source"} & set(columns))])
    _refuse_incomplete(table, list(pair), file)
    table = table.rename(columns=dict(zip(pair, PAIR_COLUMNS, strict=True)))
    if scores:
        table = table[scores[0] / (1000 if np.nanmax(scores[0]) > 1 else 1) > min_score]
    kept = [c for c in (*PAIR_COLUMNS, "source") if c in table.columns]
    return table[kept].astype(str).reset_index(drop=True)


def _refuse_incomplete(table: pd.DataFrame, columns: Sequence[str], file: TableFile) -> None:
    """Raise TableError with the first rows that lack a name."""
    rows = np.flatnonzero(table[list(columns)].isna().any(axis=1))
    if len(rows):
        places = ", ".join(file.place(int(row)) for row in rows[:5])
        what = f"{len(rows)} rows lack a name in {' or '.join(columns)} ({places})"
        raise_problems([Problem(str(file.path), what, "a name in each", "delete these rows")])


def _check_cached(file: Path) -> None:
    """Raise CorruptionError for a table of the cache with other content than the catalogue's."""
    source = _CACHED.get(file.name)
    if source is None or source.sha256 is None or not file.is_file():
        return
    if (found := file_sha256(file)) != source.sha256:
        what = f"its sha256 is {found[:12]}, so it is not the catalogue's table {source.name}"
        fix = "delete it, and run again to download it"
        raise CorruptionError(str(Problem(str(file), what, source.sha256[:12], fix)))


def read_clusters(path: str | Path) -> dict[str, frozenset[str]]:
    """Known groups, name to members, from lines `name<TAB>member member …` (or GMT), plain or .gz.

    GMT (a suffix .gmt) has a description in its second column and tabs between members.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingInputError(f"{path}: the table is not there.")
    check_decompressed_size(file)
    _check_cached(file)
    clusters: dict[str, frozenset[str]] = {}
    with named(file), open_bytes(file) as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8-sig"):
            name, _, rest = line.rstrip("\n").partition("\t")
            members = rest.split("\t")[1:] if ".gmt" in file.suffixes else rest.split()
            clusters[name] = clusters.get(name, frozenset()) | frozenset(members)
    return clusters


def read_truth(path: str | Path) -> pd.DataFrame:
    """Measured compound-gene interactions: columns treatment, gene_symbol, nM_value."""
    table = read_table(path, ["nM_value"])
    names = ["treatment", "gene_symbol"]
    require_columns(list(table.columns), names, str(path))
    _refuse_incomplete(table, names, TableFile(path, NAMES))
    return table[[*names, "nM_value"]]
