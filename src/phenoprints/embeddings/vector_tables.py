"""Tables of vectors that others computed: which rows belong to which well, which columns count."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.embeddings.vector_arrays import (
    array_place,
    feature_names,
    is_own_store,
    keys_of_ids,
    read_array,
    read_own_store,
)
from phenoprints.foundations.errors import (
    DataError,
    MissingInputError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.foundations.pattern_search import search_all
from phenoprints.foundations.size_limits import check_decompressed_size, memory_errors
from phenoprints.screens.columns import ColumnRule, apply_rule, recognised_rules
from phenoprints.screens.tables import UNREADABLE

KEYS = ("experiment", "plate", "well")
ID_COLUMNS = ("well_id", "Metadata_Well_ID")
"""Columns of row tables that hold ids of wells."""
NOT_FEATURES = ("Metadata_*", "Image_*")
"""Columns that say what a row is; pycytominer and CellProfiler name them so."""


@dataclass(frozen=True)
class KeyColumns:
    """How a row says which well it belongs to: mapped columns, or one id that a pattern reads."""

    columns: Mapping[str, Any]
    id_column: str | None = None
    id_pattern: str = ""


@dataclass(frozen=True)
class VectorTable:
    """Vectors and the wells they claim: `keys` has experiment (or None), plate, well, file."""

    keys: pd.DataFrame
    vectors: NDArray[np.float32]
    features: list[str]


def read_vectors(
    paths: Sequence[str | Path],
    key_columns: KeyColumns,
    *,
    features: Sequence[str] = (),
    row_tables: Sequence[str | Path] = (),
) -> VectorTable:
    """Return the rows of all tables together, in the order of `paths`.

    Parameters
    ----------
    paths
        csv, csv.gz or parquet tables; or arrays (m, D): .npy files, Zarr arrays, and stores of
        Phenoprints, which know their wells.
    key_columns
        Which columns name the well. A mapped `experiment` that a table lacks is left unknown.
    features
        Names or globs of the columns of a vector, in this order; a column may hold lists of
        numbers. Without any, all numeric columns that are no key and no Metadata_ or Image_.
        Arrays are taken whole.
    row_tables
        For each array that is no store, in their order, the table that names the wells of its
        rows: by `key_columns`, or by ids in a column `well_id` or `Metadata_Well_ID`.

    Raises
    ------
    TableError
        A file that cannot be read, without its key columns or features, or with other features
        than the first: every problem at once.
    """
    if not paths:
        raise MissingInputError("profiles: no file matches. Correct `profiles` of the encoder.")
    return _joined(_read_all(paths, key_columns, features, row_tables), list(map(str, paths)))


def _joined(tables: Iterator[VectorTable], where: Sequence[str]) -> VectorTable:
    """All tables as one, features in the order of the first; each is let go once it is copied.

    The vectors are one array that grows in place: what many small ones leave behind is not given
    back to the system, and would be held beside the whole.
    """
    whole: NDArray[np.float32] = np.empty((0, 0), np.float32)
    features: list[str] = []
    keys: list[pd.DataFrame] = []
    problems: list[Problem] = []
    for path, table in zip(where, tables, strict=True):
        if not keys:
            features = table.features
            whole = np.empty((0, len(features)), np.float32)
        problems += _different_features(features, table.features, path, where[0])
        if not problems:
            at = len(whole)
            whole.resize((at + len(table.vectors), len(features)), refcheck=False)
            whole[at:] = _in_order(table.vectors, _order(features, table.features))
        keys.append(table.keys)
    raise_problems(problems)
    return VectorTable(pd.concat(keys, ignore_index=True), whole, features)


def _in_order(vectors: NDArray[np.float32], order: NDArray[np.int64]) -> NDArray[np.float32]:
    return vectors if (order == np.arange(vectors.shape[1])).all() else vectors[:, order]


def _read_all(
    paths: Sequence[str | Path],
    key_columns: KeyColumns,
    features: Sequence[str],
    row_tables: Sequence[str | Path],
) -> Iterator[VectorTable]:
    places = {path: array_place(path) for path in paths}
    arrays = [place for place in places.values() if place is not None and not is_own_store(place)]
    if len(arrays) != len(row_tables):
        raise MissingInputError(
            f"row_tables: {len(row_tables)} tables for {len(arrays)} arrays of vectors; expected "
            "one each, in their order.\n  To fix: correct `row_tables` of the encoder."
        )
    rows = dict(zip(arrays, row_tables, strict=True))
    for path, place in places.items():
        if place is None:
            yield _read_one(Path(path), key_columns, features)
        else:
            yield _read_array(place, rows.get(place), key_columns)


def _read_array(place: Path, row_table: str | Path | None, key_columns: KeyColumns) -> VectorTable:
    if not place.exists():
        raise MissingInputError(f"{place}: the profiles are not there.")
    if row_table is None:
        vectors, ids, names = read_own_store(place)
        return VectorTable(keys_of_ids(ids).assign(file=place.name), vectors, names)
    keys = _row_keys(Path(row_table), key_columns)
    vectors = read_array(place, len(keys), str(row_table))
    return VectorTable(keys.assign(file=place.name), vectors, feature_names(vectors.shape[1]))


def _row_keys(path: Path, key_columns: KeyColumns) -> pd.DataFrame:
    table = _read_table(path)
    for name in ID_COLUMNS:
        if name in table.columns:
            return keys_of_ids(_ids(table[name], str(path)))
    return _keys(table, key_columns, str(path))[0].map(_shared)


def _ids(column: pd.Series[Any], where: str) -> NDArray[np.uint64]:
    try:
        return np.array([int(value) for value in column.tolist()], dtype=np.uint64)
    except (ValueError, TypeError, OverflowError) as error:
        what = f'column "{column.name}" holds no ids of wells ({error})'
        raise TableError(str(Problem(where, what, "whole numbers from 0 to 2^64 - 1"))) from error


def _read_one(path: Path, key_columns: KeyColumns, features: Sequence[str]) -> VectorTable:
    table = _read_table(path)
    keys, used = _keys(table, key_columns, str(path))
    chosen = _feature_columns(table, used, features, str(path))
    vectors, names = _matrix(table, chosen, str(path))
    return VectorTable(keys.map(_shared).assign(file=path.name), vectors, names)


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise MissingInputError(f"{path}: the profiles are not there.")
    check_decompressed_size(path)
    with memory_errors(path):
        try:
            return _read_frame(path)
        except UNREADABLE as error:
            raise TableError(f"{path}: not a readable csv or parquet table. {error}") from error


def _shared(text: str | None) -> str | None:
    """Return the same text as one object for all rows: few names stand in millions of them."""
    return text if text is None else intern(text)


def _read_frame(path: Path) -> pd.DataFrame:
    if path.suffix.lower() == ".parquet":
        return pd.read_parquet(path)
    head = pd.read_csv(path, nrows=0).columns
    # Names that look like numbers keep their zeros: only Metadata_ and Image_ columns are names.
    texts = {c: str for c in head if _matches(c, NOT_FEATURES)}
    return pd.read_csv(path, dtype=texts, low_memory=False)


def _keys(table: pd.DataFrame, how: KeyColumns, where: str) -> tuple[pd.DataFrame, set[str]]:
    if how.id_column is not None:
        return _keys_of_ids(table, how.id_column, how.id_pattern, where), {how.id_column}
    rules = recognised_rules(list(table.columns))
    rules |= {name: ColumnRule.of(rule) for name, rule in how.columns.items() if name in KEYS}
    present = {
        name: rule
        for name, rule in rules.items()
        if name in KEYS and (rule.column is None or rule.column in table.columns)
    }
    raise_problems(
        Problem(where, f"no column names the {name} of a row", _wanted(rules.get(name)),
                f"name it under the encoder's `columns.{name}`, or set `id_column`")
        for name in ("plate", "well") if name not in present
    )  # fmt: skip
    keys: dict[str, NDArray[np.object_]] = {}
    problems: list[Problem] = []
    for name in KEYS:
        if name not in present:
            keys[name] = np.full(len(table), None, dtype=object)
            continue
        values, wrong = apply_rule(name, present[name], _as_text(table, present[name]), where)
        text = values.to_numpy(dtype=object)
        text[values.isna().to_numpy()] = None
        keys[name] = text
        problems += wrong
    raise_problems(problems)
    return pd.DataFrame(keys, dtype=object), {
        rule.column for rule in present.values() if rule.column
    }


def _wanted(rule: ColumnRule | None) -> str:
    return f'the column "{rule.column}"' if rule and rule.column else "a column for it"


def _as_text(table: pd.DataFrame, rule: ColumnRule) -> pd.DataFrame:
    if rule.column is None:
        return table
    values = table[rule.column]
    return pd.DataFrame({rule.column: values.astype(str).where(values.notna(), None)})


def _keys_of_ids(table: pd.DataFrame, column: str, pattern: str, where: str) -> pd.DataFrame:
    if column not in table.columns:
        what = f'the id column "{column}" is missing'
        raise_problems([Problem(where, what, fix="correct the encoder's `id_column`")])
    ids = table[column].astype(str)
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


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _feature_columns(
    table: pd.DataFrame, used: set[str], patterns: Sequence[str], where: str
) -> list[str]:
    if not patterns:
        numeric = table.select_dtypes("number").columns
        chosen = [c for c in numeric if c not in used and not _matches(c, NOT_FEATURES)]
        patterns = ["any numeric column"]
    else:
        by_pattern = {p: [c for c in table.columns if fnmatchcase(c, p)] for p in patterns}
        raise_problems(
            Problem(where, f'no column is called "{pattern}"', fix="correct `features`")
            for pattern, found in by_pattern.items() if not found
        )  # fmt: skip
        chosen = list(dict.fromkeys(c for found in by_pattern.values() for c in found))
    if not chosen:
        raise_problems([Problem(where, "no column holds a feature", ", ".join(patterns))])
    return chosen


def _matrix(
    table: pd.DataFrame, chosen: Sequence[str], where: str
) -> tuple[NDArray[np.float32], list[str]]:
    if all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in table[chosen].dtypes):
        return _float32(table[chosen]), list(chosen)
    blocks, names, problems = [], [], []
    for column in chosen:
        values = table[column]
        try:
            block = _block(values)
        except (ValueError, TypeError) as error:
            problems.append(Problem(where, f'feature "{column}" is not numeric ({error})'))
            continue
        blocks.append(block)
        width = block.shape[1]
        names += [column] if width == 1 else [f"{column}_{i}" for i in range(width)]
    raise_problems(problems, DataError)
    return np.concatenate(blocks, axis=1), names


def _block(values: pd.Series[Any]) -> NDArray[np.float32]:
    if values.dtype == object:
        return np.stack([np.atleast_1d(np.asarray(v, np.float32)) for v in values])
    return _float32(values)[:, None]


def _float32(values: pd.Series[Any] | pd.DataFrame) -> NDArray[np.float32]:
    """Return the numbers as float32; beyond its range they are infinite, which fails the well by
    name.
    """
    with np.errstate(over="ignore"):
        return values.to_numpy(np.float32)


def _different_features(
    first: Sequence[str], there: Sequence[str], where: str, first_where: str
) -> list[Problem]:
    odd = sorted(set(first) ^ set(there))
    if not odd:
        return []
    what = f"{len(odd)} features are in only one of it and {first_where}: {', '.join(odd[:5])}"
    fix = "name the shared columns under the encoder's `features`"
    return [Problem(where, what, "the same features in every table", fix)]


def _order(wanted: Sequence[str], there: Sequence[str]) -> NDArray[np.int64]:
    return pd.Index(there).get_indexer(pd.Index(wanted)).astype(np.int64)
