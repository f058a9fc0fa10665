"""Many points in little space: one SVG path per group, or a density picture under an SVG axis."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from phenoprints.reports import palettes

MAX_POINTS = 50_000
"""Beyond this a picture of densities stands for the points."""

WIDTH, HEIGHT = 460, 340
LEFT, TOP, RIGHT, BOTTOM = 54, 10, 10, 40
KEY_WIDTH = 170
"""Room beside the drawing for the names of groups."""

REST = "other"
REST_COLOUR = "#8a8a8a"
"""The group of all that is left over: grey, drawn first."""


def point_map(
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    *,
    title: str,
    x_title: str,
    y_title: str,
    group: Sequence[str] | None = None,
    has_diagonal: bool = False,
    radius: float | None = None,
) -> Markup:
    """Return a scatter plot of x and y, coloured by at most six groups; rows with NaN are left out.

    More than 50,000 points become a density picture (viridis, log counts) under the same axes;
    groups are not told apart there. The caption of the figure should say n.
    """
    px, py, frame = _placed(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    keep = np.isfinite(px) & np.isfinite(py)
    if has_diagonal:
        frame.append(_diagonal(x, y))
    if keep.sum() > MAX_POINTS:
        drawing = _density(px[keep], py[keep])
    else:
        radius = radius or _radius(int(keep.sum()))
        words = np.asarray(group if group is not None else [""] * len(px), dtype=object)[keep]
        drawing = _dots(px[keep], py[keep], words, radius)
    axes = "".join(frame) + _titles(x_title, y_title)
    width = WIDTH + (KEY_WIDTH if "<circle" in drawing else 0)
    return Markup(  # noqa: S704  (numbers and escaped words only)
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" '
        f'viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        f'font-family="sans-serif" font-size="11">{axes}{drawing}</svg>'
    )


def density_png(x: np.ndarray, y: np.ndarray, *, width: int, height: int) -> bytes:
    """Return a PNG of the log counts of points per pixel block; x and y lie in [0,
    1], y upwards.
    """
    from PIL import Image

    columns, rows = width // 2, height // 2
    counts, _, _ = np.histogram2d(1 - y, x, bins=[rows, columns], range=[[0, 1], [0, 1]])
    share = np.log1p(counts) / max(np.log1p(counts.max()), 1e-9)
    lut = np.array([_rgb(c) for c in palettes.ramp(palettes.VIRIDIS, 256)], dtype=np.uint8)
    colours = lut[(share * 255).astype(int)]
    alpha = np.where(counts > 0, 255, 0).astype(np.uint8)
    picture = Image.fromarray(np.dstack([colours, alpha]))
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=False, compress_level=9)
    return stream.getvalue()


def png_uri(content: bytes) -> str:
    """Return the picture as an address that needs no request."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers in [low, high], about `about` of them (steps of 1, 2 or 5 times ten^k)."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
    first = np.ceil(low / step)
    last = np.floor(high / step + 1e-9)
    return [float(np.round(at * step, 12)) for at in np.arange(first, last + 1)]


def _radius(num_points: int) -> float:
    """Larger where there are few points, so that a single one is seen."""
    return 3.2 if num_points <= 300 else 2.4 if num_points <= 3000 else 1.8


def _placed(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    x_low, x_high = _limits(x)
    y_low, y_high = _limits(y)
    px = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
    py = HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
    frame = []
    for tick in nice_ticks(x_low, x_high):
        at = LEFT + (tick - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        frame.append(_grid(at, TOP, at, HEIGHT - BOTTOM))
        frame.append(_text(at, HEIGHT - BOTTOM + 14, f"{tick:g}".replace("-", "−"), "middle"))
    for tick in nice_ticks(y_low, y_high):
        at = HEIGHT - BOTTOM - (tick - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        frame.append(_grid(LEFT, at, WIDTH - RIGHT, at))
        frame.append(_text(LEFT - 6, at + 4, f"{tick:g}".replace("-", "−"), "end"))
    return px, py, frame


def _limits(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _diagonal(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> str:
    (x_low, x_high), (y_low, y_high) = (_limits(np.asarray(v, dtype=float)) for v in (x, y))
    low, high = max(x_low, y_low), min(x_high, y_high)
    if low >= high:
        return ""
    ends = []
    for value in (low, high):
        ends.append(LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT))
        ends.append(HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM))
    x1, y1, x2, y2 = ends
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        'stroke-dasharray="5 3" stroke-opacity="0.6"/>'
    )


def _dots(px: np.ndarray, py: np.ndarray, words: np.ndarray, radius: float) -> str:
    names = sorted(dict.fromkeys(words.tolist()), key=lambda name: name != REST)
    named = [name for name in names if name != REST][: len(palettes.OKABE_ITO)]
    colours = {REST: REST_COLOUR, **dict(zip(named, palettes.OKABE_ITO, strict=False))}
    parts = []
    for name in [name for name in names if name in colours]:
        mask = words == name
        path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(px[mask], py[mask], strict=True))
        parts.append(
            f'<path d="{path}" stroke="{colours[name]}" stroke-width="{2 * radius}" '
            'stroke-linecap="round" stroke-opacity="0.85" fill="none"/>'
        )
    if len(names) > 1:
        listed = [*named, *(name for name in names if name == REST)]
        parts += [_key(at, name, colours[name]) for at, name in enumerate(listed)]
    return "".join(parts)


def _key(at: int, name: str, colour: str) -> str:
    x, y = WIDTH + 8, TOP + 8 + 17 * at
    dot = f'<circle cx="{x}" cy="{y}" r="4.5" fill="{colour}"/>'
    return dot + _text(x + 9, y + 4, name, "start")


def _density(px: np.ndarray, py: np.ndarray) -> str:
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    share_x, share_y = (px - LEFT) / width, 1 - (py - TOP) / height
    uri = png_uri(density_png(share_x, share_y, width=width, height=height))
    return f'<image x="{LEFT}" y="{TOP}" width="{width}" height="{height}" href="{uri}"/>'


def _titles(x_title: str, y_title: str) -> str:
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    return _text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, x_title, "middle") + (
        f'<text transform="translate(13,{middle:.0f}) rotate(-90)" text-anchor="middle" '
        f'fill="currentColor">{escape(y_title)}</text>'
    )


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        'stroke="currentColor" stroke-opacity="0.12"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">'
        f"{escape(text)}</text>"
    )


def _rgb(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
