"""Run the screens of all cells in restartable units of a few screens each."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.calibrate.cells import Cell
from benchmarks.calibrate.judging import DISTANCE_SCREENS
from benchmarks.calibrate.measure import Record, measure_screen

import phenoprints
from phenoprints.foundations.progress import Progress

DEFAULT_SECONDS = 15.0
"""Estimated processor time that a cell gets by default."""

SCREENS_PER_UNIT = 5
"""Screens that are measured and kept together."""

MIN_SCREENS, MAX_SCREENS = 10, 40
"""Screens of a cell by default."""

DEFAULT_RUN_SECONDS = 12 * 60.0
"""A default run starts no unit after this time; those that run then last a minute or two."""

FULL_CONDITIONS, FULL_MIN_SCREENS = 5_000, 50
"""Null conditions and screens of a cell, at least, in a full run."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PACKAGES = (
    "wells", "simulation", "alignment", "consistency", "curation", "maps", "benchmarks",
)  # fmt: skip
"""Packages whose source decides what a unit measures."""


@dataclass(frozen=True)
class Unit:
    """The screens first … first + SCREENS_PER_UNIT - 1 of a cell."""

    cell: Cell
    first: int

    @classmethod
    def of(cls, cell: Cell, screens: int) -> list[Unit]:
        """Return the units of at least `screens` screens."""
        return [cls(cell, first) for first in range(0, screens, SCREENS_PER_UNIT)]

    def file(self, folder: Path) -> Path:
        """Return where the unit's records are kept; the name holds a digest of code and cell."""
        text = json.dumps(self.cell.described(), sort_keys=True) + source_digest()
        key = hashlib.sha256(text.encode()).hexdigest()[:12]
        return folder / f"{self.cell.name}-{self.first:05d}-{key}.json"


def default_screens(cell: Cell) -> int:
    """Return the screens of a cell in a default run: more where they are cheap."""
    units = int(DEFAULT_SECONDS / cell.cost / SCREENS_PER_UNIT)
    least = DISTANCE_SCREENS if cell.group == "controls" else MIN_SCREENS
    return min(max(units * SCREENS_PER_UNIT, least), MAX_SCREENS)


def full_screens(cell: Cell) -> int:
    """Return the screens of a cell in a full run."""
    return max(FULL_MIN_SCREENS, math.ceil(FULL_CONDITIONS / cell.layout.conditions))


@cache
def source_digest() -> str:
    """Return a digest of all source that decides what a unit measures."""
    root, here = Path(phenoprints.__file__).parent, Path(__file__).parent
    files = [path for name in PACKAGES for path in sorted((root / name).rglob("*.py"))]
    digest = hashlib.sha256()
    for path in [*files, here / "measure.py", here / "sources.py"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run_unit(unit: Unit, folder: Path) -> list[Record]:
    """Measure the screens of a unit, or read them where they are kept; write them whole."""
    path = unit.file(folder)
    if path.exists():
        kept: list[Record] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    numbers = range(unit.first, unit.first + SCREENS_PER_UNIT)
    records = [measure_screen(unit.cell, number) for number in numbers]
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(records), encoding="utf-8")
    partial.rename(path)
    return records


def run_units(
    units: Sequence[Unit], folder: Path, *, processes: int = 1, seconds: float = math.inf
) -> dict[str, list[Record]]:
    """Run all units and return the records of each cell in order.

    The first units of all cells come first, the dearest ahead. After `seconds` no further unit is
    started; a cell that none was run of has no records.

    A unit that fails does not stop the others; its error is raised at the end.
    """
    deadline = time.monotonic() + seconds
    os.environ.update(dict.fromkeys(THREADS, "1"))
    ordered = sorted(units, key=lambda unit: (unit.first, -unit.cell.cost))
    results: dict[str, list[Record]] = defaultdict(list)
    context = multiprocessing.get_context("spawn")
    progress = Progress("units", len(ordered))
    with ProcessPoolExecutor(processes, context, _end_with_parent) as pool:
        jobs = {pool.submit(run_unit, unit, folder): unit for unit in ordered}
        for job in progress.each(as_completed(jobs)):
            if not job.cancelled() and job.exception() is None:
                results[jobs[job].cell.name] += job.result()
            if time.monotonic() > deadline:
                for waiting in jobs:
                    waiting.cancel()
    ended = [(unit, job) for job, unit in jobs.items() if not job.cancelled()]
    failed = [(unit, job.exception()) for unit, job in ended if job.exception() is not None]
    for unit, error in failed:
        print(f"{unit.cell.name}, screens from {unit.first}: {error!r}", file=sys.stderr)
    if failed:
        raise RuntimeError(f"{len(failed)} units failed") from failed[0][1]
    return {name: sorted(rows, key=lambda r: r["screen"]) for name, rows in results.items()}


def _end_with_parent() -> None:
    """End this worker when its parent process ends, however it ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
