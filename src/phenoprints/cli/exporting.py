"""What all exports share: nothing is overwritten, nothing stale leaves, nothing half stays."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from phenoprints.cli.runs import SUFFIX, base_folder, change_of, checked_provenance
from phenoprints.foundations.errors import (
    ConfigurationError,
    CorruptionError,
    MissingInputError,
    Problem,
    raise_problems,
)
from phenoprints.foundations.provenance import artefact_path, checked_sha256, provenance_path
from phenoprints.foundations.publishing import published_folder, sweep


def refuse_existing(target: Path) -> None:
    """Raise ConfigurationError where something is in the place of an export."""
    if target.exists():
        fix = "give another place with -o, or delete it first"
        raise ConfigurationError(str(Problem(str(target), "exists already", fix=fix)))


def refuse_stale(run: Path, artefacts: Iterable[Path]) -> None:
    """Raise CorruptionError unless artefacts and their inputs are as their provenance says.

    `artefacts` are files or folders of the run; every input that lies in the run is followed back
    to the raw data, so that a table made from an older one is named.
    """
    todo, seen, problems = list(artefacts), set[Path](), []
    while todo:
        artefact = todo.pop()
        if artefact in seen:
            continue
        seen.add(artefact)
        if not provenance_path(artefact).exists():
            raise MissingInputError(f"{artefact}: not made yet. To fix: finish the run first.")
        checked_sha256(artefact)
        for name, recorded in checked_provenance(artefact)["inputs"].items():
            path = base_folder(run) / name
            if change := change_of(path, recorded):
                problems.append(Problem(str(artefact), f"was made from {name}, {change}"))
                continue
            source = artefact_path(path) if name.endswith(SUFFIX) else path
            if provenance_path(source).exists():
                todo.append(source)
    if problems:
        fix = "run the workflow again, or see `phenoprints verify`"
        problems[-1] = Problem(problems[-1].where, problems[-1].what, fix=fix)
    raise_problems(problems, CorruptionError)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a folder to fill, and rename it to `target` at the end; when stopped, leave nothing."""
    refuse_existing(target)
    sweep(target)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        with published_folder(target) as partial:
            yield partial
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the system's signature
    raise SystemExit(128 + number)
