"""Plates in their physical shape as small static SVG: one path per colour, no style, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from phenoprints.reports import numbers, palettes
from phenoprints.wells.plates import largest_shape, row_letters

NUM_COLOURS = 24
PLATE_WIDTH = 288
"""Width of the wells in SVG units: a multiple of 3, 6, 8, 12, 24 and 48."""

LEFT, TOP, RIGHT, BOTTOM = 22, 16, 2, 2

ROLE_NAMES = {
    "negative_control": "negative control (circle)",
    "positive_control": "positive control (triangle)",
    "unperturbed": "unperturbed (diamond)",
}


@dataclass(frozen=True)
class ColourScale:
    """A palette between two limits that all maps of one figure share; values beyond are clipped."""

    low: float
    high: float
    palette: str = "viridis"

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray, percentile: float = 1.0) -> ColourScale:
        """Limits at the `percentile` and its mirror of the finite values."""
        finite = np.asarray(values, dtype=float)
        finite = finite[np.isfinite(finite)]
        if not finite.size:
            return cls(0.0, 1.0)
        low, high = np.percentile(finite, [percentile, 100 - percentile])
        return cls(float(low), float(high) if high > low else float(low) + 1.0)

    @classmethod
    def centred(cls, values: Sequence[float] | np.ndarray, centre: float = 0.0) -> ColourScale:
        """Blue to orange, symmetric about `centre`, out to the 99th percentile of distance."""
        finite = np.asarray(values, dtype=float)
        finite = finite[np.isfinite(finite)]
        reach = float(np.percentile(np.abs(finite - centre), 99)) if finite.size else 1.0
        return cls(centre - (reach or 1.0), centre + (reach or 1.0), "blue-orange")

    @cached_property
    def colours(self) -> list[str]:
        """The colours from low to high."""
        return palettes.ramp(palettes.PALETTES[self.palette], NUM_COLOURS)

    def bins(self, values: np.ndarray) -> np.ndarray:
        """Return the colour index of each value, -1 where it is missing."""
        share = (values - self.low) / (self.high - self.low)
        index = np.clip(np.nan_to_num(share) * NUM_COLOURS, 0, NUM_COLOURS - 1).astype(int)
        return np.where(np.isnan(values), -1, index)


class Plate:
    """One plate whose outline, positions and signs are drawn once, for any number of maps.

    Parameters
    ----------
    wells
        row and column (from 1) and role of every well. Positions without a row here stay empty;
        controls carry a shape besides their colour.
    shape
        Rows and columns of the plate; by default those of the wells' `plate_formats`.
    """

    def __init__(self, wells: pd.DataFrame, shape: tuple[int, int] | None = None) -> None:
        row, column = (wells[name].to_numpy(dtype=int) for name in ("row", "column"))
        self.rows, self.columns = shape or largest_shape(wells)
        self.order = np.lexsort((column, row))
        self.row, self.column = row[self.order], column[self.order]
        self.step = PLATE_WIDTH / self.columns
        x, y = LEFT + (self.column - 1) * self.step, TOP + (self.row - 1) * self.step
        self.squares = np.array(_squares(x, y, self.step), dtype=object)
        self.crosses = np.array(_crosses(x, y, self.step), dtype=object)
        self.frame = _frame(self.rows, self.columns, self.step)
        self.signs = _all_signs(wells["role"].to_numpy()[self.order], x, y, self.step)

    def numbers(
        self, values: Sequence[float] | np.ndarray, *, title: str, scale: ColourScale
    ) -> Markup:
        """Draw numbers as a plate map in well order; NaN is drawn as a cross, never as a colour.

        The numbers stand in a table below, which read-out and screen readers use.
        """
        ordered = np.asarray(values, dtype=float)[self.order]
        bins = scale.bins(ordered)
        written = [numbers.number(value) for value in ordered.tolist()]
        return self._drawn(bins, scale.colours, written, title)

    def words(self, values: Sequence[str], *, title: str, fills: Mapping[str, str]) -> Markup:
        """Return a map of words in the order of the wells; words without a colour are crosses."""
        ordered = [str(value) for value in np.asarray(values, dtype=object)[self.order]]
        code = {word: at for at, word in enumerate(fills)}
        bins = np.array([code.get(word, -1) for word in ordered], dtype=int)
        written = [str(escape(word)) for word in ordered]
        return self._drawn(bins, list(fills.values()), written, title)

    def _drawn(
        self, bins: np.ndarray, colours: Sequence[str], written: Sequence[str], title: str
    ) -> Markup:
        drawing = [self.frame]
        for at in np.unique(bins[bins >= 0]).tolist():
            path = "".join(self.squares[bins == at])
            drawing.append(f'<path fill="{colours[at]}" d="{path}"/>')
        if (bins < 0).any():
            path = "".join(self.crosses[bins < 0])
            drawing.append(f'<path d="{path}" stroke="currentColor" fill="none"/>')
        width, height = LEFT + PLATE_WIDTH + RIGHT, _short(TOP + self.rows * self.step + BOTTOM)
        name = escape(title)
        return Markup(  # noqa: S704  (numbers and escaped words only)
            f"<p><strong>{name}</strong></p>"
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img" aria-label="{name}" '
            f'data-plate="{LEFT} {TOP} {_short(self.step)} {self.rows} {self.columns}" '
            f'font-family="sans-serif" font-size="8">{"".join(drawing)}{self.signs}</svg>'
            f"{self._table(written, name)}"
        )

    def _table(self, written: Sequence[str], name: str) -> str:
        grid = [[""] * self.columns for _ in range(self.rows)]
        for row, column, text in zip(self.row, self.column, written, strict=True):
            grid[row - 1][column - 1] = text
        heads = "".join(f'<th scope="col">{at}' for at in range(1, self.columns + 1))
        body = "".join(
            f'<tr><th scope="row">{row_letters(at)}<td>' + "<td>".join(line)
            for at, line in enumerate(grid, start=1)
        )
        return (
            f'<details><summary>Numbers</summary><div class="scroll" tabindex="0" role="region" '
            f'aria-label="{name}"><table><thead><tr><th scope="col">Row{heads}</thead>'
            f"<tbody>{body}</tbody></table></div></details>"
        )


def category_map(
    wells: pd.DataFrame,
    *,
    title: str,
    fills: Mapping[str, str],
    shape: tuple[int, int] | None = None,
) -> Markup:
    """One plate: `wells` has row, column (from 1), role and a word as value (see Plate)."""
    values = wells["value"].fillna("").astype(str).tolist()
    return Plate(wells, shape).words(values, title=title, fills=fills)


def colour_bar(scale: ColourScale, label: str) -> Markup:
    """Return the legend that maps of one scale share: colours with their limits, and the signs."""
    width = 10
    bars = "".join(
        f'<rect x="{8 + at * width}" y="20" width="{width + 0.5}" height="12" fill="{colour}"/>'
        for at, colour in enumerate(scale.colours)
    )
    middle = (scale.low + scale.high) / 2
    ticks = "".join(
        _label(8 + share * NUM_COLOURS * width, 46, numbers.number(value), anchor)
        for share, value, anchor in (
            (0, scale.low, "start"), (0.5, middle, "middle"), (1, scale.high, "end")
        )
    )  # fmt: skip
    return _legend(f"{label}: colour scale", _label(8, 13, label, "start") + bars + ticks, 262)


def category_legend(fills: Mapping[str, str]) -> Markup:
    """Return the legend of a map of words, with the signs."""
    parts, left = [], 8
    for word, colour in fills.items():
        parts.append(f'<rect x="{left}" y="20" width="12" height="12" fill="{colour}"/>')
        parts.append(_label(left + 17, 30, word, "start"))
        left += 34 + 7 * len(word)
    return _legend("Colours and signs", "".join(parts), max(left, 120))


def _legend(title: str, drawing: str, left: int) -> Markup:
    signs = (("✕ missing", None), *((name, role) for role, name in ROLE_NAMES.items()))
    parts = []
    for at, (name, role) in enumerate(signs):
        x, y = left + 30 + (at % 2) * 190, 18 + (at // 2) * 20
        parts.append(_label(x + 12, y + 4, name, "start"))
        if role:
            parts.append(_signs(_role_path(role, np.array([x]), np.array([y]), 12.0)))
    width = left + 400
    return Markup(  # noqa: S704  (numbers and escaped words only)
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="52" '
        f'viewBox="0 0 {width} 52" role="img" aria-label="{escape(title)}" '
        f'font-family="sans-serif" font-size="11">{drawing}{"".join(parts)}</svg>'
    )


def _frame(rows: int, columns: int, step: float) -> str:
    every = 1 if columns <= 12 else 2 if columns <= 24 else 4
    labels = [
        _label(LEFT + (at - 0.5) * step, TOP - 5, str(at), "middle")
        for at in range(1, columns + 1)
        if (at - 1) % every == 0
    ]
    labels += [
        _label(LEFT - 5, TOP + (at - 0.5) * step + 3, row_letters(at), "end")
        for at in range(1, rows + 1)
        if (at - 1) % every == 0
    ]
    box = (
        f'<rect x="{LEFT}" y="{TOP}" width="{PLATE_WIDTH}" height="{_short(rows * step)}" '
        'fill="none" stroke="currentColor" stroke-opacity="0.5" stroke-width="0.8"/>'
    )
    return box + "".join(labels)


def _squares(x: np.ndarray, y: np.ndarray, step: float) -> list[str]:
    side = _short(step * 0.94)
    return [f"M{_short(a)} {_short(b)}h{side}v{side}h-{side}z" for a, b in zip(x, y, strict=True)]


def _crosses(x: np.ndarray, y: np.ndarray, step: float) -> list[str]:
    inset, reach = step * 0.25, _short(step * 0.45)
    return [
        f"M{_short(a + inset)} {_short(b + inset)}l{reach} {reach}m0 -{reach}l-{reach} {reach}"
        for a, b in zip(x, y, strict=True)
    ]


def _all_signs(role: np.ndarray, x: np.ndarray, y: np.ndarray, step: float) -> str:
    parts = []
    for name in ROLE_NAMES:
        mask = role == name
        if mask.any():
            path = _role_path(name, x[mask] + step / 2, y[mask] + step / 2, step)
            parts.append(_signs(path))
    return "".join(parts)


def _role_path(role: str, x: np.ndarray, y: np.ndarray, step: float) -> str:
    r = step * 0.25
    forms = {
        "negative_control": f"m-{_short(r)} 0a{_short(r)} {_short(r)} 0 1 0 {_short(2 * r)} 0"
        f"a{_short(r)} {_short(r)} 0 1 0 -{_short(2 * r)} 0z",
        "positive_control": f"m0 -{_short(r)}l{_short(r)} {_short(2 * r)}h-{_short(2 * r)}z",
        "unperturbed": f"m0 -{_short(r)}l{_short(r)} {_short(r)}l-{_short(r)} {_short(r)}"
        f"l-{_short(r)} -{_short(r)}z",
    }
    return "".join(f"M{_short(a)} {_short(b)}{forms[role]}" for a, b in zip(x, y, strict=True))


def _signs(path: str) -> str:
    """Return the sign in white with a dark rim, so that it is seen on every colour."""
    return (
        f'<path d="{path}" fill="none" stroke="#000" stroke-width="2.4"/>'
        f'<path d="{path}" fill="none" stroke="#fff" stroke-width="1"/>'
    )


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{_short(x)}" y="{_short(y)}" text-anchor="{anchor}" fill="currentColor">'
        f"{escape(text)}</text>"
    )


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
