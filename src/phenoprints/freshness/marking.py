"""Make Snakemake run stale jobs again: a mark among the inputs of a job is newer than its output.

Each rule has the mark of its job as an input where there is one (`Inputs.stale_mark`). Snakemake
then decides as ever, by times and by the set of inputs; nothing is run, moved or deleted here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from phenoprints.configuration.inputs import stale_mark_path
from phenoprints.configuration.job_params import JobParams
from phenoprints.foundations.locks import is_locked_by_another
from phenoprints.foundations.provenance import provenance_path
from phenoprints.foundations.publishing import publish_text
from phenoprints.freshness.checking import Stale, stale_artefacts
from phenoprints.freshness.image_files import limited_screens
from phenoprints.freshness.recorded import Recorded, recorded_artefacts

LONG_AGO_S = 86_400
"""The time (1970) of marks of jobs that need not run."""
MAX_TOLD = 20
WAS_INPUT = "The job had this mark as an input before.\n"


def check_run(
    run: Path, config: Mapping[str, Any], *, warn: Callable[[str], object]
) -> list[Stale]:
    """Name the stale artefacts of a run that is about to start, and mark their jobs.

    Nothing is done while another process works on the run.
    """
    if not run.is_dir() or is_locked_by_another(str(config["run"])):
        return []
    limit = config["freshness"]["max_files"]
    for screen, number in limited_screens(run, limit).items():
        warn(
            f"Screen {screen} has {number:,} image files, more than freshness.max_files: the times "
            "of folders and a sample are compared (`phenoprints verify --images` compares all)."
        )
    stale = stale_artefacts(run, config)
    mark(run, stale, JobParams(config))
    for each in stale[:MAX_TOLD]:
        warn(f"Stale, and made again where it is asked for: {each.line(run)}")
    if len(stale) > MAX_TOLD:
        warn(f"… and {len(stale) - MAX_TOLD} more stale artefacts")
    return stale


def mark(run: Path, stale: Iterable[Stale], params: JobParams) -> None:
    """Mark the jobs of stale artefacts, and take the marks of all others back."""
    reasons: dict[Path, str] = {}
    for each in stale:
        if path := _mark_of(run, each.recorded, params):
            first = WAS_INPUT if _was_input(path, each.recorded) else ""
            reasons[path] = f"{reasons.get(path, first)}{each.line(run)}\n"
    for path, text in reasons.items():  # the time, since Snakemake passes over equal content
        publish_text(path, f"{text}Marked at {time.time_ns()}.\n")
    for recorded in recorded_artefacts(run):
        path = _mark_of(run, recorded, params)
        if path is None or path in reasons or not path.exists():
            continue
        if _was_input(path, recorded):
            os.utime(path, (LONG_AGO_S, LONG_AGO_S))
        else:
            path.unlink(missing_ok=True)


def _was_input(mark: Path, recorded: Recorded) -> bool:
    """Whether the job that made an artefact had the mark as an input, and so must keep it."""
    if not mark.exists():
        return False
    made_at = provenance_path(recorded.artefact).stat().st_mtime_ns
    text = mark.read_text(encoding="utf-8", errors="replace")
    return mark.stat().st_mtime_ns < made_at or text.startswith(WAS_INPUT)


def _mark_of(run: Path, recorded: Recorded, params: JobParams) -> Path | None:
    rule = params.rule_named(recorded.rule)
    return Path(stale_mark_path(str(run), rule, recorded.wildcards)) if rule else None
