"""Tables that stand whole in HTML up to 100 rows; the rest waits in one JSON block."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from markupsafe import Markup

from phenoprints.reports import numbers
from phenoprints.reports.verdicts import GLYPHS

SHOWN_ROWS = 100
"""Rows that are real HTML, so that a page without scripts still shows them."""

MAX_ROWS = 20_000
"""Rows that one page carries; the CSV beside the page has them all."""

FORMATS: dict[str, Callable[[Any], str]] = {
    "text": lambda value: numbers.MISSING if numbers.is_missing(value) else str(value),
    "verdict": str,
    "count": numbers.count,
    "number": numbers.number,
    "percent": numbers.percent,
    "duration": numbers.duration,
    "size": numbers.size,
}
NUMERIC = ("count", "number", "percent", "duration", "size")
FORMULA_STARTS = (*"=+-@", *"\t\r\n", *"＝＋－＠")
"""First characters that make a spreadsheet run a cell as a formula (OWASP, CSV injection)."""


@dataclass(frozen=True)
class Column:
    """One column: where its values stand, its heading, how they are written, its unit.

    `link` names a column that holds the address a cell leads to ("" for none).
    """

    name: str
    label: str
    kind: str = "text"
    unit: str = ""
    link: str = ""

    @property
    def is_numeric(self) -> bool:
        """Whether cells are right-aligned and sorted as numbers."""
        return self.kind in NUMERIC

    @property
    def heading(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True)
class Cell:
    """One written value; `href` is "" or an address inside the pages."""

    text: str
    href: str = ""
    glyph: str = ""


@dataclass(frozen=True)
class Table:
    """A frame with the columns to show; its caption says what, and of which scope."""

    anchor: str
    caption: str
    columns: Sequence[Column]
    frame: pd.DataFrame
    note: str = ""
    kind: ClassVar[str] = "table"

    @property
    def num_rows(self) -> int:
        """All rows, shown or not."""
        return len(self.frame)

    def cells(self, start: int, stop: int) -> list[list[Cell]]:
        """Return the written rows `start` to `stop`, row by row."""
        part = self.frame.iloc[start:stop]
        written = [self._column_cells(part, column) for column in self.columns]
        return [list(row) for row in zip(*written, strict=True)]

    @property
    def first_rows(self) -> list[list[Cell]]:
        """The rows that are real HTML."""
        return self.cells(0, SHOWN_ROWS)

    def rest_json(self, max_rows: int = MAX_ROWS) -> Markup:
        """Rows beyond the shown ones as JSON that no HTML parser can leave ("" when none).

        A page carries at most `max_rows` of a table, shown ones included.
        """
        if self.num_rows <= SHOWN_ROWS:
            return Markup("")
        rows = [
            [[cell.text, cell.href] if cell.href else cell.text for cell in row]
            for row in self.cells(SHOWN_ROWS, min(self.num_rows, max_rows))
        ]
        return script_json(rows)

    def csv_text(self) -> str:
        """All rows and shown columns as CSV, text that a spreadsheet would run made harmless."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([_harmless(column.heading) for column in self.columns])
        for row in self.frame[[column.name for column in self.columns]].itertuples(index=False):
            writer.writerow([_harmless(value) for value in row])
        return stream.getvalue()

    def _column_cells(self, part: pd.DataFrame, column: Column) -> list[Cell]:
        write = FORMATS[column.kind]
        links = part[column.link] if column.link else [""] * len(part)
        return [
            Cell(write(value), str(href or ""), GLYPHS[value] if column.kind == "verdict" else "")
            for value, href in zip(part[column.name], links, strict=True)
        ]


def script_json(value: Any) -> Markup:
    """JSON for a data block: `<`, `>` and `&` are escaped, so that no text can end the block."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  (every character that HTML knows is escaped above)


def _harmless(value: Any) -> Any:
    if numbers.is_missing(value):
        return ""
    if not isinstance(value, str):
        return value
    # A line break would begin a row for some spreadsheets, with any formula in it.
    text = value.replace("\r", " ").replace("\n", " ")
    is_formula = value.startswith(FORMULA_STARTS) or value.lstrip().startswith(FORMULA_STARTS)
    return f"'{text}" if is_formula else text
