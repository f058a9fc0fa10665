"""Read tables of known biology into the forms that alignment and benchmarks take."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd

from phenoprints.foundations.errors import MissingInputError, Problem, TableError, raise_problems
from phenoprints.foundations.size_limits import check_decompressed_size, memory_errors

PAIR_COLUMNS = ("entity1", "entity2")


def read_table(path: str | Path) -> pd.DataFrame:
    """Return a table of any of the forms in use: csv, txt (comma), tsv, each plain
    or .gz; parquet.
    """
    file = Path(path)
    if not file.exists():
        raise MissingInputError(f"{path}: the table is not there.")
    check_decompressed_size(file)
    with memory_errors(file):
        if file.suffix == ".parquet":
            return pd.read_parquet(file)
        separator = "\t" if ".tsv" in file.suffixes else ","
        # A gene may be called NAN1 or NA: only empty cells are missing.
        table: pd.DataFrame = pd.read_csv(
            file, sep=separator, keep_default_na=False, na_values=[""]
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
    return table[kept].astype(str).reset_index(drop=True)


def read_clusters(path: str | Path) -> dict[str, frozenset[str]]:
    """Known groups, name to members, from lines `name<TAB>member member …` (or GMT), plain or .gz.

    GMT (a suffix .gmt) has a description in its second column and tabs between members.
    """
    file = Path(path)
    check_decompressed_size(file)
    opener = gzip.open if file.suffix == ".gz" else open
    clusters: dict[str, frozenset[str]] = {}
    with opener(file, "rt", encoding="utf-8") as lines:
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
    return table[list(needed)]
