"""Plates in their physical shape as small static SVG: one path per colour, no style, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from phenoprints.reports import numbers, palettes

PLATE_FORMATS = ((2, 3), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))
"""Rows and columns of the plates that makers sell: 6, 24, 48, 96, 384 and 1536 wells."""

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

    @property
    def colours(self) -> list[str]:
        """The colours from low to high."""
        return palettes.ramp(palettes.PALETTES[self.palette], NUM_COLOURS)

    def bins(self, values: np.ndarray) -> np.ndarray:
        """The colour index of each value, -1 where it is missing."""
        share = (values - self.low) / (self.high - self.low)
        index = np.clip(np.nan_to_num(share) * NUM_COLOURS, 0, NUM_COLOURS - 1).astype(int)
        return np.where(np.isnan(values), -1, index)


def plate_format(
    row: Sequence[int] | np.ndarray, column: Sequence[int] | np.ndarray
) -> tuple[int, int]:
    """The smallest plate sold that holds all wells; their own extent when none does."""
    num_rows, num_columns = int(np.max(row)), int(np.max(column))
    for rows, columns in PLATE_FORMATS:
        if num_rows <= rows and num_columns <= columns:
            return rows, columns
    return num_rows, num_columns


def row_name(row: int) -> str:
    """The letters of a row that counts from 1: A, …, Z, AA, …, AF."""
    return chr(64 + row) if row <= 26 else "A" + chr(64 + row - 26)


def plate_map(
    wells: pd.DataFrame,
    *,
    title: str,
    scale: ColourScale,
    shape: tuple[int, int] | None = None,
) -> Markup:
    """One plate: `wells` has row, column (from 1), value and role; NaN is drawn as a cross.

    Positions without a row in `wells` stay empty. Controls carry a shape besides the colour. The
    numbers stand in a table below, which read-out and screen readers use.
    """
    wells = wells.sort_values(["row", "column"], kind="stable")
    values = wells["value"].to_numpy(dtype=float)
    bins = scale.bins(values)
    fills = {colour: bins == at for at, colour in enumerate(scale.colours)}
    written = [numbers.number(value) for value in values]
    return _plate(wells, fills, bins < 0, written, title=title, shape=shape)


def category_map(
    wells: pd.DataFrame,
    *,
    title: str,
    fills: Mapping[str, str],
    shape: tuple[int, int] | None = None,
) -> Markup:
    """One plate of words: `value` is a key of `fills`; other values are drawn as a cross."""
    wells = wells.sort_values(["row", "column"], kind="stable")
    words = wells["value"].fillna("").astype(str).to_numpy()
    masks = {colour: words == word for word, colour in fills.items()}
    return _plate(wells, masks, ~np.isin(words, list(fills)), list(words), title=title, shape=shape)


def colour_bar(scale: ColourScale, label: str) -> Markup:
    """The legend that maps of one scale share: colours with their limits, and the signs."""
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
    """The legend of a map of words, with the signs."""
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


def _plate(
    wells: pd.DataFrame,
    fills: Mapping[str, np.ndarray],
    is_missing: np.ndarray,
    written: Sequence[str],
    *,
    title: str,
    shape: tuple[int, int] | None,
) -> Markup:
    rows, columns = shape or plate_format(wells["row"].to_numpy(), wells["column"].to_numpy())
    step = PLATE_WIDTH / columns
    x = LEFT + (wells["column"].to_numpy() - 1) * step
    y = TOP + (wells["row"].to_numpy() - 1) * step
    drawing = [_frame(rows, columns, step)]
    for colour, mask in fills.items():
        if mask.any():
            drawing.append(f'<path fill="{colour}" d="{_squares(x[mask], y[mask], step)}"/>')
    if is_missing.any():
        crosses = _crosses(x[is_missing], y[is_missing], step)
        drawing.append(f'<path d="{crosses}" stroke="currentColor" stroke-width="1" fill="none"/>')
    for role in ROLE_NAMES:
        mask = (wells["role"] == role).to_numpy()
        if mask.any():
            centres = x[mask] + step / 2, y[mask] + step / 2
            drawing.append(_signs(_role_path(role, *centres, step)))
    width, height = LEFT + PLATE_WIDTH + RIGHT, TOP + rows * step + BOTTOM
    return Markup(  # noqa: S704  (numbers and escaped words only)
        f"<p><strong>{escape(title)}</strong></p>"
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_short(height)}" '
        f'viewBox="0 0 {width} {_short(height)}" role="img" aria-label="{escape(title)}" '
        f'data-plate="{LEFT} {TOP} {_short(step)} {rows} {columns}" '
        f'font-family="sans-serif" font-size="8">{"".join(drawing)}</svg>'
        f"{_numbers_table(wells, written, rows, columns, title)}"
    )


def _frame(rows: int, columns: int, step: float) -> str:
    every = 1 if columns <= 12 else 2 if columns <= 24 else 4
    labels = [
        _label(LEFT + (at - 0.5) * step, TOP - 5, str(at), "middle")
        for at in range(1, columns + 1)
        if (at - 1) % every == 0
    ]
    labels += [
        _label(LEFT - 5, TOP + (at - 0.5) * step + 3, row_name(at), "end")
        for at in range(1, rows + 1)
        if (at - 1) % every == 0
    ]
    box = (
        f'<rect x="{LEFT}" y="{TOP}" width="{PLATE_WIDTH}" height="{_short(rows * step)}" '
        'fill="none" stroke="currentColor" stroke-opacity="0.5" stroke-width="0.8"/>'
    )
    return box + "".join(labels)


def _numbers_table(
    wells: pd.DataFrame, written: Sequence[str], rows: int, columns: int, title: str
) -> str:
    grid = [[""] * columns for _ in range(rows)]
    for row, column, text in zip(wells["row"], wells["column"], written, strict=True):
        grid[row - 1][column - 1] = text
    heads = "".join(f'<th scope="col">{at}' for at in range(1, columns + 1))
    body = "".join(
        f'<tr><th scope="row">{row_name(at)}' + "".join(f"<td>{escape(text)}" for text in line)
        for at, line in enumerate(grid, start=1)
    )
    return (
        f'<details><summary>Numbers</summary><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(title)}"><table><thead><tr><th scope="col">Row{heads}</thead>'
        f"<tbody>{body}</tbody></table></div></details>"
    )


def _squares(x: np.ndarray, y: np.ndarray, step: float) -> str:
    side = _short(step * 0.94)
    return "".join(
        f"M{_short(a)} {_short(b)}h{side}v{side}h-{side}z" for a, b in zip(x, y, strict=True)
    )


def _crosses(x: np.ndarray, y: np.ndarray, step: float) -> str:
    inset, reach = step * 0.25, _short(step * 0.45)
    return "".join(
        f"M{_short(a + inset)} {_short(b + inset)}l{reach} {reach}m0 -{reach}l-{reach} {reach}"
        for a, b in zip(x, y, strict=True)
    )


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
    """The sign in white with a dark rim, so that it is seen on every colour."""
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
