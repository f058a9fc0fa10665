"""Effects of plate, row and column, found on controls and taken off every well."""

# N wells · K components · P plates · R rows · C columns

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Floats

MAX_SWEEPS = 10
"""Sweeps of the median polish; R's medpolish stops at 10 too."""

TOLERANCE = 1e-6
"""A sweep that moves no effect by more than this, in units of aligned embeddings, is the last."""

MIN_CONTROLS_IN_LINE = 2
"""A row or column with fewer controls keeps the effect 0: one well is noise, not an effect."""


@dataclass(frozen=True)
class Positions:
    """Where the wells of one experiment stand: plate name, row and column (from 1), each (N,)."""

    plate: NDArray[np.str_]
    row: NDArray[np.integer]
    column: NDArray[np.integer]

    def take(self, rows: NDArray[np.intp]) -> Positions:
        """Return the positions of some wells."""
        return Positions(self.plate[rows], self.row[rows], self.column[rows])


@dataclass(frozen=True)
class PositionEffects:
    """Effects per plate (P, K), row (P, R, K) and column (P, C, K); `plates` names the first axis.

    Index 0 of the second axis stands for row or column 1. A plate without usable control has
    effects 0 and is named in `untouched`.
    """

    plates: NDArray[np.str_]
    plate: Floats
    row: Floats
    column: Floats
    untouched: tuple[str, ...] = ()

    def of_wells(self, at: Positions) -> Floats:
        """Return the sum of the three effects for each well (N, K); 0 beyond what was fitted."""
        index = np.searchsorted(self.plates, at.plate)
        total = self.plate[index].copy()
        for effect, line in ((self.row, at.row), (self.column, at.column)):
            inside = line <= effect.shape[1]
            total[inside] += effect[index[inside], line[inside] - 1]
        return total


def fit_positions(y: Floats, is_control: NDArray[np.bool_], at: Positions) -> PositionEffects:
    """Median polish of each plate's controls (Tukey 1977), component by component.

    y (N, K) are aligned embeddings of one experiment; rows that are not finite are left out.
    """
    usable = is_control & np.isfinite(y).all(axis=1)
    plates, codes = np.unique(at.plate, return_inverse=True)
    num_rows, num_columns = int(at.row.max(initial=0)), int(at.column.max(initial=0))
    plate = np.zeros((len(plates), y.shape[1]), y.dtype)
    row = np.zeros((len(plates), num_rows, y.shape[1]), y.dtype)
    column = np.zeros((len(plates), num_columns, y.shape[1]), y.dtype)
    untouched = []
    for code, name in enumerate(plates):
        wells = np.flatnonzero(usable & (codes == code))
        if len(wells):
            plate[code], row[code], column[code] = median_polish(
                y[wells], at.row[wells] - 1, at.column[wells] - 1, num_rows, num_columns
            )
        else:
            untouched.append(str(name))
    return PositionEffects(plates, plate, row, column, tuple(untouched))


def without_own(
    y: Floats,
    rows: NDArray[np.intp],
    effects: PositionEffects,
    is_control: NDArray[np.bool_],
    at: Positions,
) -> Floats:
    """Return the effects of the wells `rows` (M,), fitted on the plate's controls but the well.

    The effects of its own row and column are medians over the other controls there, less the other
    effects of `effects`, which were fitted on all controls: one step of the polish. One control has
    next to no influence on the effects of other lines.

    Parameters
    ----------
    y
        (N, K) the vectors that `effects` were fitted on.
    rows
        Control wells.
    effects, is_control, at
        The fit, the wells of the fit, and where all wells are.

    Returns
    -------
    (M, K) float
    """
    usable = is_control & np.isfinite(y).all(axis=1)
    index = np.searchsorted(effects.plates, at.plate)
    total = effects.of_wells(at)[rows]
    for effect, line in ((effects.row, at.row), (effects.column, at.column)):
        for number, well in enumerate(rows):
            is_other = usable & (index == index[well]) & (line == line[well])
            is_other[well] = False
            own = effect[index[well], line[well] - 1]
            total[number] -= own
            others = np.flatnonzero(is_other)
            if len(others) >= MIN_CONTROLS_IN_LINE:
                rest = y[others] - effects.of_wells(at.take(others)) + own
                total[number] += np.median(rest, axis=0)
    return total


def median_polish(
    values: Floats,
    row: NDArray[np.integer],
    column: NDArray[np.integer],
    num_rows: int,
    num_columns: int,
) -> tuple[Floats, Floats, Floats]:
    """Overall (K,), row (R, K) and column (C, K) effects of values (N, K) at positions from 0.

    Positions may be missing or hold several wells. A row or column with fewer than two wells has
    the effect 0. Row and column effects have the median 0 over the rows and columns with wells.
    """
    overall = np.median(values, axis=0)
    rest = values - overall
    effects = [np.zeros((size, values.shape[1]), values.dtype) for size in (num_rows, num_columns)]
    lines = [_lines(row), _lines(column)]
    for _ in range(MAX_SWEEPS):
        moved = 0.0
        for effect, groups in zip(effects, lines, strict=True):
            for line, wells in groups:
                step = np.median(rest[wells], axis=0)
                effect[line] += step
                rest[wells] -= step
                moved = max(moved, float(np.abs(step).max(initial=0)))
        if moved <= TOLERANCE:
            break
    for effect, groups in zip(effects, lines, strict=True):
        if groups:
            used = [line for line, _ in groups]
            middle = np.median(effect[used], axis=0)
            effect[used] -= middle
            overall = overall + middle
    return overall, effects[0], effects[1]


def _lines(position: NDArray[np.integer]) -> list[tuple[int, NDArray[np.intp]]]:
    """Each row (or column) that holds enough wells, with the indices of its wells."""
    groups = ((int(line), np.flatnonzero(position == line)) for line in np.unique(position))
    return [(line, wells) for line, wells in groups if len(wells) >= MIN_CONTROLS_IN_LINE]
