"""How far a long computation is: wells per second, share of time waiting, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

PLAIN_INTERVAL_S = 60.0
"""Seconds between lines where nobody watches."""
TERMINAL_INTERVAL_S = 0.5


class Progress:
    """Tells how far one job is: one updating line on a terminal, else a line a minute.

    Parameters
    ----------
    name
        What is computed.
    num_wells
        Wells in all; those that were done before count as `skipped`.
    stream, clock
        Where it is told, and the seconds it is told by.
    """

    def __init__(
        self,
        name: str,
        num_wells: int,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.num_wells = name, num_wells
        self.stream = stream or sys.stderr
        self.clock = clock
        self.started = self.told = clock()
        self.done = self.skipped = 0
        self.waiting_s = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    def skip(self, num_wells: int) -> None:
        """Count wells that were done before."""
        self.skipped += num_wells

    def advance(self, num_wells: int, waiting_s: float) -> None:
        """Count wells that were just computed, and the seconds spent waiting for their images."""
        self.done += num_wells
        self.waiting_s += waiting_s
        interval = TERMINAL_INTERVAL_S if self.stream.isatty() else PLAIN_INTERVAL_S
        if self.clock() - self.told >= interval:
            self.tell()

    def tell(self, *, last: bool = False) -> None:
        """Write the line now."""
        self.told = self.clock()
        start, end = ("\r\x1b[K", "") if self.stream.isatty() else ("", "\n")
        self.stream.write(start + self.line() + ("\n" if last and not end else end))
        self.stream.flush()

    def summary(self) -> dict[str, float]:
        """Wells computed and skipped, seconds in all and seconds waiting for images."""
        return {
            "wells": self.done,
            "skipped": self.skipped,
            "seconds": self.seconds,
            "waiting_s": self.waiting_s,
        }

    def line(self) -> str:
        """The line itself."""
        seconds = max(self.seconds, 1e-9)
        rate = self.done / seconds
        left = self.num_wells - self.done - self.skipped
        parts = [
            f"{self.done + self.skipped:,} of {self.num_wells:,} wells",
            f"{rate:.1f} wells/s",
            f"{100 * self.waiting_s / seconds:.0f} % waiting for images",
        ]
        if self.skipped:
            parts.insert(1, f"{self.skipped:,} done before")
        if left and rate:
            parts.append(f"{duration(left / rate)} left")
        return f"{self.name}: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(7.4), duration(600), duration(8000)
    ('7 s', '10 min', '2.2 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
