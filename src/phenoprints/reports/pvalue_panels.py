"""Small multiples of p-values: a histogram and a QQ plot side by side in 3 kB of SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from phenoprints.reports import palettes
from phenoprints.reports.figures import finite, qq_points

WIDTH, HEIGHT = 288, 112
TOP, BASE = 8, 92
"""Upper and lower end of both drawings."""
LEFT, SIDE = 26, 110
QQ_LEFT = 172
NUM_BINS = 20
MAX_POINTS = 120
"""Points of one panel: all of the smallest p-values, then a thinning of the rest."""

BLUE, GREY = palettes.OKABE_ITO[0], "#999999"


def p_value_panel(p: Sequence[float] | np.ndarray, *, title: str) -> Markup:
    """Draw the histogram and QQ plot of p-values in [0, 1] under one title; NaN is omitted.

    The dashed line is the count, and the band the 95 % of uniform p-values, without any effect.
    """
    values = finite(p)
    drawing = (_histogram(values) + _qq(values)) if values.size else _empty()
    return Markup(  # noqa: S704  (numbers and escaped words only)
        f"<p><strong>{escape(title)}</strong></p>"
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        f'font-family="sans-serif" font-size="9">{drawing}</svg>'
    )


def _histogram(values: np.ndarray) -> str:
    counts, _ = np.histogram(values, bins=NUM_BINS, range=(0, 1))
    top, step = max(int(counts.max()), 1), SIDE / NUM_BINS
    bars = "".join(
        f"M{LEFT + at * step:.1f} {BASE}v-{(BASE - TOP) * count / top:.1f}h{step - 0.6:.1f}V{BASE}z"
        for at, count in enumerate(counts.tolist())
        if count
    )
    expected = BASE - (BASE - TOP) * min(values.size / NUM_BINS / top, 1)
    line = _line(LEFT, expected, LEFT + SIDE, expected, dash="4 2")
    labels = _text(LEFT, BASE + 11, "0", "middle") + _text(LEFT + SIDE, BASE + 11, "1", "middle")
    labels += _text(LEFT - 4, TOP + 4, f"{top:,}", "end") + _text(LEFT - 4, BASE, "0", "end")
    labels += _text(LEFT + SIDE / 2, BASE + 19, "p", "middle")
    return f'<path d="{bars}" fill="{BLUE}"/>{line}{_axes(LEFT)}{labels}'


def _qq(values: np.ndarray) -> str:
    points = qq_points(values, MAX_POINTS)
    reach = max(float(points["expected"].max()), float(points["observed"].max()), 1.0)
    x = QQ_LEFT + SIDE * points["expected"].to_numpy(float) / reach
    y = {
        name: BASE - (BASE - TOP) * np.minimum(points[name].to_numpy(float) / reach, 1)
        for name in ("observed", "low", "high")
    }
    band = _joined(x, y["low"]) + "L" + _joined(x[::-1], y["high"][::-1])[1:]
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x, y["observed"], strict=True))
    end = f"{reach:.1f}".removesuffix(".0")
    labels = _text(QQ_LEFT, BASE + 11, "0", "middle")
    labels += _text(QQ_LEFT + SIDE, BASE + 11, end, "middle")
    labels += _text(QQ_LEFT - 4, TOP + 4, end, "end") + _text(QQ_LEFT - 4, BASE, "0", "end")
    labels += _text(QQ_LEFT + SIDE / 2, BASE + 19, "expected −log10 p", "middle")
    return (
        f'<path d="{band}z" fill="{GREY}" fill-opacity="0.35"/>'
        f"{_line(QQ_LEFT, BASE, QQ_LEFT + SIDE, TOP, dash='4 2')}"
        f'<path d="{dots}" stroke="{BLUE}" stroke-width="3" stroke-linecap="round" fill="none"/>'
        f"{_axes(QQ_LEFT)}{labels}"
    )


def _joined(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _axes(left: float) -> str:
    return _line(left, BASE, left + SIDE, BASE) + _line(left, TOP, left, BASE)


def _line(x1: float, y1: float, x2: float, y2: float, *, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="currentColor" '
        f'stroke-opacity="0.7" fill="none"{dashed}/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">'
        f"{escape(text)}</text>"
    )


def _empty() -> str:
    return _text(LEFT, (TOP + BASE) / 2, "no test has a p-value", "start")
