"""The job of the workflow that this process is: its rule and params, and inputs as it read them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phenoprints.foundations.content_cache import ContentCache, State, state_of
from phenoprints.foundations.errors import CorruptionError, Problem


@dataclass(frozen=True)
class RunningJob:
    """Rule, wildcards and params of a job; `read` holds inputs as they were when it began."""

    rule: str
    wildcards: Mapping[str, str]
    params: Mapping[str, Any]
    cache: ContentCache
    read: dict[str, tuple[State, str]] = field(default_factory=dict)

    @property
    def record(self) -> dict[str, Any]:
        """What provenance keeps of the job."""
        return {
            "rule": self.rule,
            "wildcards": dict(self.wildcards),
            "params": plain(self.params),
        }


_running: list[RunningJob] = []
"""The job of this process, the innermost last; also seen from its threads."""


def plain(value: Any) -> Any:
    """Return a value as JSON gives it back: tuples as lists, keys as texts."""
    return json.loads(json.dumps(value, default=str, sort_keys=True))


@contextmanager
def running(job: RunningJob) -> Iterator[None]:
    """Be a job while the block runs: what it writes says so in its provenance."""
    _running.append(job)
    try:
        yield
    finally:
        _running.remove(job)


def current_job() -> RunningJob | None:
    """Return the job that this process is; None outside of the workflow."""
    return _running[-1] if _running else None


def note_input(path: str | Path) -> None:
    """Remember what a file is before it is read, so that provenance holds what was read.

    Nothing happens outside of a job, and for what is not a file.
    """
    job, name = current_job(), os.path.abspath(path)  # noqa: PTH100 - links are kept
    if job is None or name in job.read or not Path(path).is_file():
        return
    sha256 = job.cache.sha256(path)
    job.read[name] = state_of(path), sha256


def sha256_as_read(path: str | Path) -> str | None:
    """Return the sha256 of an input as the job read it; None where it was not noted.

    Raises
    ------
    CorruptionError
        The input was replaced or written to while the job ran.
    """
    job = current_job()
    if job is None or (noted := job.read.get(os.path.abspath(path))) is None:  # noqa: PTH100
        return None
    state, sha256 = noted
    place = Path(path)
    if place.is_file() and (state_of(place) == state or job.cache.sha256(place) == sha256):
        return sha256
    what = "it changed while it was being read, so that nothing is known of what was read"
    raise CorruptionError(str(Problem(str(path), what, fix="run the same command again")))
