"""Tables of vectors that others computed: which rows belong to which well, which columns count."""

# m rows of the tables · D features

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.embeddings.feature_selection import (
    FeatureRules,
    impute_plate_medians,
    is_row_count,
    reason_by_values,
    select_by_name,
    value_reasons,
    word_problem,
)
from phenoprints.embeddings.vector_arrays import (
    array_place,
    feature_names,
    is_own_store,
    keys_of_ids,
    read_array,
    read_own_store,
)
from phenoprints.embeddings.vector_keys import (
    KeyColumns,
    interned,
    read_keys,
    require_keys,
    row_keys,
    used_columns,
)
from phenoprints.foundations.cells import MISSING
from phenoprints.foundations.errors import (
    MissingInputError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.foundations.table_files import TableFile, TableFormat, together
from phenoprints.screens.columns import ColumnRule
from phenoprints.screens.joins import key_names

Reader = Callable[[], "VectorTable"]


@dataclass(frozen=True)
class VectorTable:
    """Vectors (m, D) and the wells that they belong to.

    Attributes
    ----------
    keys
        experiment (or None), plate, well, file; `well_id` where rows have ids.
    features
        Names of the D features.
    excluded
        The other columns, with the reason.
    notes
        What was decided or changed while reading.
    num_read
        Tables that were read, fewer than there are where time ran out.
    """

    keys: pd.DataFrame
    vectors: NDArray[np.float32]
    features: list[str]
    excluded: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    num_read: int = 1


@dataclass
class _Columns:
    """What is known of the columns of all tables so far."""

    rules: FeatureRules
    excluded: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    excluded_in: dict[str, str] = field(default_factory=dict)
    """The first table in which the values of a column exclude it."""
    not_counts: set[str] = field(default_factory=set)
    """Columns that do not count the rows of some table."""
    spoiled: dict[str, int] = field(default_factory=dict)
    of_arrays: set[str] = field(default_factory=set)
    """Features of arrays, which are taken whole."""


def read_vectors(
    paths: Sequence[str | Path],
    key_columns: KeyColumns,
    *,
    rules: FeatureRules | None = None,
    form: TableFormat | None = None,
    row_tables: Sequence[str | Path] = (),
    until: float | None = None,
) -> VectorTable:
    """Return the rows of all tables together, in the order of `paths`.

    Parameters
    ----------
    paths
        Tables in any form of `TableFile`; or arrays (m, D): .npy files, Zarr arrays, and stores
        of Phenoprints, which know their wells.
    key_columns
        Which columns name the well. A mapped `experiment` that a table lacks is left unknown.
    rules
        Which columns are features. Arrays are taken whole.
    form
        How text tables are written.
    row_tables
        For each array that is no store, in their order, the table that names the wells of its
        rows: by `key_columns`, or by ids in a column `well_id` or `Metadata_Well_ID`.
    until
        Time (`time.monotonic`) after which no further table is begun, the first excepted.

    Raises
    ------
    MissingInputError, TableError, UnsafeInputError
        A file that cannot be read, without its key columns or features, with words in a feature,
        or with other features than the first: every problem at once.
    """
    if not paths:
        raise MissingInputError("profiles: no file matches. Correct `profiles` of the encoder.")
    known = _Columns(rules or FeatureRules())
    shared = _shared_names(paths, key_columns, known, form)
    raise_problems(known.problems)
    tables = _readers(paths, key_columns, known, form, row_tables, shared)
    return _finished(_joined(tables, list(map(str, paths)), known, until), known)


def read_profiles(
    paths: Sequence[str | Path],
    encoder: Mapping[str, Any],
    screen: Mapping[str, Any],
    row_tables: Sequence[str | Path] = (),
    *,
    until: float | None = None,
) -> VectorTable:
    """Return the vectors of a precomputed encoder on a screen, by their sections.

    Parameters
    ----------
    paths, row_tables, until
        As for `read_vectors`.
    encoder
        The encoder's section of the configuration.
    screen
        Of the screen's section `columns`, `join`, `missing_values` and `table_format`, as far as
        it has them.
    """
    keys, rules, form = _settings(encoder, screen)
    return read_vectors(paths, keys, rules=rules, form=form, row_tables=row_tables, until=until)


def read_headers(
    paths: Sequence[str | Path], encoder: Mapping[str, Any], screen: Mapping[str, Any]
) -> None:
    """Raise TableError with what the headers of tables lack, by the sections of `read_profiles`."""
    keys, rules, form = _settings(encoder, screen)
    problems: list[Problem] = []
    first: list[str] = []
    for path in paths:
        if array_place(path) is not None:
            continue
        try:
            file = TableFile(path, form)
            require_keys(file, keys)
            used = used_columns(file.columns, keys)
            names, _, wrong = select_by_name(file.columns, rules, used, str(path))
        except TableError as error:
            problems += error.problems or (_as_problem(str(path), error),)
            continue
        first = first or names
        problems += wrong
        if rules.feature_sets == "equal" and not rules.is_automatic and not wrong:
            problems += _different_features(first, names, str(path), str(paths[0]), _Columns(rules))
    raise_problems(problems)


def _settings(
    encoder: Mapping[str, Any], screen: Mapping[str, Any]
) -> tuple[KeyColumns, FeatureRules, TableFormat]:
    columns = screen.get("columns", {})
    columns = {**(columns if isinstance(columns, Mapping) else {}), **encoder["columns"]}
    written = encoder["table_format"] or screen.get("table_format", {})
    form = TableFormat(**written, missing=("", *screen.get("missing_values", MISSING)))
    settings = ("features", "exclude_features", "feature_sets", "nan_features", "max_nan_fraction")
    rules = FeatureRules(
        **{name: encoder[name] for name in settings},
        mapped=_mapped(columns, screen.get("join", ())),
    )
    return KeyColumns(columns, encoder["id_column"], encoder["id_pattern"]), rules, form


def _mapped(columns: Mapping[str, Any], joins: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the columns that a screen or an encoder reads."""
    rules = [rule for name, rule in columns.items() if name != "annotations"]
    rules += columns.get("annotations", {}).values()
    keys = {key for join in joins for key in key_names(join["keys"])}
    return keys.union(*(ColumnRule.of(setting).columns for setting in rules))


def _shared_names(
    paths: Sequence[str | Path], key_columns: KeyColumns, known: _Columns, form: TableFormat | None
) -> set[str] | None:
    """Return the columns that all tables have, where those alone count; else None."""
    if known.rules.feature_sets != "shared":
        return None
    names: list[set[str]] = []
    for path in paths:
        if array_place(path) is None:
            file = TableFile(path, form)
            used = used_columns(file.columns, key_columns)
            names.append(set(select_by_name(file.columns, known.rules, used, str(path))[0]))
    shared = set.intersection(*names) if names else set()
    for name in sorted(set().union(*names) - shared):
        without = sum(name not in of for of in names)
        known.excluded[name] = f"missing in {without} of {len(names)} tables (feature_sets: shared)"
    if names and not shared:
        known.problems.append(Problem(str(paths[0]), "no feature is in all tables"))
    return shared


def _joined(
    readers: Sequence[Reader], where: Sequence[str], known: _Columns, until: float | None
) -> VectorTable:
    """Return all tables as one, features in the order of the first.

    The vectors are one array that grows in place: what many small ones leave behind is not given
    back to the system, and would be held beside the whole.
    """
    whole: NDArray[np.float32] = np.empty((0, 0), np.float32)
    features: list[str] = []
    keys: list[pd.DataFrame] = []
    for path, read in zip(where, readers, strict=True):
        if keys and until is not None and monotonic() > until:
            break
        try:
            table = read()
        except TableError as error:
            known.problems += error.problems or (
                Problem(path, str(error).removeprefix(f"{path}: ")),
            )
            continue
        if not keys:
            features = table.features
            whole = np.empty((0, len(features)), np.float32)
        known.problems += _different_features(features, table.features, path, where[0], known)
        if not known.problems:
            at = len(whole)
            whole.resize((at + len(table.vectors), len(features)), refcheck=False)
            whole[at:] = _in_order(table.vectors, _order(features, table.features))
        keys.append(table.keys)
    raise_problems(known.problems)
    return VectorTable(pd.concat(keys, ignore_index=True), whole, features, num_read=len(keys))


def _as_problem(path: str, error: TableError) -> Problem:
    return Problem(path, str(error).removeprefix(f"{path}: "))


def _finished(table: VectorTable, known: _Columns) -> VectorTable:
    """Return the table without the features that the values of all rows exclude."""
    rules, notes = known.rules, known.notes
    reasons = value_reasons(table.vectors, table.features, rules)
    known.not_counts |= known.of_arrays
    if rules.is_automatic:
        counts = (name for name in table.features if name not in known.not_counts)
        reasons |= dict.fromkeys(counts, "counts the rows")
    reasons |= {name: why for name, why in known.excluded.items() if name in table.features}
    reasons = {name: why for name, why in reasons.items() if name not in known.of_arrays}
    kept = [place for place, name in enumerate(table.features) if name not in reasons]
    vectors = table.vectors if len(kept) == len(table.features) else table.vectors[:, kept]
    features = [table.features[place] for place in kept]
    excluded = {**known.excluded, **reasons}
    if not features:
        what = f"no column is left as a feature of {len(excluded)}"
        fix = "name the columns under the encoder's `features`"
        raise_problems([Problem(str(table.keys["file"].iloc[0]), what, "numbers that differ", fix)])
    if rules.nan_features == "impute-plate-median":
        names = table.keys[["experiment", "plate"]].astype(object)
        plates = names.groupby(["experiment", "plate"], dropna=False).ngroup()
        number = impute_plate_medians(vectors, np.asarray(plates, dtype=np.int64))
        notes.append(f"{number} values were missing and are the median of their plate.")
    used = set(known.excluded.values())
    for pattern in rules.exclude_features:
        if f"excluded by {pattern!r}" not in used:
            notes.append(f"exclude_features: no column is called {pattern!r}.")
    for name, number in known.spoiled.items():
        notes.append(f"feature {name!r}: cells such as #DIV/0!, which are missing ({number})")
    notes = together(notes)
    return VectorTable(table.keys, vectors, features, excluded, notes, table.num_read)


def _in_order(vectors: NDArray[np.float32], order: NDArray[np.int64]) -> NDArray[np.float32]:
    return vectors if (order == np.arange(vectors.shape[1])).all() else vectors[:, order]


def _readers(
    paths: Sequence[str | Path],
    key_columns: KeyColumns,
    known: _Columns,
    form: TableFormat | None,
    row_tables: Sequence[str | Path],
    shared: set[str] | None,
) -> list[Reader]:
    """Return for each path what reads it."""
    places = {path: array_place(path) for path in paths}
    arrays = [place for place in places.values() if place is not None and not is_own_store(place)]
    if len(arrays) != len(row_tables):
        raise MissingInputError(
            f"row_tables: {len(row_tables)} tables for {len(arrays)} arrays of vectors; expected "
            "one each, in their order.\n  To fix: correct `row_tables` of the encoder."
        )
    rows = dict(zip(arrays, row_tables, strict=True))
    return [
        partial(_read_one, path, key_columns, known, form, shared=shared)
        if place is None
        else partial(_read_array, place, rows.get(place), key_columns, known, form=form)
        for path, place in places.items()
    ]


def _read_array(
    place: Path,
    row_table: str | Path | None,
    key_columns: KeyColumns,
    known: _Columns,
    *,
    form: TableFormat | None,
) -> VectorTable:
    if not place.exists():
        raise MissingInputError(f"{place}: the profiles are not there.")
    if row_table is None:
        vectors, ids, names = read_own_store(place)
        keys = keys_of_ids(ids)
    else:
        keys = row_keys(TableFile(row_table, form), key_columns)
        vectors = read_array(place, len(keys), str(row_table))
        names = feature_names(vectors.shape[1])
    known.of_arrays |= set(names)
    return VectorTable(keys.assign(file=place.name), vectors, names)


def _read_one(
    path: str | Path,
    key_columns: KeyColumns,
    known: _Columns,
    form: TableFormat | None,
    *,
    shared: set[str] | None,
) -> VectorTable:
    file = TableFile(path, form)
    keys = read_keys(file, key_columns)
    used = used_columns(file.columns, key_columns)
    where = str(file.path)
    chosen, excluded, problems = select_by_name(file.columns, known.rules, used, where)
    raise_problems(problems)
    for name, reason in excluded.items():
        known.excluded.setdefault(name, reason)
    if shared is not None:
        chosen = [name for name in chosen if name in shared]
    vectors, names = _matrix(file, chosen, known)
    if not names and not known.problems:
        what = f"no column holds a feature ({'; '.join(sorted(set(known.excluded.values())))})"
        fix = "name the columns under the encoder's `features`"
        known.problems.append(Problem(where, what, "columns of numbers", fix))
    known.notes += file.notes
    return VectorTable(keys.map(interned).assign(file=file.path.name), vectors, names)


def _matrix(
    file: TableFile, chosen: Sequence[str], known: _Columns
) -> tuple[NDArray[np.float32], list[str]]:
    """Return the columns that hold numbers as one matrix, and the names of its features."""
    blocks, names = [np.empty((file.num_rows, 0), np.float32)], []
    for name, column in file.numbers(chosen):
        reason = reason_by_values(column, known.rules)
        if reason is not None:
            known.excluded[name] = reason
            known.excluded_in.setdefault(name, str(file.path))
            continue
        if column.num_words and column.kind != "list":
            places = [f'{file.place(row)}: "{word}"' for row, word in column.words]
            known.problems.append(word_problem(name, column, str(file.path), places))
        if column.num_spoiled:
            known.spoiled[name] = known.spoiled.get(name, 0) + column.num_spoiled
        if not is_row_count(column.values[:, 0]):
            known.not_counts.add(name)
        width = column.values.shape[1]
        names += [name] if width == 1 else [f"{name}_{i}" for i in range(width)]
        # Beyond float32 becomes infinite, which fails the well by name.
        with np.errstate(over="ignore"):
            blocks.append(column.values.astype(np.float32))
    return np.concatenate(blocks, axis=1), names


def _different_features(
    first: Sequence[str], there: Sequence[str], where: str, first_where: str, known: _Columns
) -> list[Problem]:
    odd = sorted(set(first) ^ set(there))
    if not odd:
        return []
    if known.rules.feature_sets == "shared" and all(name in known.excluded_in for name in odd):
        odd_in = {known.excluded_in[name] for name in odd}
        fix = "leave them out with exclude_features"
        what = f"{', '.join(odd[:5])} hold no numbers in {', '.join(sorted(odd_in))}"
        return [Problem(where, what, "numbers in every table", fix)]
    what = f"{len(odd)} features are in only one of it and {first_where}: {', '.join(odd[:5])}"
    fix = (
        "set feature_sets: shared of the encoder to take those of all tables, or name them under "
        "its `features`"
    )
    return [Problem(where, what, "the same features in every table", fix)]


def _order(wanted: Sequence[str], there: Sequence[str]) -> NDArray[np.int64]:
    return pd.Index(there).get_indexer(pd.Index(wanted)).astype(np.int64)
