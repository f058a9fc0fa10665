"""Benchmarks by name: a function that runs one way of doing a task, and the goals it must meet."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Run = Callable[[str, Any], "Timing"]


@dataclass(frozen=True)
class Timing:
    """Seconds of a task; `note` says what was measured, where it was not all of it.

    `cpu_seconds` of all threads, where `seconds` is wall time: the steadier figure on a machine
    that others use too. `peak_memory_gb` where the work was not done by this process.
    """

    seconds: float
    note: str = ""
    cpu_seconds: float | None = None
    peak_memory_gb: float | None = None


class Stopwatch:
    """Wall and processor time of what happens between its making and its reading."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def timing(self, note: str = "") -> Timing:
        """The time since."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return Timing(wall, note, cpu)


@dataclass(frozen=True)
class Benchmark:
    """One task. `run(how, folder)` is called in a process of its own for every `how`.

    `how` is "prepare" (when `prepares`), "ours", or a peer. `min_ratios` maps each peer to the
    least peer/ours that is asked for, None where it is only reported.
    """

    name: str
    what: str
    run: Run
    min_ratios: Mapping[str, float | None] = field(default_factory=dict)
    max_seconds: float | None = None
    max_memory_gb: float | None = None
    prepares: bool = False
    threads: int = 1

    @property
    def goal(self) -> str:
        """The goals in words."""
        parts = []
        if self.max_seconds is not None:
            parts.append(f"at most {self.max_seconds:g} s")
        if self.max_memory_gb is not None:
            parts.append(f"at most {self.max_memory_gb:g} GB")
        for peer, ratio in self.min_ratios.items():
            if ratio is not None and ratio >= 1:
                parts.append(f"at least {ratio:g} times faster than {peer}")
            elif ratio is not None:
                parts.append(f"at most {1 / ratio:g} times {peer}")
        return ", ".join(parts) or "reported"


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(name: str, **goals: Any) -> Callable[[Run], Run]:
    """Register a function; the first line of its docstring says what the task is."""

    def register(run: Run) -> Run:
        what = (run.__doc__ or name).strip().splitlines()[0]
        BENCHMARKS[name] = Benchmark(name, what, run, **goals)
        return run

    return register


def timed(
    task: Callable[[], Any],
    *,
    repeats: int = 3,
    warm: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """The fastest of some runs of a task, after one that compiles and fills caches.

    On a shared machine time.process_time is the steadier clock for work on one thread.
    """
    if warm:
        task()
    best = float("inf")
    for _ in range(repeats):
        gc.collect()
        start = clock()
        task()
        best = min(best, clock() - start)
    return Timing(best)
