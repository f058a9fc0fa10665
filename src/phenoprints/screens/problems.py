"""Problems of a table's rows: one for each distinct wrong value, with its lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import Problem, raise_problems

LINE, FILE = "line", "file"
"""Columns that say where a row stands; without them rows count from 1."""


def place(table: pd.DataFrame, position: int, origin: str) -> str:
    """Where a row stands: its file and line, or the table's origin and the row's number."""
    file = table[FILE].iloc[position] if FILE in table else origin
    return f"{file}, {line_of(table, position)}"


def line_of(table: pd.DataFrame, position: int) -> str:
    """A row's line in its file, else its number from 1."""
    return f"line {table[LINE].iloc[position]}" if LINE in table else f"row {position + 1}"


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
    """A column of text as whole numbers of 0 or more; TableError with every other value."""
    found = pd.to_numeric(table[column], errors="coerce")
    is_wrong = ~((found >= 0) & (found < 2**31) & (found % 1 == 0)).to_numpy()
    raise_problems(
        value_problems(
            table[column], is_wrong, table, origin,
            say=lambda value: (f'column "{column}": "{value}"', "a whole number", "correct it"),
        )
    )  # fmt: skip
    return found.astype("int32")
