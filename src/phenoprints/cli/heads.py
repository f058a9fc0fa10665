"""The heads of tables of vectors: their columns, read without their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from time import monotonic
from typing import Any

from phenoprints.configuration import found_files
from phenoprints.foundations.errors import Problem, TableError

LOOKING_SECONDS = 10.0
"""Time for the heads of all tables: thousands of them on a slow disk would take minutes."""
GOLDEN_RATIO = 0.6180339887498949
"""Its multiples modulo 1 fill the unit interval evenly, at any number of them."""


def column_names(path: str) -> list[str]:
    """Return the names of a table's columns (parquet, or csv of any compression).

    Raises
    ------
    TableError
        The file is neither.
    """
    try:
        if path.endswith(".parquet"):
            import pyarrow.parquet as parquet

            return list(parquet.read_schema(path).names)
        import pandas as pd

        return list(pd.read_csv(path, nrows=0).columns)
    except (OSError, ValueError, EOFError) as error:
        what = f"not a readable csv or parquet table ({error})"
        problem = Problem(path, what, fix="replace the file, or leave it out of the profiles")
        raised = TableError(str(problem))
        raised.problems = (problem,)
        raise raised from error


@dataclass(frozen=True)
class Heads:
    """The tables of one encoder on one screen whose heads were looked at, and what they lack.

    `num_features` are those of the first table, 0 where it cannot be read.
    """

    encoder: str
    screen: str
    num_tables: int
    num_looked: int
    problems: tuple[Problem, ...]
    num_features: int = 0


def vector_heads(config: Mapping[str, Any], *, seconds: float = LOOKING_SECONDS) -> Iterator[Heads]:
    """For every precomputed encoder and screen what the heads of its tables of vectors lack.

    The first table of each is always looked at, the others as far as `seconds` for all together
    go, spread over the list. Arrays have no columns.
    """
    until = monotonic() + seconds
    for name, encoder in config["encoders"].items():
        for screen, patterns in (encoder.get("profiles") or {}).items():
            found = found_files(config["screens"][screen]["root"], patterns)
            tables = [path for path in found if not path.endswith(".npy")]
            tables = [path for path in tables if not Path(path).is_dir()]
            if tables:
                num_looked, problems, features = _looked(f"encoders.{name}", encoder, tables, until)
                all_problems = tuple(sorted(problems))
                yield Heads(name, screen, len(tables), num_looked, all_problems, features)


def _looked(
    key: str, encoder: Mapping[str, Any], tables: Sequence[str], until: float
) -> tuple[int, list[Problem], int]:
    """How many heads were looked at until that time, every problem of theirs, and features."""
    problems: list[Problem] = []
    first: tuple[str, set[str]] | None = None
    number = 0
    for number, at in enumerate(_spread(len(tables))):
        if number and monotonic() > until:
            break
        try:
            columns = column_names(tables[at])
        except TableError as error:
            problems += error.problems
            continue
        problems += _problems(key, encoder, tables[at], columns)
        features = {c for c in columns if any(fnmatchcase(c, p) for p in encoder["features"])}
        first = first or (tables[at], features)
        problems += _other_features(key, tables[at], features, first)
    else:
        number = len(tables)
    return number, problems, len(first[1]) if first else 0


def _spread(number: int) -> list[int]:
    """0 to number - 1, so ordered that any first few of them are spread evenly, 0 first."""
    return sorted(range(number), key=lambda i: i * GOLDEN_RATIO % 1)


def _problems(
    key: str, encoder: Mapping[str, Any], path: str, columns: Sequence[str]
) -> Iterator[Problem]:
    for pattern in encoder["features"]:
        if not any(fnmatchcase(column, pattern) for column in columns):
            what = f'no column is called "{pattern}"'
            yield Problem(path, what, fix=f"correct {key}.features")
    named = encoder["id_column"]
    if named is not None and named not in columns:
        yield Problem(path, f'no column is called "{named}"', fix=f"correct {key}.id_column")


def _other_features(
    key: str, path: str, features: set[str], first: tuple[str, set[str]]
) -> Iterator[Problem]:
    """Yield the problem of a table with other features than the first; none where
    either has none.
    """
    odd = sorted(features ^ first[1])
    if odd and features and first[1]:
        what = f"{len(odd)} features are in only one of it and {first[0]}: {', '.join(odd[:5])}"
        fix = f"name the shared columns under {key}.features"
        yield Problem(path, what, "the same features in every table", fix)
