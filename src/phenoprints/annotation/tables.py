"""Read tables of known biology into the forms that alignment and benchmarks take."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa

from phenoprints.annotation.catalogue import CATALOGUE
from phenoprints.foundations.errors import (
    CorruptionError,
    MissingInputError,
    PhenoprintsError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.foundations.fingerprints import file_sha256
from phenoprints.foundations.size_limits import check_decompressed_size, memory_errors

PAIR_COLUMNS = ("entity1", "entity2")
_CACHED = {source.cached_name: source for source in CATALOGUE.values()}
_UNREADABLE = (ValueError, OSError, EOFError, zlib.error, pa.ArrowException)


def read_table(path: str | Path) -> pd.DataFrame:
    """Return a table of any of the forms in use: csv, txt (comma), tsv, each plain
    or .gz; parquet.

    Raises
    ------
    MissingInputError
        The file is not there.
    TableError
        It cannot be read, or its rows have more cells than its heading.
    CorruptionError
        It is a table of the cache, and its content is not that of the catalogue.
    """
    file = Path(path)
    with _readable(file):
        if file.suffix == ".parquet":
            return pd.read_parquet(file)
        separator = "\t" if ".tsv" in file.suffixes else ","
        # A gene may be called NAN1 or NA: only empty cells are missing.
        table: pd.DataFrame = pd.read_csv(
            file, sep=separator, keep_default_na=False, na_values=[""], encoding="utf-8-sig"
        )
        if not isinstance(table.index, pd.RangeIndex):  # pandas makes an index of what is too much
            raise ValueError(f"Its rows have more cells than its heading ({table.shape[1]})")
    return table


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Check that a table is there, of a sensible size and of the catalogue's content where its
    name claims it; what its reader raises in the block becomes a TableError.
    """
    if not file.exists():
        raise MissingInputError(f"{file}: the table is not there.")
    try:
        check_decompressed_size(file)
        _check_cached(file)
        with memory_errors(file):
            yield
    except PhenoprintsError:
        raise
    except _UNREADABLE as error:
        what = f"the table cannot be read. {str(error).strip().rstrip('.')}"
        expected = "UTF-8 text with one heading and as many cells in each row, or Parquet"
        fix = "write it anew in this form (no separator at the end of rows), or name another file"
        raise TableError(str(Problem(str(file), what, expected, fix))) from error


def _check_cached(file: Path) -> None:
    source = _CACHED.get(file.name)
    if source is None or source.sha256 is None or (found := file_sha256(file)) == source.sha256:
        return
    what = f"its sha256 is {found[:12]}, so it is not the catalogue's table {source.name}"
    fix = "delete it, and run again to download it"
    raise CorruptionError(str(Problem(str(file), what, source.sha256[:12], fix)))


def _refuse_empty(table: pd.DataFrame, names: tuple[str, ...], path: str | Path) -> pd.DataFrame:
    """Return the table, or raise TableError with the rows in which a name is empty."""
    raise_problems(
        Problem(
            f"{path}, line {line + 2}", f'"{name}" is empty', "a name", "fill it, or delete the row"
        )
        for name in names
        for line in (table[name].isna() | (table[name].astype(str).str.strip() == ""))
        .to_numpy()
        .nonzero()[0]
    )
    return table


def read_pairs(path: str | Path, *, min_score: float = 0.95) -> pd.DataFrame:
    """Known pairs as columns entity1 and entity2 (and source, where the file has it).

    The first two columns count where they are not named so. A further numeric column is a
    combined score, in [0, 1] or, as STRING writes it, in [0, 1000]: pairs need more than
    `min_score`.
    """
    table = read_table(path)
    if table.shape[1] < 2:
        raise TableError(f"{path}: {table.shape[1]} column. Expected two columns of names.")
    if not set(PAIR_COLUMNS) <= set(table.columns):
        first, second = table.columns[:2]
        table = table.rename(columns={first: "entity1", second: "entity2"})
    others = [c for c in table.columns if c not in (*PAIR_COLUMNS, "source")]
    scores = [c for c in others if pd.api.types.is_numeric_dtype(table[c])]
    if scores:
        score = table[scores[0]] / (1000 if table[scores[0]].max() > 1 else 1)
        table = table[score > min_score]
    kept = [c for c in (*PAIR_COLUMNS, "source") if c in table.columns]
    return _refuse_empty(table, PAIR_COLUMNS, path)[kept].astype(str).reset_index(drop=True)


def read_clusters(path: str | Path) -> dict[str, frozenset[str]]:
    """Known groups, name to members, from lines `name<TAB>member member …` (or GMT), plain or .gz.

    GMT (a suffix .gmt) has a description in its second column and tabs between members.
    """
    file = Path(path)
    opener = gzip.open if file.suffix == ".gz" else open
    clusters: dict[str, frozenset[str]] = {}
    with _readable(file), opener(file, "rt", encoding="utf-8-sig") as lines:
        for line in lines:
            name, _, rest = line.rstrip("\n").partition("\t")
            members = rest.split("\t")[1:] if ".gmt" in file.suffixes else rest.split()
            clusters[name] = clusters.get(name, frozenset()) | frozenset(members)
    return clusters


def read_truth(path: str | Path) -> pd.DataFrame:
    """Measured compound-gene interactions: columns treatment, gene_symbol, nM_value."""
    table = read_table(path)
    needed = ("treatment", "gene_symbol", "nM_value")
    raise_problems(
        [
            Problem(str(path), f'column "{c}" is missing', ", ".join(needed))
            for c in needed
            if c not in table.columns
        ],
        TableError,
    )
    _refuse_empty(table, needed[:2], path)
    wrong = pd.to_numeric(table["nM_value"], errors="coerce").isna().to_numpy().nonzero()[0]
    raise_problems(
        Problem(
            f"{path}, line {line + 2}", f'nM_value is "{table["nM_value"].iloc[line]}"', "a number"
        )
        for line in wrong
    )
    return table[list(needed)]
