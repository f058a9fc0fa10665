"""Text for a terminal: verdicts by word, glyph and colour, numbers and tables."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from phenoprints.foundations.printable import escaped

GLYPHS = {"PASS": "✓", "CHECK": "!", "FAIL": "✗", "NOT RUN": "–"}
_COLOURS = {"PASS": "34", "CHECK": "33", "FAIL": "31", "NOT RUN": "2"}
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def has_colour() -> bool:
    """Whether standard output is a terminal and NO_COLOR (no-color.org) is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def verdict(word: str) -> str:
    """Return a verdict as glyph and word, coloured where the terminal can show it."""
    text = f"{GLYPHS[word]} {word}"
    return f"\033[{_COLOURS[word]}m{text}\033[0m" if has_colour() else text


_COLOUR = re.compile(r"(\033\[(?:34|33|31|2|0)m)")


class _Printable:
    """Standard output with control characters of the data escaped; colours of verdicts stay."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        parts = _COLOUR.split(text) if has_colour() else [text]
        for number, part in enumerate(parts):
            self._stream.write(part if number % 2 else escaped(part))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def printable_output() -> Iterator[None]:
    """Escape control characters of all that the block prints: names from data steer no terminal."""
    before = sys.stdout
    sys.stdout = _Printable(before)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout = before


def table(rows: Sequence[Sequence[str]], *, indent: str = "  ") -> str:
    """Rows with aligned columns; the first column is left-aligned, the others right."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def count(number: float) -> str:
    """Return a count with thousands separated: 2,200,000."""
    return f"{number:,.0f}"


def bytes_text(number: float) -> str:
    """Bytes in decimal units, two digits: 1.8 TB."""
    for size, unit in _UNITS:
        if number >= size:
            return f"{number / size:.3g} {unit}B"
    return f"{number:.0f} B"


def hours_text(hours: float) -> str:
    """Return a duration in the unit that suits it."""
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:,.1f} h" if hours < 100 else f"{hours:,.0f} h"
