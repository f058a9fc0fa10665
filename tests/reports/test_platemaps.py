"""Plate maps: geometry from the data, one path per colour, crosses for what is missing."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from phenoprints.reports.platemaps import (
    ColourScale,
    Plate,
    category_map,
    colour_bar,
)


def plate(num_rows: int, num_columns: int) -> pd.DataFrame:
    row, column = np.divmod(np.arange(num_rows * num_columns), num_columns)
    role = np.where(column == 0, "negative_control", "treatment")
    value = np.linspace(0, 1, row.size)
    return pd.DataFrame({"row": row + 1, "column": column + 1, "value": value, "role": role})


def plate_map(wells, *, title, scale, shape=None):
    return Plate(wells, shape).numbers(wells["value"].to_numpy(), title=title, scale=scale)


def num_squares(svg: str) -> int:
    return sum(path.count("M") for path in re.findall(r'<path fill="#[^"]+" d="([^"]+)"', svg))


def test_every_well_is_drawn_once_and_missing_ones_are_crosses() -> None:
    wells = plate(16, 24)
    wells.loc[[3, 40], "value"] = np.nan
    svg = plate_map(wells, title="plate 1", scale=ColourScale(0, 1))
    assert num_squares(svg) == 382
    crosses = re.search(r'<path d="([^"]+)" stroke="currentColor"', svg)
    assert crosses is not None
    assert crosses.group(1).count("M") == 2


def test_a_partial_plate_keeps_its_true_geometry() -> None:
    wells = plate(16, 24).query("column <= 12")
    svg = plate_map(wells, title="half", scale=ColourScale(0, 1), shape=(16, 24))
    assert num_squares(svg) == 192
    assert 'data-plate="22 16 12 16 24"' in svg
    assert re.search(r'd="M22 16', svg)
    assert "M154 16" in svg  # column 12 starts 11 × 12 units right of the first
    assert "M166 16" not in svg


def test_drawing_needs_neither_classes_nor_style() -> None:
    svg = plate_map(plate(8, 12), title="a", scale=ColourScale(0, 1))
    drawing = svg[svg.index("<svg") : svg.index("</svg>")]
    assert "style=" not in drawing
    assert "class=" not in drawing


def test_one_path_per_colour() -> None:
    svg = plate_map(plate(32, 48), title="a", scale=ColourScale(0, 1))
    assert len(re.findall(r'<path fill="#', svg)) == 24


def test_row_order_does_not_change_a_byte() -> None:
    wells = plate(8, 12)
    shuffled = wells.sample(frac=1, random_state=1)
    scale = ColourScale(0, 1)
    assert plate_map(wells, title="a", scale=scale) == plate_map(shuffled, title="a", scale=scale)


def test_the_table_below_holds_the_same_numbers() -> None:
    wells = plate(2, 3).assign(value=[1.5, np.nan, 2.25, 3, 4, 5])
    svg = plate_map(wells, title="a", scale=ColourScale(0, 5))
    assert re.findall(r"<td>([^<]*)", svg) == ["1.50", "–", "2.25", "3", "4", "5"]


def test_hostile_titles_stay_text() -> None:
    svg = plate_map(plate(2, 3), title='"><img src=x onerror=alert(1)>', scale=ColourScale(0, 1))
    assert "<img" not in svg
    assert '"><' not in svg.split("</p>")[1].split(">")[0]


def test_words_that_have_no_colour_are_crosses() -> None:
    wells = plate(2, 3).assign(value=["pass", "fail", "pass", "odd", None, "pass"])
    svg = category_map(wells, title="a", fills={"pass": "#111111", "fail": "#222222"})
    assert num_squares(svg) == 4


def test_scale_ignores_nan_and_has_width() -> None:
    assert ColourScale.of([np.nan, np.nan]) == ColourScale(0.0, 1.0)
    assert ColourScale.of([2.0, 2.0]).high > 2.0
    centred = ColourScale.centred([-1.0, 4.0, np.nan])
    assert centred.low == -centred.high
    assert centred.bins(np.array([np.nan, -99.0, 99.0])).tolist() == [-1, 0, 23]


def test_legend_states_the_limits() -> None:
    assert "2.50" in colour_bar(ColourScale(0, 2.5), "focus")
