"""Multi-well plates: their formats and the names of their wells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PLATE_FORMATS = {
    6: (2, 3),
    12: (3, 4),
    24: (4, 6),
    48: (6, 8),
    96: (8, 12),
    384: (16, 24),
    1536: (32, 48),
}
"""Rows and columns of each plate format, by its number of wells (ANSI/SLAS 4-2004)."""

_NAME = re.compile(r"([A-Za-z]{1,2})0*([1-9][0-9]?)", re.ASCII)


def row_letters(row: int) -> str:
    """The letters of a row that counts from 1: A to Z, then AA to AF.

    >>> row_letters(1), row_letters(26), row_letters(32)
    ('A', 'Z', 'AF')
    """
    if not 1 <= row <= 702:
        raise ValueError(f"row {row}: rows count from 1 to 702 (A to ZZ).")
    high, low = divmod(row - 1, 26)
    return (chr(ord("A") + high - 1) if high else "") + chr(ord("A") + low)


def well_name(row: int, column: int) -> str:
    """The name of the well at a row and column that count from 1, column padded to two digits.

    >>> well_name(4, 14), well_name(32, 48)
    ('D14', 'AF48')
    """
    return f"{row_letters(row)}{column:02d}"


def parse_well(name: str, plate_format: int) -> tuple[int, int] | None:
    """The row and column, from 1, that a well's name means; None when the plate has no such well.

    Lower case, missing and superfluous zeros and outer blanks are accepted.

    >>> parse_well("a1", 96), parse_well("AF048", 1536), parse_well("A25", 384)
    ((1, 1), (32, 48), None)
    """
    found = _NAME.fullmatch(name.strip())
    if not found:
        return None
    letters, column = found[1].upper(), int(found[2])
    row = 0
    for letter in letters:
        row = row * 26 + ord(letter) - ord("A") + 1
    rows, columns = PLATE_FORMATS[plate_format]
    return (row, column) if row <= rows and column <= columns else None


def last_well(plate_format: int) -> str:
    """The name of the last well of a plate, such as P24 for 384."""
    return well_name(*PLATE_FORMATS[plate_format])


@dataclass(frozen=True)
class WellPositions:
    """Parsed well names: `name` normalised, `row` and `column` from 1 (0 where impossible)."""

    name: NDArray[np.object_]
    row: NDArray[np.int16]
    column: NDArray[np.int16]
    is_impossible: NDArray[np.bool_]


def parse_wells(names: Iterable[object], plate_format: int) -> WellPositions:
    """The positions that many well names mean, each distinct name parsed once.

    Parameters
    ----------
    names
        Well names in any of the accepted spellings; missing values count as impossible.
    plate_format
        Wells of a plate: 6, 12, 24, 48, 96, 384 or 1536.
    """
    codes, distinct = pd.factorize(np.asarray(list(names), dtype=object))
    parsed = [parse_well(str(name), plate_format) for name in distinct]
    table = np.array([*(pair or (0, 0) for pair in parsed), (0, 0)], dtype=np.int16)
    spelt = np.array(
        [*(well_name(*p) if p else str(n) for p, n in zip(parsed, distinct, strict=True)), ""],
        dtype=object,
    )
    row, column = table[codes].T  # a missing value has code -1: the last entry
    return WellPositions(spelt[codes], row.copy(), column.copy(), row == 0)


MAX_STRAY_FRACTION = 0.05
"""Share of a plate's wells that may lie outside of its format and be taken for typing errors."""


def infer_formats(positions: WellPositions, plates: NDArray[np.int64]) -> NDArray[np.int16]:
    """The format of each well's plate: the smallest that holds all but 5 % of the plate's wells.

    So one `A25` on a 384-well plate is an impossible well, and does not make a plate of 1536.

    Parameters
    ----------
    positions
        Wells parsed as wells of the largest format; impossible names count for no format.
    plates
        The plate of each well, counted from 0.
    """
    num_wells = np.bincount(plates)
    formats = np.zeros(len(num_wells), dtype=np.int16)
    for size, (rows, columns) in PLATE_FORMATS.items():
        is_outside = (positions.row > rows) | (positions.column > columns)
        num_outside = np.bincount(plates, weights=is_outside)
        formats[(formats == 0) & (num_outside <= MAX_STRAY_FRACTION * num_wells)] = size
    return formats[plates]


def is_outside(positions: WellPositions, formats: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Whether each well is impossible, or lies outside of its plate's format."""
    sizes = np.array(list(PLATE_FORMATS))
    limits = np.array(list(PLATE_FORMATS.values()))[np.searchsorted(sizes, formats)]
    beyond = (positions.row > limits[:, 0]) | (positions.column > limits[:, 1])
    return positions.is_impossible | beyond
