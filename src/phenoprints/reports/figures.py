"""Statistical figures: Altair charts rendered to static SVG, readable on light and dark grounds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from phenoprints.foundations.printable import for_xml
from phenoprints.reports import palettes

WIDTH, HEIGHT = 420, 240
MAX_QQ_POINTS = 600
"""Points of a QQ plot: all of the smallest p-values, then an even thinning of the rest."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
INK = "currentColor"


def to_svg(chart: Any, *, title: str, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    """Return the chart as SVG with presentation attributes only, named `title` for screen readers.

    The same chart gives the same bytes. Classes, roles and invisible paths of the renderer are
    taken out; letters and axes take the colour of the page's text.
    """
    spec = chart.properties(width=width, height=height, background="transparent").to_dict(
        validate=False
    )
    spec["config"] = _theme()
    return Markup(_cleaned(_renderer().vegalite_to_svg(_for_xml(spec)), for_xml(title)))  # noqa: S704


def _for_xml(value: Any) -> Any:
    """Return a chart's specification with texts that the renderer, which aborts else, can write."""
    if isinstance(value, Mapping):
        return {_for_xml(key): _for_xml(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_for_xml(item) for item in value]
    return for_xml(value) if isinstance(value, str) else value


def p_value_histogram(p: Sequence[float] | np.ndarray, *, title: str) -> Markup:
    """Return a histogram of p-values in 20 bins with the count expected without any effect."""
    alt = _altair()
    values = finite(p)
    heights, edges = np.histogram(values, bins=20, range=(0, 1))
    bars = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": heights})
    chart = alt.Chart(bars).mark_bar(color=palettes.OKABE_ITO[0]).encode(
        x=alt.X("low:Q", bin="binned", title="p-value", axis=alt.Axis(tickCount=5)),
        x2="high:Q",
        y=alt.Y("count:Q", title="tests"),
    )  # fmt: skip
    return to_svg(chart + _rule("y", values.size / 20), title=title)


def qq_plot(p: Sequence[float] | np.ndarray, *, title: str) -> Markup:
    """Observed against expected -log10 p, with the pointwise 95 % band of uniform p-values.

    Expected values are (i - 0.5)/m; the band is of the beta distribution of order statistics.
    """
    alt = _altair()
    points = qq_points(finite(p))
    x = alt.X("expected:Q", title="expected −log10 p")
    y = alt.Y("observed:Q", title="observed −log10 p")
    band = alt.Chart(points).mark_area(color="#999999", opacity=0.35).encode(
        x=x, y=alt.Y("low:Q", title="observed −log10 p"), y2="high:Q"
    )  # fmt: skip
    line = alt.Chart(points).mark_line(color=INK, strokeDash=[4, 3], strokeWidth=1).encode(
        x="expected:Q", y="expected:Q"
    )  # fmt: skip
    dots = alt.Chart(points).mark_circle(color=palettes.OKABE_ITO[0], size=16, opacity=1)
    return to_svg(band + line + dots.encode(x=x, y=y), title=title)


def funnel_chart(steps: pd.DataFrame, *, title: str) -> Markup:
    """Return a bar per step with what stays; `steps` has step, kept, left and text."""
    alt = _altair()
    y = alt.Y("step:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, ticks=False))
    whole = float(max(1, steps["kept"].max() if len(steps) else 1))
    base = alt.Chart(steps).encode(y=y)
    x = alt.X("kept:Q", title="wells", scale=alt.Scale(domain=[0, whole * 1.25], nice=False))
    bars = base.mark_bar(color=palettes.OKABE_ITO[0]).encode(x=x)
    words = base.mark_text(align="left", dx=5, color=INK).encode(x=x, text="text:N")
    return to_svg(bars + words, title=title, width=520, height=max(60, 34 * len(steps)))


def interval_chart(
    frame: pd.DataFrame, *, title: str, value_title: str, reference: float | None = None
) -> Markup:
    """Return a dot with its interval per row: `frame` has name, value, low, high and optionally
    group.
    """
    alt = _altair()
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=260))
    x = alt.X("value:Q", title=value_title, scale=alt.Scale(zero=False))
    colour = _group_encoding(frame)
    base = alt.Chart(frame)
    rules = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=value_title), x2="high:Q", y=y, **_only(colour, "color")
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(x=x, y=y, **colour)
    layers = rules + dots if reference is None else rules + dots + _rule("x", reference)
    height = max(50, 22 * frame["name"].nunique())
    return to_svg(layers, title=title, height=height)


