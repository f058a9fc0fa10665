"""What surrounds the body of a workflow script: its log, and errors that fit on one screen."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from phenoprints.foundations.errors import MAX_SHOWN, PhenoprintsError


class _Tee:
    """A text stream that writes to several others."""

    def __init__(self, *streams: TextIO) -> None:
        self._streams = streams

    def write(self, text: str) -> int:
        for stream in self._streams:
            stream.write(text)
            stream.flush()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        for stream in self._streams:
            stream.flush()

    def isatty(self) -> bool:
        return False


@contextmanager
def logged(logs: Sequence[str]) -> Iterator[None]:
    """Copy standard error to the job's log; end the job with one message on an expected error.

    An error of Phenoprints is told without its traceback, which goes to the log together with all
    of its problems, where the message shows only the first; every other
    exception is a defect and keeps its traceback in both places.
    """
    path = Path(logs[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr
    with path.open("w", encoding="utf-8") as log:
        sys.stderr = _Tee(terminal, log)
        try:
            yield
        except PhenoprintsError as error:
            if len(error.problems) > MAX_SHOWN:
                log.write("\n".join(map(str, error.problems)) + "\n")
            traceback.print_exc(file=log)
            terminal.write(f"\n{error}\n  The whole story: {path}\n")
            raise SystemExit(1) from None
        except BaseException:
            traceback.print_exc(file=log)
            raise
        finally:
            sys.stderr = terminal


TRACEBACK = "Traceback (most recent call last):"
MAX_ERROR_LINES = 12


def first_error(folder: str | Path, since: float = 0.0) -> tuple[Path, str] | None:
    """The first log below a folder that ended in an error since a time, and the error; or None.

    `since` is in seconds since 1970. The error is what stands behind the last traceback of the
    log, at most 12 lines, without the module of its type. Logs that cannot be read are passed by.
    """
    logs = [(path.stat().st_mtime, path) for path in Path(folder).rglob("*.log")]
    for _, path in sorted(entry for entry in logs if entry[0] >= since):
        text = path.read_text(encoding="utf-8", errors="replace")
        if TRACEBACK in text and (error := _error_of(text)):
            return path, error
    return None


def _error_of(text: str) -> str:
    lines = text.rpartition(TRACEBACK)[2].splitlines()
    at = next((k for k, line in enumerate(lines) if line and not line[0].isspace()), len(lines))
    kind, colon, rest = "\n".join(lines[at : at + MAX_ERROR_LINES]).rstrip().partition(":")
    return f"{kind.rpartition('.')[2]}{colon}{rest}"
