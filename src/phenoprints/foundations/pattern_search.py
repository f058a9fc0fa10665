"""Search texts with a regular expression of a configuration, for a limited time."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from phenoprints.foundations.errors import ConfigurationError, Problem

LIMIT_S = 5.0
"""Seconds for the search of all texts; texts beyond the first 100,000 add to it."""
TEXTS_PER_S = 100_000


class _TimeIsOverError(Exception):
    pass


def search_all(
    pattern: re.Pattern[str], texts: Iterable[str], where: str
) -> dict[str, re.Match[str] | None]:
    """Return the first match of a pattern in every text, by text.

    The time of some patterns doubles with each character of a text that does not match. The search
    is interrupted by a timer of the system, which only the main thread of a process can set; other
    threads search without a limit.

    Raises
    ------
    ConfigurationError
        The search takes too long; `where` names the setting that holds the pattern.
    """
    wanted = list(texts)
    found: dict[str, re.Match[str] | None] = {}
    with search_limit(pattern, len(wanted), where) as searched:
        for text in wanted:
            searched[:] = [text]
            found[text] = pattern.search(text)
    return found


@contextmanager
def search_limit(pattern: re.Pattern[str], num_texts: int, where: str) -> Iterator[list[str]]:
    """Limit the time of the block, as `search_all` does; the last text is kept in what it gives."""
    limit, searched = LIMIT_S + num_texts / TEXTS_PER_S, [""]
    try:
        with _time_limit(limit):
            yield searched
    except _TimeIsOverError:
        text = searched[0]
        what = f"{pattern.pattern!r} takes longer than {limit:.0f} s, at last for {text[:100]!r}"
        fix = "write it without a repeat inside of a repeat, such as (a+)*"
        problem = Problem(where, what, "a pattern that is searched at once", fix)
        raise ConfigurationError(str(problem)) from None


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise _TimeIsOverError in the block after some seconds, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _TimeIsOverError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
