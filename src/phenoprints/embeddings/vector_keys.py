"""Which well a row of a table of vectors belongs to: by columns, by one id, or by ids of wells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.embeddings.vector_arrays import keys_of_ids
from phenoprints.foundations.errors import Problem, TableError, raise_problems
from phenoprints.foundations.pattern_search import search_all
from phenoprints.foundations.table_files import TableFile
from phenoprints.screens.columns import ColumnRule, apply_rule, recognised_rules

KEYS = ("experiment", "plate", "well")
ID_COLUMNS = ("well_id", "Metadata_Well_ID")
"""Columns of row tables that hold ids of wells."""
SHOWN_COLUMNS = 20


@dataclass(frozen=True)
class KeyColumns:
    """How a row names its well: mapped columns, or one id that a pattern reads."""

    columns: Mapping[str, Any]
    id_column: str | None = None
    id_pattern: str = ""


def row_keys(file: TableFile, key_columns: KeyColumns) -> pd.DataFrame:
    """Return the keys of the rows of an array, from the table that names them."""
    for name in ID_COLUMNS:
        if name in file.columns:
            return keys_of_ids(_ids(file.names([name])[name], str(file.path)))
    return read_keys(file, key_columns).map(interned)


def _ids(column: pd.Series[Any], where: str) -> NDArray[np.uint64]:
    try:
        return np.array([int(value) for value in column.tolist()], dtype=np.uint64)
    except (ValueError, TypeError, OverflowError) as error:
        what = f'column "{column.name}" holds no ids of wells ({error})'
        raise TableError(str(Problem(where, what, "whole numbers from 0 to 2^64 - 1"))) from error


def interned(text: str | None) -> str | None:
    """Return the same text as one object for all rows: few names stand in millions of them."""
    return text if text is None else intern(text)


def _key_rules(columns: Sequence[str], how: KeyColumns) -> dict[str, ColumnRule]:
    """Return the rules of the keys whose columns a table has, and of those that are constant."""
    rules = recognised_rules(list(columns))
    rules |= {name: ColumnRule.of(rule) for name, rule in how.columns.items() if name in KEYS}
    return {
        name: rule
        for name, rule in rules.items()
        if name in KEYS and (rule.column is None or rule.column in columns)
    }


def used_columns(columns: Sequence[str], how: KeyColumns) -> set[str]:
    """Return the columns that name the well of a row."""
    if how.id_column is not None:
        return {how.id_column}
    return {name for rule in _key_rules(columns, how).values() for name in rule.columns}


def require_keys(file: TableFile, how: KeyColumns) -> None:
    """Raise TableError where no column names the plate or the well of a row."""
    if how.id_column is not None:
        what = f'no column is called "{how.id_column}"'
        fix = "correct the encoder's `id_column`"
        there = how.id_column in file.columns
        raise_problems([] if there else [Problem(str(file.path), what, fix=fix)])
        return
    rules = _key_rules(file.columns, how)
    some = ", ".join(file.columns[:SHOWN_COLUMNS])
    raise_problems(
        Problem(str(file.path), f"no column names the {name} of a row",
                f"{_wanted(how.columns.get(name))} among {some}",
                f"name it under the encoder's `columns.{name}`, or set `id_column`")
        for name in ("plate", "well") if name not in rules
    )  # fmt: skip


def read_keys(file: TableFile, how: KeyColumns) -> pd.DataFrame:
    """Return experiment (None where it is unknown), plate and well of each row, as text.

    Raises TableError where no column names plate or well, or texts do not match their patterns.
    """
    where = str(file.path)
    require_keys(file, how)
    if how.id_column is not None:
        return _keys_of_ids(file, how.id_column, how.id_pattern)
    rules = _key_rules(file.columns, how)
    table = file.names(sorted(used_columns(file.columns, how)))
    keys: dict[str, NDArray[np.object_]] = {}
    problems: list[Problem] = []
    for name in KEYS:
        if name not in rules:
            keys[name] = np.full(len(table), None, dtype=object)
            continue
        values, wrong = apply_rule(name, rules[name], table, where)
        text = values.map(str, na_action="ignore").to_numpy(dtype=object, copy=True)
        text[values.isna().to_numpy()] = None
        keys[name] = text
        problems += wrong
    raise_problems(problems)
    return pd.DataFrame(keys, dtype=object)


def _wanted(setting: Any) -> str:
    rule = ColumnRule.of(setting) if setting else None
    return f'the column "{rule.column}"' if rule and rule.column else "a column for it"


def _keys_of_ids(file: TableFile, column: str, pattern: str) -> pd.DataFrame:
    where = str(file.path)
    ids = file.names([column])[column].fillna("").astype(str)
    compiled = re.compile(pattern)
    found = search_all(compiled, ids.unique(), "the encoder's `id_pattern`")
    matches = {text: match.groupdict() for text, match in found.items() if match}
    parts = pd.DataFrame(
        [matches.get(text, {}) for text in ids], index=ids.index, columns=list(compiled.groupindex)
    )
    bad = parts["well"].isna()
    if bad.any():
        what = f'{bad.sum()} values of "{column}" do not match, such as "{ids[bad].iloc[0]}"'
        raise_problems([Problem(where, what, pattern, "correct the encoder's `id_pattern`")])
    parts = parts.reindex(columns=list(KEYS)).astype(object)
    return parts.where(parts.notna(), None)
