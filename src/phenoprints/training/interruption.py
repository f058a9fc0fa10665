"""SIGTERM and SIGUSR1 ask training to save and stop; the next start goes on by itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from phenoprints.foundations.errors import PhenoprintsError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""Slurm sends one of them before a job's end or a preemption, as configured."""


class TrainingInterruptedError(PhenoprintsError):
    """Training was asked to stop. It has saved a checkpoint, and the next start goes on."""


class Interruption:
    """Whether training was asked to stop, by a signal or because its hours are over."""

    def __init__(self, hours: float) -> None:
        self.reason = ""
        self._deadline = time.monotonic() + hours * 3600.0

    @property
    def is_wanted(self) -> bool:
        """Whether to save and stop after this step."""
        if not self.reason and time.monotonic() > self._deadline:
            self.reason = "its hours are over"
        return bool(self.reason)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        # Only a flag: whatever else a handler does may come in the middle of anything.
        self.reason = signal.Signals(number).name


@contextmanager
def interruptible(hours: float) -> Iterator[Interruption]:
    """Turn the signals into a flag while the block runs (in the main thread only)."""
    interruption = Interruption(hours)
    try:
        before = {number: signal.signal(number, interruption._note) for number in SIGNALS}
    except ValueError:  # not the main thread: signals are somebody else's
        before = {}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
