"""Statistical figures: static, deterministic, in the page's colours."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from phenoprints.reports import figures, scatter
from phenoprints.reports.figures import qq_points

GENERATOR = np.random.default_rng(5)
P = GENERATOR.random(400)
LINES = pd.DataFrame({"x": [1, 2, 1, 2], "y": [1.0, 0.5, 2.0, 1.5], "group": list("aabb")})
BARS = pd.DataFrame({"name": ["<b>a", "b"], "value": [1.0, 2.0], "text": ["1", "2"]})
INTERVALS = BARS.assign(low=[0.5, 1.5], high=[1.5, 2.5], group=["x", "y"])
CELLS = pd.DataFrame({"row": list("aabb"), "column": list("abab"), "value": [1, 0, 0, 1]})
STEPS = pd.DataFrame({"step": ["in", "1"], "kept": [10, 5], "left": [0, 5], "text": ["10", "5"]})

CHARTS = {
    "histogram": lambda: figures.p_value_histogram(P, title="a <title>"),
    "qq": lambda: figures.qq_plot(P, title="a <title>"),
    "funnel": lambda: figures.funnel_chart(STEPS, title="a <title>"),
    "intervals": lambda: figures.interval_chart(
        INTERVALS, title="a <title>", value_title="v", reference=1.0
    ),
    "lines": lambda: figures.line_chart(
        LINES, title="a <title>", x_title="x", y_title="y", has_points=True
    ),
    "heat": lambda: figures.heat_map(CELLS, title="a <title>", value_title="v", limits=(-1, 1)),
    "points": lambda: scatter.point_map(
        P, P**2, title="a <title>", x_title="x", y_title="y", group=["<i>"] * 400
    ),
}


@pytest.mark.parametrize("name", CHARTS)
def test_figure_is_static_svg_named_for_screen_readers(name: str) -> None:
    svg = CHARTS[name]()
    assert svg.startswith("<svg ")
    assert 'role="img" aria-label="a &lt;title&gt;"' in svg
    assert not re.search(r' (?:class|style|on\w+)="', svg)
    assert "<script" not in svg
    assert "<b>" not in svg
    assert "<i>" not in svg
    assert "http://www.w3.org/2000/svg" in svg
    assert not re.search(r'href="(?!data:)', svg)


@pytest.mark.parametrize("name", CHARTS)
def test_same_data_same_bytes(name: str) -> None:
    assert CHARTS[name]() == CHARTS[name]()


@pytest.mark.parametrize("name", CHARTS)
def test_letters_take_the_colour_of_the_page(name: str) -> None:
    svg = CHARTS[name]()
    letters = re.findall(r"<text[^>]*>", svg)
    assert letters
    assert all('fill="currentColor"' in letter for letter in letters)


def test_histogram_bars_start_at_zero() -> None:
    svg = figures.p_value_histogram([0.01] * 50 + [0.5] * 25, title="h")
    heights = [float(h) for h in re.findall(r'd="M[^"]*h[\d.]+v([\d.]+)h-', svg)]
    assert max(heights) == pytest.approx(2 * sorted(heights)[-2])


def test_qq_thins_only_the_large_p_values() -> None:
    p = GENERATOR.random(5000)
    kept = qq_points(p)
    assert len(kept) == figures.MAX_QQ_POINTS
    assert kept["observed"].to_numpy()[:300] == pytest.approx(-np.log10(np.sort(p)[:300]))
    assert (kept["low"] <= kept["expected"]).all()
    assert (kept["high"] >= kept["expected"]).all()


def test_figures_of_nothing_are_still_drawn() -> None:
    assert figures.p_value_histogram([np.nan], title="none").startswith("<svg ")
    assert figures.qq_plot([], title="none").startswith("<svg ")
    assert scatter.point_map([], [], title="n", x_title="x", y_title="y").startswith("<svg ")


def test_many_points_become_one_picture() -> None:
    x = GENERATOR.normal(size=scatter.MAX_POINTS + 1)
    svg = scatter.point_map(x, x, title="many", x_title="x", y_title="y")
    assert svg.count("<image") == 1
    assert 'href="data:image/png;base64,' in svg
    assert len(svg) < 100_000
    few = scatter.point_map(x[:-1], x[:-1], title="few", x_title="x", y_title="y")
    assert "<image" not in few
    assert few.count("h0") == scatter.MAX_POINTS


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (1e-6, 5e-6), (100, 90000)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = scatter.nice_ticks(low, high)
    assert 2 <= len(ticks) <= 11
    assert min(ticks) >= low - 1e-12
    assert max(ticks) <= high * (1 + 1e-9)