def line_chart(
    frame: pd.DataFrame,
    *,
    title: str,
    x_title: str,
    y_title: str,
    is_log: bool = False,
    has_points: bool = False,
    is_whole: bool = False,
    height: int = HEIGHT,
) -> Markup:
    """Lines through x and y, one per `group`, told apart by colour and the shape of points.

    `is_whole` keeps the ticks of x at whole numbers.
    """
    alt = _altair()
    scale = alt.Scale(type="log") if is_log else alt.Scale(zero=False)
    encoding = {
        "x": alt.X(
            "x:Q",
            title=x_title,
            scale=alt.Scale(nice=False, zero=False),
            axis=alt.Axis(tickMinStep=1, format="d") if is_whole else alt.Axis(),
        ),
        "y": alt.Y("y:Q", title=y_title, scale=scale),
    }
    names = list(dict.fromkeys(frame["group"])) if "group" in frame else []
    colour = {}
    if len(names) > 1:
        domain = {"domain": names, "range": list(palettes.OKABE_ITO)}
        colour["color"] = alt.Color("group:N", title=None, scale=alt.Scale(**domain))
    chart = alt.Chart(frame).mark_line(strokeWidth=2, color=palettes.OKABE_ITO[0], clip=True)
    chart = chart.encode(**encoding, **colour)
    if has_points:
        dots = alt.Chart(frame).mark_point(filled=True, size=45, color=palettes.OKABE_ITO[0])
        forms = alt.Scale(domain=names, range=list(SHAPES))
        shape = {"shape": alt.Shape("group:N", title=None, scale=forms)} if colour else {}
        chart = chart + dots.encode(**encoding, **colour, **shape)
    return to_svg(chart, title=title, height=height)


def named_points(
    frame: pd.DataFrame,
    *,
    title: str,
    x_title: str,
    y_title: str,
    line: tuple[float, float] | None = None,
) -> Markup:
    """Return a point with its name per row of x, y, name and group; told apart by colour and shape.

    Names that would run into an earlier row's are left out: a table should hold them all.
    `line` is intercept and slope of a dashed line through the range of x.
    """
    alt = _altair()
    margin = 0.06 * float(np.ptp(frame["x"])) or 0.5
    low, high = float(frame["x"].min()) - margin, float(frame["x"].max()) + 4 * margin
    frame = frame.assign(name=_names_apart(frame))
    x = alt.X("x:Q", title=x_title, scale=alt.Scale(domain=[low, high], nice=False))
    y = alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False, padding=14))
    base = alt.Chart(frame).encode(x=x, y=y)
    words = base.mark_text(align="left", dx=7, fontSize=9, color=INK).encode(text="name:N")
    dots = base.mark_point(filled=True, size=60, opacity=1)
    chart = words + dots.encode(**_group_encoding(frame))
    if line is not None:
        ends = pd.DataFrame({"x": [low, high]})
        ends["y"] = line[0] + line[1] * ends["x"]
        drawn = alt.Chart(ends).mark_line(color=INK, strokeDash=[5, 3], strokeWidth=1, clip=True)
        chart = drawn.encode(x=x, y=y) + chart
    return to_svg(chart, title=title, width=WIDTH + 40, height=HEIGHT + 60)


def _names_apart(frame: pd.DataFrame) -> list[str]:
    """Return the names, "" for those whose place a name of an earlier row has taken."""
    spans = [float(np.ptp(frame[axis])) or 1.0 for axis in ("x", "y")]
    placed: list[tuple[float, float]] = []
    names = []
    for name, x, y in zip(frame["name"], frame["x"] / spans[0], frame["y"] / spans[1], strict=True):
        is_free = all(abs(x - a) > 0.3 or abs(y - b) > 0.045 for a, b in placed)
        names.append(str(name) if is_free else "")
        if is_free:
            placed.append((x, y))
    return names


