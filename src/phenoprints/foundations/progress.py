"""How far a job is: a line that is rewritten on a terminal, elsewhere a plain line a minute."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO, TypeVar

Item = TypeVar("Item")

PLAIN_INTERVAL_S = 60.0
"""Seconds between plain lines, beside the first and the last."""
TERMINAL_INTERVAL_S = 0.5
BRIEF_S = 1.0
"""A loop that takes less has no line of its own, unless it is the first of its job."""
DEFAULT_COLUMNS = 80


@dataclass(frozen=True)
class ProgressState:
    """How far something is; its text is the line that is shown.

    Attributes
    ----------
    unit
        What is counted, in the plural.
    total
        How many there are in all; None where that is not known.
    done, skipped
        How many were done in `seconds`, and how many had been done before.
    waiting_s
        Of the seconds, those spent waiting for images; None where nothing waits.
    note
        What else to say.

    Examples
    --------
    >>> str(ProgressState("wells", 1000, done=300, skipped=100, seconds=60.0))
    '400 of 1,000 wells, 5.0 wells/s, 2 min left, 100 done before'
    >>> str(ProgressState("wells", 1000))
    '0 of 1,000 wells'
    """

    unit: str
    total: int | None
    done: int = 0
    skipped: int = 0
    seconds: float = 0.0
    waiting_s: float | None = None
    note: str = ""

    def __str__(self) -> str:
        return ", ".join(part for part in self._parts() if part)

    def _parts(self) -> Iterator[str]:
        """Return the parts of a progress line, most important first; a narrow terminal cuts the
        end.
        """
        counted = self.done + self.skipped
        of = "" if self.total is None else f" of {self.total:,}"
        is_whole = self.total is not None and counted >= self.total
        yield f"{counted:,}{of} {self.unit}{f' in {duration(self.seconds)}' if is_whole else ''}"
        if self.done and self.seconds > 0:
            yield rate_text(self.done / self.seconds, self.unit)
            if self.total is not None and not is_whole:
                yield f"{duration((self.total - counted) * self.seconds / self.done)} left"
        if self.waiting_s is not None and self.seconds > 0:
            yield f"{100 * self.waiting_s / self.seconds:.0f} % waiting for images"
        if self.skipped:
            yield f"{self.skipped:,} done before"
        yield self.note


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(0.42), duration(7.4), duration(600), duration(8000)
    ('0.4 s', '7 s', '10 min', '2.2 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def rate_text(per_second: float, unit: str) -> str:
    """Return a rate per the second, minute or hour in which at least one is done.

    >>> rate_text(1234.5, "wells"), rate_text(0.5, "plates"), rate_text(0.001, "steps")
    ('1,234 wells/s', '30.0 plates/min', '3.6 steps/h')
    """
    per, value = "h", per_second * 3600
    for size, name in ((60, "min"), (1, "s")):
        if per_second * size >= 1:
            per, value = name, per_second * size
    return f"{value:,.0f} {unit}/{per}" if value >= 99.95 else f"{value:.1f} {unit}/{per}"


class ProgressSink:
    """A text stream that is told how far a job is, among what else is written to it.

    The last line of a terminal is rewritten, cut to its width; other text erases it first. Of
    several jobs on one terminal the first rewrites its line, and the others write plain lines, as
    all do to what is no terminal. There is neither colour nor any control but carriage returns.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.is_closed = self.has_told = False
        self._is_shown = False
        self._told_s = 0.0
        self._lock: int | None = None

    def write(self, text: str) -> None:
        """Write text that is no progress."""
        self.erase()
        self.stream.write(text)
        self.stream.flush()

    def tell(self, line: str, now_s: float, *, is_due: bool = False, is_last: bool = False) -> None:
        """Show a line, unless one was shown just before it; `is_due` is shown in any case."""
        silent_s = now_s - self._told_s
        if self.is_closed or (silent_s < TERMINAL_INTERVAL_S and not is_due):
            return
        rewrites = self._may_rewrite()
        if silent_s < PLAIN_INTERVAL_S and not rewrites and not is_due:
            return
        self._told_s, self.has_told = now_s, True
        if self.is_terminal:
            line = self._blank() + line[: self._columns()]
        self.stream.write(line if rewrites and not is_last else line + "\n")
        self.stream.flush()
        self._is_shown = rewrites and not is_last
        if is_last:
            self._release()

    def erase(self) -> None:
        """Take the line off the terminal and leave it to other jobs."""
        if self._is_shown:
            self.stream.write(self._blank())
            self.stream.flush()
        self._is_shown = False
        self._release()

    def close(self) -> None:
        """Erase the line and show no other."""
        self.erase()
        self.is_closed = True

    def _blank(self) -> str:
        return "\r" + " " * self._columns() + "\r"

    def _columns(self) -> int:
        """Return the columns that can be written without a new line."""
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns
        except OSError:
            columns = 0
        return (columns or DEFAULT_COLUMNS) - 1

    def _may_rewrite(self) -> bool:
        """Whether the terminal's last line is this job's: the first that locks the terminal."""
        if not self.is_terminal or self._lock is not None:
            return self.is_terminal
        try:
            lock = os.open(os.ttyname(self.stream.fileno()), os.O_WRONLY | os.O_NOCTTY)
        except OSError:
            return True  # a terminal without a name cannot be shared out
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _release(self) -> None:
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
        self._lock = None


