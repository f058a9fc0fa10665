"""Multi-well plates: their formats and the names of their wells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phenoprints.foundations.errors import DataError

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
    """Return the letters of a row that counts from 1: A to Z, then AA to AF.

    >>> row_letters(1), row_letters(26), row_letters(32)
    ('A', 'Z', 'AF')
    """
    if not 1 <= row <= 702:
        raise ValueError(f"row {row}: rows count from 1 to 702 (A to ZZ).")
    high, low = divmod(row - 1, 26)
    return (chr(ord("A") + high - 1) if high else "") + chr(ord("A") + low)


def well_name(row: int, column: int) -> str:
    """Return the name of the well at a row and column that count from 1; two digits of column.

    >>> well_name(4, 14), well_name(32, 48)
    ('D14', 'AF48')
    """
    return f"{row_letters(row)}{column:02d}"


def parse_well(name: str, plate_format: int) -> tuple[int, int] | None:
    """Return the row and column (from 1) of a well's name; None when the plate has no such well.

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
    """Return the name of the last well of a plate, such as P24 for 384."""
    return well_name(*PLATE_FORMATS[plate_format])


@dataclass(frozen=True)
class WellPositions:
    """Parsed well names: `name` normalised, `row` and `column` from 1 (0 where impossible)."""

    name: NDArray[np.object_]
    row: NDArray[np.int16]
    column: NDArray[np.int16]
    is_impossible: NDArray[np.bool_]


def parse_wells(names: Iterable[object], plate_format: int) -> WellPositions:
    """Return the positions of many well names, each distinct name parsed once.

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
    """Return the format of each well's plate: the smallest that holds all but 5 % of its wells.

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


def plate_shapes(formats: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return rows and columns (N, 2) of plate formats (N,), each a key of `PLATE_FORMATS`."""
    sizes = np.array(list(PLATE_FORMATS))
    shapes: NDArray[np.int64] = np.array(list(PLATE_FORMATS.values()))[
        np.searchsorted(sizes, formats)
    ]
    return shapes


def is_outside(positions: WellPositions, formats: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Return whether each well is impossible, or lies outside of its plate's format."""
    limits = plate_shapes(formats)
    beyond = (positions.row > limits[:, 0]) | (positions.column > limits[:, 1])
    return positions.is_impossible | beyond


def smallest_format(row: ArrayLike, column: ArrayLike) -> int:
    """Return the smallest plate format that holds wells at these rows and columns, from 1.

    Raises DataError where no format holds them all.

    >>> smallest_format([1, 3], [4, 1]), smallest_format([8], [12])
    (12, 96)
    """
    last_row, last_column = int(np.max(row)), int(np.max(column))
    for size, (rows, columns) in PLATE_FORMATS.items():
        if last_row <= rows and last_column <= columns:
            return size
    raise DataError(
        f"wells: row {last_row}, column {last_column} is on no plate.\n"
        f"  Expected rows and columns up to those of {max(PLATE_FORMATS)} wells, "
        f"{PLATE_FORMATS[max(PLATE_FORMATS)]}.\n"
        "  To fix: correct the columns row and column of the wells table."
    )


def plate_formats(wells: pd.DataFrame) -> NDArray[np.int16]:
    """Return the format of each well's plate, int16 (N,).

    The column `plate_format` where the table has it. Tables of version 0.1 do not; all their plates
    have the smallest format that holds every well of the screen.
    """
    if "plate_format" in wells:
        return wells["plate_format"].to_numpy(dtype=np.int16)
    size = smallest_format(wells["row"], wells["column"]) if len(wells) else 0
    return np.full(len(wells), size, dtype=np.int16)


def largest_shape(wells: pd.DataFrame) -> tuple[int, int]:
    """Return rows and columns of the largest plate format among some wells."""
    return PLATE_FORMATS[int(plate_formats(wells).max())]


def edge_distance(wells: pd.DataFrame) -> NDArray[np.int64]:
    """Return how many wells lie between each well and the nearest edge of its plate; 0 on the rim.

    Needs the columns row and column, which count from 1; `plate_format` as in `plate_formats`.
    """
    shapes = plate_shapes(plate_formats(wells))
    row, column = (wells[name].to_numpy(dtype=np.int64) for name in ("row", "column"))
    distances = [row - 1, shapes[:, 0] - row, column - 1, shapes[:, 1] - column]
    nearest: NDArray[np.int64] = np.min(distances, axis=0)
    return nearest