def interval_lines(
    frame: pd.DataFrame, *, title: str, x_title: str, y_title: str, reference: float | None = None
) -> Markup:
    """Values with their intervals over steps: `frame` has x (words), y, low, high and group."""
    alt = _altair()
    x = alt.X("x:N", sort=None, title=x_title, axis=alt.Axis(labelAngle=0))
    y = alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False))
    encoding = _group_encoding(frame)
    offset = {"xOffset": alt.XOffset("group:N", sort=None)}
    base = alt.Chart(frame).encode(x=x, **offset)
    rules = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y("low:Q", title=y_title), y2="high:Q", **_only(encoding, "color")
    )
    dots = base.mark_point(filled=True, size=45, opacity=1).encode(y=y, **encoding)
    layers = rules + dots if reference is None else rules + dots + _rule("y", reference)
    return to_svg(layers, title=title, width=WIDTH + 60)


def spread_chart(frame: pd.DataFrame, *, title: str, x_title: str) -> Markup:
    """Return a box and a line per row of name, p5, p25, p50, p75, p95: half and nine tenths of
    values.
    """
    alt = _altair()
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, ticks=False))
    base = alt.Chart(frame).encode(y=y)
    x = alt.X("p5:Q", title=x_title, scale=alt.Scale(zero=False))
    lines = base.mark_rule(strokeWidth=1.5, color=INK).encode(x=x, x2="p95:Q")
    boxes = base.mark_bar(size=12, color=palettes.OKABE_ITO[4]).encode(
        x=alt.X("p25:Q", title=x_title), x2="p75:Q"
    )
    middle = base.mark_tick(size=16, thickness=2.5, color=INK).encode(
        x=alt.X("p50:Q", title=x_title)
    )
    return to_svg(lines + boxes + middle, title=title, height=max(50, 24 * len(frame)))


def step_histograms(
    groups: Mapping[str, np.ndarray],
    *,
    title: str,
    x_title: str,
    y_title: str,
    reference: float | None = None,
) -> Markup:
    """Return the share of each group's values in 40 bins of their common range, as
    lines of steps.
    """
    alt = _altair()
    everything = np.concatenate([finite(values) for values in groups.values()])
    low, high = (everything.min(), everything.max()) if everything.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, 41)
    parts = []
    for name, values in groups.items():
        known = finite(values)
        share = np.histogram(known, edges)[0] / max(known.size, 1)
        parts.append(pd.DataFrame({"x": edges, "y": [*share, 0.0], "group": name}))
    scales = {"domain": list(groups), "range": list(palettes.OKABE_ITO)}
    dashes = {"domain": list(groups), "range": [[1, 0], [5, 3]]}
    chart = alt.Chart(pd.concat(parts)).mark_line(interpolate="step-after", strokeWidth=2).encode(
        x=alt.X("x:Q", title=x_title, scale=alt.Scale(nice=False, zero=False)),
        y=alt.Y("y:Q", title=y_title, axis=alt.Axis(format="%")),
        color=alt.Color("group:N", title=None, scale=alt.Scale(**scales)),
        strokeDash=alt.StrokeDash("group:N", title=None, scale=alt.Scale(**dashes)),
    )  # fmt: skip
    return to_svg(chart if reference is None else chart + _rule("x", reference), title=title)


def heat_map(
    frame: pd.DataFrame,
    *,
    title: str,
    value_title: str,
    limits: tuple[float, float],
    palette: str = "blue-orange",
    step: int = 16,
) -> Markup:
    """Return a cell per (row, column) pair of `frame` with `value`; a missing pair stays empty."""
    alt = _altair()
    scale = alt.Scale(domain=list(limits), range=list(palettes.PALETTES[palette]), clamp=True)
    axis = alt.Axis(labelLimit=160, ticks=False, domain=False)
    chart = alt.Chart(frame).mark_rect().encode(
        x=alt.X("column:N", sort=None, title=None, axis=axis),
        y=alt.Y("row:N", sort=None, title=None, axis=axis),
        color=alt.Color("value:Q", title=value_title, scale=scale),
    )  # fmt: skip
    wide, high = step * frame["column"].nunique(), step * frame["row"].nunique()
    return to_svg(chart, title=title, width=max(wide, 60), height=max(high, 40))


