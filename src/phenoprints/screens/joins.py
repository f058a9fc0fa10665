"""Join further tables to the wells, from the left, one row to one row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.cells import NumberForm, is_code
from phenoprints.foundations.errors import Problem, TableError, raise_problems
from phenoprints.foundations.table_files import LINE, require_columns
from phenoprints.screens.problems import FILE, line_of, place, value_problems
from phenoprints.wells.plates import parse_well, well_name

SHOWN = 5
_FORM = NumberForm()


@dataclass(frozen=True)
class Join:
    """One join: key columns (left name to right name), columns taken, what a missing row means.

    `numbers` are the left key columns that are compared as numbers.
    """

    on: Mapping[str, str]
    columns: Sequence[str] = ()
    missing: str = "keep"
    numbers: Collection[str] = ()
    fix: str = "delete the column from one of the tables, or list others under join.columns"


def key_names(on: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Left to right names of the key columns; a list means equal names."""
    return dict(on) if isinstance(on, Mapping) else {name: name for name in on}


def join_table(
    left: pd.DataFrame,
    right: pd.DataFrame,
    join: Join,
    where: str,
    *,
    wells: str = "",
    notes: list[str] | None = None,
) -> pd.DataFrame:
    """`left` with the columns of `right`, its rows and their order unchanged.

    Parameters
    ----------
    left, right
        Tables of text with the columns `line` and `file`.
    join
        Keys are compared as text (1.1 and 1.10 are two names), those of `join.numbers` by value
        (3 = 3.000000), wells in any spelling. Without `columns` all of the right table are taken;
        one that is on both sides must agree.
    where
        The right table, for messages.
    wells
        The left key column that holds well names.
    notes
        Receives how many rows of either side have no partner.

    Raises
    ------
    TableError
        A key or column is missing, a column differs between the sides, a key has two different
        rows, no row has a partner, or some have none and `join.missing` is `error`.
    """
    require_columns(list(left.columns), list(join.on), "the wells table")
    require_columns(list(right.columns), [*join.on.values(), *join.columns], where)
    surplus = {*join.on.values(), LINE, FILE, ""}
    taken = list(join.columns) or [name for name in right.columns if name not in surplus]
    kinds = {**dict.fromkeys(join.numbers, "number"), wells: "well"}
    left_keys = _keys(left, {name: kinds.get(name, "") for name in join.on})
    right_keys = _keys(right, {own: kinds.get(name, "") for name, own in join.on.items()})
    rows = right_keys.assign(**{f"value {name}": right[name] for name in taken})
    keys = list(right_keys.columns)
    rows = rows[rows[keys].notna().all(axis=1)].drop_duplicates(keys + [
        f"value {name}" for name in taken])  # fmt: skip
    raise_problems(_ambiguous(rows, keys, right, where))
    found = left_keys.merge(rows.assign(found=True), how="left", on=keys, validate="m:1")
    has_partner = found["found"].notna().to_numpy()
    _judge(left, left_keys, has_partner, join, where)
    if notes is not None:
        notes += _partners(left_keys, rows[keys], has_partner, where)
    joined = {name: found[f"value {name}"].to_numpy(dtype=object) for name in taken}
    raise_problems(_differing(left, joined, where, join))
    result = left.assign(**joined)
    return result.astype(dict.fromkeys(taken, object)).where(result.notna(), None)


def _keys(table: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Return the key columns in comparable spelling, as `key 0`, `key 1`, ..."""
    spell: dict[str, Callable[[str], str]] = {"well": _well, "number": _number, "": str}
    found = {}
    for position, (name, kind) in enumerate(kinds.items()):
        spelled = {text: spell[kind](text) for text in table[name].dropna().unique()}
        found[f"key {position}"] = table[name].map(spelled).to_numpy(dtype=object)
    return pd.DataFrame(found)


def _number(text: str) -> str:
    value = None if is_code(text) else _FORM.number(text)
    return text if value is None else repr(value)


def _well(text: str) -> str:
    position = parse_well(text, 1536)
    return well_name(*position) if position else text


def _differing(
    left: pd.DataFrame, joined: Mapping[str, NDArray[np.object_]], where: str, join: Join
) -> list[Problem]:
    """Return a problem for each column of both sides whose values differ."""
    problems = []
    for name, values in joined.items():
        if name not in left.columns:
            continue
        own = left[name].to_numpy(dtype=object)
        odd = np.flatnonzero([a is not None and a != b for a, b in zip(own, values, strict=True)])
        if len(odd):
            first = int(odd[0])
            what = (
                f'column "{name}" is in the wells table already, with other values in {len(odd)} '
                f'rows (first: {place(left, first, "wells")}: "{own[first]}", here '
                f'"{values[first]}")'
            )
            problems.append(Problem(where, what, "columns that are new, or equal", join.fix))
    return problems


def _ambiguous(
    rows: pd.DataFrame, keys: list[str], right: pd.DataFrame, where: str
) -> list[Problem]:
    twice = rows[rows.duplicated(keys, keep=False)]
    problems = []
    for key, group in twice.groupby(keys, sort=False):
        lines = ", ".join(line_of(right, int(i)) for i in group.index[:SHOWN])
        what = f"the key {'/'.join(map(str, key))} has {len(group)} different rows ({lines})"
        fix = "delete the surplus rows, or add the column that tells them apart to join.keys"
        problems.append(Problem(where, what, "one row for each key", fix))
    return problems


def _judge(
    left: pd.DataFrame, keys: pd.DataFrame, has_partner: NDArray[np.bool_], join: Join, where: str
) -> None:
    """Raise TableError where no row has a partner, or some have none and all should."""
    names = keys.fillna("").agg("/".join, axis=1)
    if len(names) and not has_partner.any():
        what = f"none of {len(names)} rows of the wells has a row here (such as {names.iloc[0]})"
        fix = (
            "correct the keys: names are compared as text (3 is not 3.0, 41000 not 0041000); list "
            "columns that hold numbers under join.numbers"
        )
        raise_problems([Problem(where, what, f"rows with {', '.join(join.on.values())}", fix)])
    if join.missing == "error":
        raise_problems(
            value_problems(
                names, ~has_partner, left, "wells",
                say=lambda name: (
                    f'"{name}" has no row in {where}', "a row for every well",
                    "complete the table, list columns that hold numbers under join.numbers, or "
                    "set join.missing: keep",
                ),
            ),
            TableError,
        )  # fmt: skip


def _partners(
    left: pd.DataFrame, right: pd.DataFrame, has_partner: NDArray[np.bool_], where: str
) -> list[str]:
    """Return a sentence for each side of which rows have no partner."""
    lines = []
    lost = left[~has_partner].fillna("").agg("/".join, axis=1)
    if len(lost):
        lines.append(f"{len(lost)} wells have no row in {where} ({_some(lost)})")
    unused = right.merge(left.drop_duplicates(), how="left", indicator=True)
    strays = right[(unused["_merge"] == "left_only").to_numpy()].agg("/".join, axis=1)
    if len(strays):
        lines.append(f"{len(strays)} rows of {where} belong to no well ({_some(strays)})")
    return lines


def _some(names: pd.Series[str]) -> str:
    first = list(dict.fromkeys(names))
    return ", ".join(first[:SHOWN]) + (", …" if len(first) > SHOWN else "")
