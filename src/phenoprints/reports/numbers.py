"""How figures are written: counts with separators, three significant digits, honest p-values."""

from __future__ import annotations

import math
from typing import Any

NBSP = "\u00a0"
"""Keeps a number and its unit on one line."""

MISSING = "–"
"""Stands where there is no number; never 0."""


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or an empty string."""
    if value is None or value == "":
        return True
    try:
        return math.isnan(value)
    except TypeError:
        return False


def count(value: Any) -> str:
    """Return a whole number with separators: 12,345."""
    return MISSING if is_missing(value) else f"{int(value):,}"


def number(value: Any, digits: int = 3) -> str:
    """Return a number with `digits` significant digits; whole numbers stay whole."""
    if is_missing(value):
        return MISSING
    value = float(value)
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def percent(value: Any, digits: int = 1) -> str:
    """Return a share in [0, 1] as per cent."""
    return MISSING if is_missing(value) else f"{100 * float(value):.{digits}f}{NBSP}%"


def duration(seconds: Any) -> str:
    """Seconds as people say them: 0.4 s, 12 s, 3 min 05 s, 2 h 10 min."""
    if is_missing(seconds):
        return MISSING
    seconds = float(seconds)
    if seconds < 10:
        return f"{seconds:.1f}{NBSP}s"
    if seconds < 60:
        return f"{seconds:.0f}{NBSP}s"
    if seconds < 3600:
        return f"{int(seconds) // 60}{NBSP}min {int(seconds) % 60:02d}{NBSP}s"
    return f"{int(seconds) // 3600}{NBSP}h {int(seconds) % 3600 // 60:02d}{NBSP}min"


def size(num_bytes: Any) -> str:
    """Bytes in the decimal units that disks are sold in."""
    if is_missing(num_bytes):
        return MISSING
    value = float(num_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f}{NBSP}{unit}" if unit == "B" else f"{value:.1f}{NBSP}{unit}"
        value /= 1000
    return f"{value:.1f}{NBSP}TB"


def plural(how_many: int, noun: str, plural_noun: str = "") -> str:
    """`1 well`, `2 wells`: the count and the noun in agreement."""
    word = noun if how_many == 1 else plural_noun or f"{noun}s"
    return f"{how_many:,} {word}"


def wilson_interval(successes: int, trials: int, z: float = 1.959963984540054) -> list[float]:
    """Return the Wilson score interval of a share, [low, high]; NaN twice when there is no trial.

    Wilson 1927, doi:10.1080/01621459.1927.10502953; `z` is the normal quantile (95 %).
    """
    if trials == 0:
        return [math.nan, math.nan]
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == trials else (centre + spread) / scale
    return [low, high]