def qq_points(p: np.ndarray, max_points: int = MAX_QQ_POINTS) -> pd.DataFrame:
    """Columns expected, observed, low and high of -log10 p, smallest p first; see qq_plot."""
    from scipy import stats

    ordered = np.sort(np.clip(p, 1e-300, 1))
    rank = np.arange(1, ordered.size + 1)
    if ordered.size > max_points:
        half = max_points // 2
        rest = np.linspace(half + 1, ordered.size, half).round().astype(int)
        rank = np.concatenate([rank[:half], rest])
    m = ordered.size
    with np.errstate(divide="ignore"):
        columns = {
            "expected": -np.log10((rank - 0.5) / m),
            "observed": -np.log10(ordered[rank - 1]),
            "low": -np.log10(stats.beta.ppf(0.975, rank, m - rank + 1)),
            "high": -np.log10(stats.beta.ppf(0.025, rank, m - rank + 1)),
        }
    return pd.DataFrame(columns)


def _group_encoding(frame: pd.DataFrame) -> dict[str, Any]:
    alt = _altair()
    if "group" not in frame or frame["group"].nunique() < 2:
        return {"color": alt.value(palettes.OKABE_ITO[0])}
    names = list(dict.fromkeys(frame["group"]))
    colours = alt.Scale(domain=names, range=list(palettes.OKABE_ITO))
    shapes = alt.Scale(domain=names, range=list(SHAPES))
    return {
        "color": alt.Color("group:N", title=None, scale=colours),
        "shape": alt.Shape("group:N", title=None, scale=shapes),
    }


def _only(encoding: dict[str, Any], key: str) -> dict[str, Any]:
    return {key: encoding[key]}


def _rule(axis: str, at: float) -> Any:
    alt = _altair()
    line = alt.Chart(pd.DataFrame({"at": [at]})).mark_rule(color=INK, strokeDash=[5, 3])
    return line.encode(**{axis: "at:Q"})


def finite(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the finite ones of some numbers, as float64."""
    values: np.ndarray = np.asarray(p, dtype=float)
    known: np.ndarray = values[np.isfinite(values)]
    return known


def _theme() -> dict[str, Any]:
    text = {"labelColor": INK, "titleColor": INK, "titleFontWeight": "normal", "titlePadding": 10}
    axis = {"domainColor": INK, "tickColor": INK, "gridColor": INK, "gridOpacity": 0.12}
    return {
        "aria": False,
        "font": "sans-serif",
        "padding": {"left": 24, "top": 6, "right": 24, "bottom": 18},
        "view": {"stroke": None},
        "axis": {**text, **axis, "domainOpacity": 0.6, "tickOpacity": 0.6, "labelFontSize": 11},
        "axisX": {"labelFlush": False, "tickCount": 6},
        "legend": {**text, "labelLimit": 220},
        "header": text,
        "text": {"color": INK, "fontSize": 11},
    }


def _cleaned(svg: str, title: str) -> str:
    """Return the renderer's SVG without classes, roles, invisible paths and foreign namespaces."""
    svg = re.sub(r'<path class="(?:background|foreground)"[^>]*/>', "", svg)
    svg = re.sub(r' (?:class|role|aria-[a-z]+|xmlns:xlink|version)="[^"]*"', "", svg)
    svg = re.sub(r"<g>\s*</g>", "", svg)
    name = f' role="img" aria-label="{escape(title)}"'
    return _with_own_ids(svg.replace("<svg", f"<svg{name}", 1))


def _with_own_ids(svg: str) -> str:
    """Ids counted within the figure and led by its hash: the renderer counts over its process."""
    names = list(dict.fromkeys(re.findall(r' id="([^"]+)"', svg)))
    for at, name in enumerate(names):
        svg = re.sub(rf'(?<=[#"]){re.escape(name)}(?=[")])', f"@{at}", svg)
    digest = hashlib.sha256(svg.encode("utf-8")).hexdigest()[:8]
    return re.sub(r'(?<=[#"])@(\d+)(?=[")])', rf"f{digest}-\1", svg)


@cache
def _altair() -> Any:
    """Altair, loaded with the first figure: it takes half a second."""
    import altair

    return altair


@cache
def _renderer() -> Any:
    import vl_convert

    return vl_convert
