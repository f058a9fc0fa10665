"""The head of a table of vectors: its columns, read without its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from phenoprints.configuration import found_files
from phenoprints.foundations.errors import Problem, TableError


def column_names(path: str) -> list[str]:
    """The names of a table's columns (parquet, or csv of any compression).

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
        raise TableError(f"{path}: not a readable csv or parquet table ({error}).") from error


def vector_problems(config: Mapping[str, Any]) -> Iterator[Problem]:
    """Feature names and id columns of precomputed encoders that their first table does not have."""
    for name, encoder in config["encoders"].items():
        for screen, patterns in (encoder.get("profiles") or {}).items():
            for path in found_files(config["screens"][screen]["root"], patterns)[:1]:
                # Arrays have no columns.
                if not (path.endswith(".npy") or Path(path).is_dir()):
                    yield from _problems(f"encoders.{name}", encoder, path)


def _problems(key: str, encoder: Mapping[str, Any], path: str) -> Iterator[Problem]:
    columns = column_names(path)
    for pattern in encoder["features"]:
        if not any(fnmatchcase(column, pattern) for column in columns):
            what = f'no column is called "{pattern}"'
            yield Problem(path, what, fix=f"correct {key}.features")
    named = encoder["id_column"]
    if named is not None and named not in columns:
        yield Problem(path, f'no column is called "{named}"', fix=f"correct {key}.id_column")
