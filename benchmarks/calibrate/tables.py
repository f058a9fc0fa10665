"""Write the results of a calibration: JSON, TSV and the table of the documentation."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from benchmarks.calibrate.cells import Cell
from benchmarks.calibrate.judging import may_not_run

COLUMNS = [
    "cell", "group", "null_model", "test", "judge", "screens", "tested", "truth", "called_0.01",
    "low_0.01", "high_0.01", "called_0.05", "low_0.05", "guard", "difference", "coverage",
    "run_share", "verdict", "reason", "design",
]  # fmt: skip
START, END = "<!-- calibration: start -->", "<!-- calibration: end -->"
LIST_START, LIST_END = "<!-- not-run: start -->", "<!-- not-run: end -->"

Rows = Sequence[Mapping[str, Any]]


def summary(cell: Cell) -> str:
    """Return the design of a cell in one line."""
    layout, effects = cell.layout, cell.effects
    places = {"edge": effects.edge, "rows": effects.row}
    place = "+".join(name for name, length in places.items() if length) or "no place effect"
    parts = [
        f"{layout.experiments} exp", layout.spread, layout.positions,
        f"offset {effects.plate:g}", place, f"{layout.conditions} cond × {layout.replicates}",
        f"{layout.controls} ctrl", f"{cell.judges} judge{'s' * (cell.judges > 1)}", cell.method,
        f"{cell.features} feat", layout.kind,
    ]  # fmt: skip
    extras = [
        "heavy tails" if cell.degrees else "",
        "positions removed" if cell.remove_position != "none" else "",
        f"effect {effects.effect:g}" if cell.is_planted else "",
    ]
    return ", ".join([*parts, *(extra for extra in extras if extra)])


def machine() -> dict[str, Any]:
    """Return when and on what the table was made."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(), "python": platform.python_version(),
    }  # fmt: skip


def write_results(rows: Rows, cells: Sequence[Cell], folder: Path) -> None:
    """Write calibration.json and calibration.tsv."""
    folder.mkdir(parents=True, exist_ok=True)
    designs = {cell.name: summary(cell) for cell in cells}
    table = pd.DataFrame([{**row, "design": designs.get(row["cell"], "")} for row in rows])
    table = table.reindex(columns=COLUMNS)
    table.to_csv(folder / "calibration.tsv", sep="\t", index=False, float_format="%.5g")
    clean = [
        {key: value for key, value in row.items() if not _is_nan(value)}
        for row in table.to_dict("records")
    ]
    text = json.dumps({"machine": machine(), "rows": clean}, indent=1, default=float)
    (folder / "calibration.json").write_text(text + "\n", encoding="utf-8")


def write_docs(rows: Rows, cells: Sequence[Cell], page: Path) -> None:
    """Replace the table of results in a page, between its markers."""
    body = "\n\n".join([_dated(rows, cells), *_tables(rows, cells)])
    text = replace_between(page.read_text(encoding="utf-8"), START, END, body)
    page.write_text(text, encoding="utf-8")


def replace_between(text: str, start: str, end: str, body: str) -> str:
    """Return the text with `body` on the lines between two markers."""
    head, rest = text.split(start)
    return f"{head}{start}\n{body}\n{end}{rest.split(end)[1]}"


def not_run_list(cells: Sequence[Cell]) -> str:
    """Return the Markdown list of the cells whose guard may be NOT RUN, by reason."""
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        reason = may_not_run(cell)
        if reason and not cell.is_planted:
            reasons.setdefault(reason, []).append(f"`{cell.name}`")
    return "\n".join(f"- {reason}: {', '.join(names)}." for reason, names in reasons.items())


def _dated(rows: Rows, cells: Sequence[Cell]) -> str:
    now = machine()
    screens = {row["cell"]: row["screens"] for row in rows if row["screens"]}
    failed = sum(row["verdict"] == "FAIL" for row in rows)
    judged = sum(row["verdict"] in ("pass", "FAIL") for row in rows)
    return (
        f"{now['date']}, {now['cores']} cores, Python {now['python']}: {len(cells)} cells, "
        f"{sum(screens.values()):,} screens ({min(screens.values())} to {max(screens.values())} a "
        f"cell), {judged} judged rows, {failed} failed."
    )


def _tables(rows: Rows, cells: Sequence[Cell]) -> list[str]:
    """Return a Markdown table for each group of cells."""
    parts = []
    for group in dict.fromkeys(cell.group for cell in cells):
        named = {cell.name: cell for cell in cells if cell.group == group}
        lines = [
            "| cell | null model | screens | conditions: tested | at 0.01 | any judge | at 0.05 "
            "| genes | doses | activity | guard | verdict |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|",
            *(line for name in named for line in _lines(name, rows)),
        ]
        designs = "\n".join(f"- `{name}`: {summary(cell)}" for name, cell in named.items())
        parts.append(f"### {group.capitalize()} cells\n\n{designs}\n\n" + "\n".join(lines))
    return parts


def _lines(name: str, rows: Rows) -> list[str]:
    """Return a line per null model; what compares with controls is on the first of them."""
    own = [row for row in rows if row["cell"] == name]
    null_models = list(dict.fromkeys(row["null_model"] for row in own if row["null_model"]))
    return [
        _line(name, null_model, [r for r in own if r["null_model"] in (null_model, *also)])
        for null_model, also in zip(null_models, [("",), *[()] * len(null_models)], strict=False)
    ]


def _line(name: str, null_model: str, rows: Rows) -> str:
    by_test = {(row["test"], row["judge"]): row for row in rows}
    conditions = by_test.get(("conditions", "each"), {})
    cells = [
        name, null_model, rows[0]["screens"], f"{conditions.get('tested', 0):,}",
        _percent(conditions.get("called_0.01")),
        _percent(by_test.get(("conditions", "any"), {}).get("called_0.01")),
        _percent(conditions.get("called_0.05")),
        *(_percent(by_test.get((test, "each"), {}).get("called_0.01"))
          for test in ("genes", "doses", "activity")),
        _guard_text(by_test.get(("guard", "each"))), _verdict_text(rows),
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _verdict_text(rows: Rows) -> str:
    """Return what failed; else why conditions are not judged; else "pass"; power where planted."""
    failed = [f"FAIL {row['test']}: {row['reason']}" for row in rows if row["verdict"] == "FAIL"]
    open_rows = [
        row["reason"]
        for row in rows
        if row["test"] == "conditions" and row["verdict"] == "not judged"
    ]
    power = [
        f"power {row['called_0.01']:.0%} {row['reason']}" for row in rows if row["test"] == "power"
    ]
    notes = failed or [f"not judged: {reason}" for reason in dict.fromkeys(open_rows[:1])]
    return "; ".join([*(notes or ["pass"]), *power]).strip()


def _guard_text(guard: Mapping[str, Any] | None) -> str:
    if guard is None:
        return ""
    return "NOT RUN" if "guard" not in guard else f"{guard['guard']:.2%}"


def _percent(value: Any) -> str:
    return "" if value is None or _is_nan(value) else f"{value:.2%}"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