@dataclass(frozen=True)
class _Sinks:
    """Who is told how far the job is, and what the job is called."""

    outlets: tuple[ProgressSink, ...] = ()
    job: str = ""


_audience = _Sinks()


@contextmanager
def progress_to(*outlets: ProgressSink, job: str = "") -> Iterator[None]:
    """Tell these outlets how far things are; outside of this nothing is told to anyone."""
    global _audience
    before, _audience = _audience, _Sinks(outlets, job)
    try:
        yield
    finally:
        _audience = before
        for outlet in outlets:
            outlet.close()


class Progress:
    """Counts what a loop has done, and tells it now and then and at the end.

    The first loop of a job is told at its start too; later ones that are brief are not told.

    Library functions count; only a job (`script_logging.logged`) reports, so that the same
    functions are silent in a notebook.

    Parameters
    ----------
    unit
        What is counted, in the plural.
    total
        How many there are in all, with those done before; None where that is not known.
    name
        What is done, where a job does several things.
    outlets, clock
        Where it is told, instead of where the job says, and the seconds that it is told by.
    """

    def __init__(
        self,
        unit: str,
        total: int | None,
        *,
        name: str = "",
        outlets: tuple[ProgressSink, ...] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unit, self.total, self.clock = unit, total, clock
        self._audience = _audience if outlets is None else _Sinks(outlets)
        self._titles = [title for title in (self._audience.job, name) if title]
        self.started = clock()
        self.done = self.skipped = 0
        self.waiting_s: float | None = None
        self.note = ""
        self._is_first = not any(outlet.has_told for outlet in self._audience.outlets)
        if self._is_first:
            self._tell(is_due=True)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    def skip(self, num: int) -> None:
        """Count what was done before."""
        self.skipped += num
        self._tell()

    def wait(self, seconds: float) -> None:
        """Count seconds spent waiting for images."""
        self.waiting_s = (self.waiting_s or 0.0) + seconds

    def advance(self, num: int = 1, note: str = "") -> None:
        """Count what was just done, with what else to say of it."""
        self.done += num
        self.note = note
        self._tell()

    def end(self) -> None:
        """Tell the last line."""
        if self._is_first or self.seconds >= BRIEF_S:
            self._tell(is_due=True, is_last=True)

    def each(
        self, items: Iterable[Item], count: Callable[[Item], int] = lambda _: 1
    ) -> Iterator[Item]:
        """Yield the items one after the other, each counted when the next is asked for."""
        for item in items:
            yield item
            self.advance(count(item))
        self.end()

    def _tell(self, *, is_due: bool = False, is_last: bool = False) -> None:
        outlets = self._audience.outlets
        if not outlets or self.total == 0:
            return
        line, now_s = self.line(), self.clock()
        for outlet in outlets:
            outlet.tell(line, now_s, is_due=is_due, is_last=is_last)

    def line(self) -> str:
        """Return the line itself."""
        standing = ProgressState(
            self.unit, self.total, self.done, self.skipped, self.seconds, self.waiting_s, self.note
        )
        return ": ".join([*self._titles, str(standing)])
