"""Join further tables to the wells, from the left, one row to one row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from phenoprints.foundations.errors import Problem, TableError, raise_problems
from phenoprints.screens.problems import FILE, LINE, value_problems
from phenoprints.screens.tables import require_columns
from phenoprints.wells.plates import parse_well, well_name

_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]{0,14})?(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?", re.ASCII)


@dataclass(frozen=True)
class Join:
    """One join: key columns (left name to right name), columns taken, what a missing row means."""

    on: Mapping[str, str]
    columns: Sequence[str] = ()
    missing: str = "keep"


def key_names(on: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Left to right names of the key columns; a list means equal names."""
    return dict(on) if isinstance(on, Mapping) else {name: name for name in on}


def join_table(
    left: pd.DataFrame, right: pd.DataFrame, join: Join, where: str, *, wells: str = ""
) -> pd.DataFrame:
    """`left` with the columns of `right`, its rows and their order unchanged.

    Parameters
    ----------
    left, right
        Tables of text with the columns `line` and `file`.
    join
        Keys are compared as text without outer blanks; decimal numbers by value (3 = 3.000000),
        whole numbers with leading zeros as text (007 is a name), wells in any spelling.
    where
        The right table, for messages.
    wells
        The left key column that holds well names.

    Raises
    ------
    TableError
        A key or column is missing, a column stands on both sides, a key has two different rows,
        or wells have no row and `join.missing` is `error`.
    """
    require_columns(left, list(join.on), "the wells table")
    require_columns(right, [*join.on.values(), *join.columns], where)
    taken = list(join.columns) or [
        c for c in right.columns if c not in {*join.on.values(), LINE, FILE}
    ]
    raise_problems(_both_sides(left, taken, where))
    right_keys = _keys(right, list(join.on.values()), wells=join.on.get(wells, ""))
    rows = right_keys.assign(**{f"value {name}": right[name] for name in taken})
    keys = list(right_keys.columns)
    rows = rows[rows[keys].notna().all(axis=1)].drop_duplicates()
    raise_problems(_ambiguous(rows, keys, right, where))
    left_keys = _keys(left, list(join.on), wells=wells).set_axis(keys, axis=1)
    found = left_keys.merge(rows.assign(found=True), how="left", on=keys, validate="m:1")
    if join.missing == "error":
        _raise_missing(left, left_keys, found, where)
    joined = {name: found[f"value {name}"].to_numpy(dtype=object) for name in taken}
    result = left.assign(**joined)
    return result.astype(dict.fromkeys(taken, object)).where(result.notna(), None)


def _keys(table: pd.DataFrame, names: Sequence[str], *, wells: str) -> pd.DataFrame:
    canonical = {}
    for position, name in enumerate(names):
        spell = _well if name == wells else _text
        spelt = {text: spell(text) for text in table[name].dropna().unique()}
        canonical[f"key {position}"] = table[name].map(spelt).to_numpy(dtype=object)
    return pd.DataFrame(canonical)


def _text(text: str) -> str:
    """Return the text without outer blanks; a decimal number in its shortest form."""
    short = text.strip()
    if _NUMBER.fullmatch(short) and any(digit.isdigit() for digit in short):
        value = float(short)
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return short


def _well(text: str) -> str:
    position = parse_well(text, 1536)
    return well_name(*position) if position else text.strip()


def _both_sides(left: pd.DataFrame, taken: Sequence[str], where: str) -> list[Problem]:
    fix = "list the columns to take under join.columns"
    what = 'column "{}" stands in the wells table already'
    return [
        Problem(where, what.format(name), "columns that are new", fix)
        for name in taken
        if name in left.columns
    ]


def _ambiguous(
    rows: pd.DataFrame, keys: list[str], right: pd.DataFrame, where: str
) -> list[Problem]:
    twice = rows[rows.duplicated(keys, keep=False)]
    problems = []
    for key, group in twice.groupby(keys, sort=False):
        lines = ", ".join(f"line {right[LINE].iloc[int(i)]}" for i in group.index[:5])
        what = f"the key {'/'.join(map(str, key))} has {len(group)} different rows ({lines})"
        fix = "delete the surplus rows, or add the column that tells them apart to join.keys"
        problems.append(Problem(where, what, "one row for each key", fix))
    return problems


def _raise_missing(
    left: pd.DataFrame, left_keys: pd.DataFrame, found: pd.DataFrame, where: str
) -> None:
    names = left_keys.fillna("").agg("/".join, axis=1)
    raise_problems(
        value_problems(
            names, found["found"].isna().to_numpy(), left, "wells",
            say=lambda name: (
                f'"{name}" has no row in {where}', "a row for every well",
                "complete the table, or set join.missing: keep",
            ),
        ),
        TableError,
    )  # fmt: skip
