"""Measure how many phenoprints are called without any effect, over many designs of screens.

    python -m benchmarks.calibrate                    # at most 15 minutes on two cores
    python -m benchmarks.calibrate --full             # a night: 5,000 conditions a cell
    python -m benchmarks.calibrate --cells p-mixed c07
    python -m benchmarks.calibrate --list

Results are written to results/bench/calibration.json and .tsv. Each unit of five screens is kept
in results/bench/calibration/, so that an interrupted run resumes. The exit code is 1 when a judged
row fails.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

from benchmarks.calibrate.cells import Cell, all_cells
from benchmarks.calibrate.judging import FAIL, judge_all, judge_cell
from benchmarks.calibrate.sources import missing_source
from benchmarks.calibrate.tables import summary, write_docs, write_results
from benchmarks.calibrate.units import (
    DEFAULT_RUN_SECONDS,
    Unit,
    default_screens,
    full_screens,
    run_units,
)

RESULTS = Path(__file__).resolve().parents[2] / "results" / "bench"


def main() -> int:
    """Run the units that are missing and judge the cells; return 1 when a judged row fails."""
    arguments = _arguments()
    cells = [c for c in all_cells() if _is_wanted(c, arguments.cells)]
    if arguments.list:
        print("\n".join(f"{c.name:24} {summary(c)}" for c in cells))
        return 0
    for cell in (c for c in cells if missing_source(c)):
        print(f"{cell.name} is left out: {missing_source(cell)}", file=sys.stderr)
    cells = [c for c in cells if not missing_source(c)]
    planned = {c.name: _screens(c, arguments) for c in cells}
    units = [unit for c in cells for unit in Unit.of(c, planned[c.name])]
    if arguments.measured:
        units = [unit for unit in units if unit.file(RESULTS / "calibration").exists()]
        cells = [c for c in cells if any(unit.cell.name == c.name for unit in units)]
    is_timed = not (arguments.full or arguments.screens or arguments.measured)
    records = run_units(
        units,
        RESULTS / "calibration",
        processes=arguments.processes,
        seconds=DEFAULT_RUN_SECONDS if is_timed else math.inf,
    )
    missed = [c.name for c in cells if c.name not in records]
    if missed:
        print(f"not reached in time: {' '.join(missed)}; run again to resume", file=sys.stderr)
    cells = [c for c in cells if c.name in records]
    rows = [row for c in cells for row in judge_cell(c, records[c.name])]
    rows.append(judge_all(rows, cells))
    write_results(rows, cells, RESULTS)
    if arguments.docs:
        write_docs(rows, cells, Path("docs/calibration.md"))
    failed = [row for row in rows if row["verdict"] == FAIL]
    for row in failed:
        what = " ".join(str(row[key]) for key in ("cell", "null_model", "test", "judge"))
        print(f"FAIL  {what}: {row['reason']}", file=sys.stderr)
    print(f"{len(rows)} rows, {len(failed)} failed: {RESULTS / 'calibration.tsv'}")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="5,000 null conditions a cell")
    parser.add_argument("--screens", type=int, help="screens a cell, instead of the default")
    parser.add_argument("--cells", nargs="*", default=[], help="cells whose names begin so")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--measured", action="store_true", help="judge what is kept, run nothing")
    parser.add_argument("--list", action="store_true", help="print the cells and exit")
    parser.add_argument("--docs", action="store_true", help="write the table into the docs")
    return parser.parse_args()


def _is_wanted(cell: Cell, prefixes: list[str]) -> bool:
    return not prefixes or any(cell.name.startswith(prefix) for prefix in prefixes)


def _screens(cell: Cell, arguments: argparse.Namespace) -> int:
    if arguments.screens:
        return int(arguments.screens)
    return full_screens(cell) if arguments.full else default_screens(cell)


if __name__ == "__main__":
    sys.exit(main())
