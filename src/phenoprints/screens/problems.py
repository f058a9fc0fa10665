"""Problems of a table's rows: one for each distinct wrong value, with its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import Problem, raise_problems
from phenoprints.foundations.table_files import LINE

FILE = "file"
"""Column with the file of a row, beside `LINE`; without them rows count from 1."""


def place(table: pd.DataFrame, position: int, origin: str) -> str:
    """Where a row stands: its file and line, or the table's origin and the row's number."""
    file = table[FILE].iloc[position] if FILE in table else origin
    return f"{file}, {line_of(table, position)}"


def line_of(table: pd.DataFrame, position: int) -> str:
    """Return a row's line in its text file, else its number from 1."""
    line = int(table[LINE].iloc[position]) if LINE in table else -position - 1
    return f"line {line}" if line > 0 else f"row {-line}"


def value_problems(
    values: pd.Series[Any],
    is_wrong: NDArray[Any],
    table: pd.DataFrame,
    origin: str,
    *,
    say: Callable[[object], tuple[str, str, str]],
) -> list[Problem]:
    """One problem for each distinct wrong value, with the number of its rows.

    Parameters
    ----------
    values, is_wrong, table
        A column, its wrong rows, and the table (for lines), all of one length.
    origin
        The file that is named when the rows do not name theirs.
    say
        From a value: what is wrong, what was expected, what to do.
    """
    values = values.reset_index(drop=True)
    wrong = values[is_wrong]
    problems = []
    for value, group in wrong.groupby(wrong, sort=False, dropna=False):
        first, last = int(group.index[0]), int(group.index[-1])
        what, expected, fix = say(value)
        if len(group) > 1:
            lines = f"first: {line_of(table, first)}, last: {line_of(table, last)}"
            what += f". {len(group)} rows have this error ({lines})"
        problems.append(Problem(place(table, first, origin), what, expected, fix))
    return problems


def whole_numbers(table: pd.DataFrame, column: str, origin: str) -> pd.Series[int]:
    """Return a column of text as whole numbers of 0 or more; TableError with every other value."""
    found = pd.to_numeric(table[column], errors="coerce")
    is_wrong = ~((found >= 0) & (found < 2**31) & (found % 1 == 0)).to_numpy()
    raise_problems(
        value_problems(
            table[column], is_wrong, table, origin,
            say=lambda value: (f'column "{column}": "{value}"', "a whole number", "correct it"),
        )
    )  # fmt: skip
    return found.astype("int32")


SHOWN_KEYS = 3
"""Keys that a message names of those that stand twice."""


def shared_keys(table: pd.DataFrame, key: Sequence[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """For every two files that hold rows of the same keys: their names and the second's rows.

    Parameters
    ----------
    table
        Rows with the columns of `key` and `file`. A key that stands twice in one file gives that
        file as both; of three files the first is paired with each of the others.
    """
    twice = table[table.duplicated(list(key), keep=False)].reset_index(drop=True)
    ordered = twice.astype({FILE: str}).sort_values([*key, FILE], kind="stable")
    first = ordered.groupby(list(key), sort=False)[FILE].transform("first").rename("first")
    again = ordered[ordered.duplicated(list(key))]
    for (one, other), rows in again.groupby([first[again.index], again[FILE]], sort=True):
        yield str(one), str(other), rows


def shared_problem(one: str, other: str, things: str, keys: Sequence[str], fix: str) -> Problem:
    """Return the problem that two files (or one, twice) list the same things, by
    their first keys.
    """
    some = "; ".join(keys[:SHOWN_KEYS]) + ("; …" if len(keys) > SHOWN_KEYS else "")
    again = "more than once" if one == other else f"that {other} lists too"
    what = f"it lists {len(keys)} {things} {again} ({some})"
    fix = "delete the surplus rows" if one == other else fix
    return Problem(one, what, "each of them once", fix)
