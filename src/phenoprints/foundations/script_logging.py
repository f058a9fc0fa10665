"""What surrounds the body of a workflow script: its log, and errors that fit on one screen."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phenoprints.foundations.content_cache import cache_of
from phenoprints.foundations.errors import MAX_SHOWN, PhenoprintsError
from phenoprints.foundations.printable import escaped
from phenoprints.foundations.progress import ProgressSink, progress_to
from phenoprints.foundations.provenance import is_provenance, provenance_path
from phenoprints.foundations.running_job import RunningJob, note_input, running


class _Tee:
    """The standard error of a job: what is written goes to several outlets."""

    def __init__(self, *outlets: ProgressSink) -> None:
        self._outlets = outlets

    def write(self, text: str) -> int:
        shown = "\r".join(map(escaped, text.split("\r")))
        for outlet in self._outlets:
            outlet.write(shown)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        """Nothing to do: outlets keep nothing back."""

    def isatty(self) -> bool:
        return False


@contextmanager
def logged(job: Any) -> Iterator[None]:
    """Be a job: copy standard error to its log; end with one message on an expected error.

    `job` is the object `snakemake` of a script. Provenance that is written in the block names its
    rule, wildcards and params, and its inputs as they were when it began.

    An error of Phenoprints is told without its traceback, which goes to the log together with all
    of its problems, where the message shows only the first; every other
    exception is a defect and keeps its traceback in both places. How far the job is
    (`foundations.progress`) is told to the terminal and, in plain lines, to the log.
    """
    path = Path(job.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    before = sys.stderr
    with path.open("w", encoding="utf-8") as log:
        terminal, copy = ProgressSink(before), ProgressSink(log)
        sys.stderr = _Tee(terminal, copy)
        try:
            with progress_to(terminal, copy, job=_job_of(path)), running(_as_running(job, path)):
                for each in job.input:
                    if not is_provenance(each) and not provenance_path(each).exists():
                        note_input(each)
                yield
        except PhenoprintsError as error:
            if len(error.problems) > MAX_SHOWN:
                log.write(escaped("\n".join(map(str, error.problems))) + "\n")
            traceback.print_exc(file=log)
            terminal.write(f"\n{error}\n  Full traceback: {path}\n")
            raise SystemExit(1) from None
        except BaseException:
            traceback.print_exc(file=log)
            raise
        finally:
            sys.stderr = before


def _as_running(job: Any, log: Path) -> RunningJob:
    params = dict(job.params.items())
    return RunningJob(job.rule, dict(job.wildcards.items()), params, cache_of(log))


def _job_of(log: Path) -> str:
    """Return the job of a log: its path in the folder of logs, as in consistency/demo/mae."""
    parts = log.with_suffix("").parts
    start = max((i + 1 for i, part in enumerate(parts[:-1]) if part == LOGS), default=-1)
    return "/".join(parts[start:])


LOGS = "logs"
"""The name of the folder of logs."""
TRACEBACK = "Traceback (most recent call last):"
MAX_ERROR_LINES = 12


def first_error(folder: str | Path, since: float = 0.0) -> tuple[Path, str] | None:
    """Find the first log below a folder that ended in an error since a time, and the error.

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
