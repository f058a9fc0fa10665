"""Every artefact says where it came from, in a JSON file beside it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from phenoprints import __version__
from phenoprints.foundations.content_cache import cache_of
from phenoprints.foundations.errors import CorruptionError, MissingInputError, Problem
from phenoprints.foundations.fingerprints import (
    content_sha256,
    file_sha256,
    fingerprint,
    own_sha256,
    tree_digests,
)
from phenoprints.foundations.publishing import publish_json, sweep
from phenoprints.foundations.running_job import current_job, sha256_as_read
from phenoprints.foundations.versions import STAGE_VERSIONS

FORMAT = 2
"""2 adds the artefact's path and `own_sha256`; 1 is still read."""
MAX_FILES = 2_000
"""Files of a folder whose digests are listed one by one."""
LIBRARIES = (
    "anndata", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "tensorstore", "torch", "zarr"
)  # fmt: skip


def provenance_path(artefact: str | Path) -> Path:
    """Where the provenance of a file or folder lies: beside it, with `.provenance.json` added."""
    path = Path(artefact)
    return path.with_name(path.name + ".provenance.json")


def artefact_path(provenance: str | Path) -> Path:
    """Return the file or folder whose provenance lies at `provenance`: the inverse of
    provenance_path.
    """
    path = Path(provenance)
    return path.with_name(path.name.removesuffix(".provenance.json"))


def is_provenance(path: str | Path) -> bool:
    """Whether a path is that of a provenance file, which stands for its artefact."""
    return Path(path).name.endswith(".provenance.json")


def write_provenance(
    artefact: str | Path,
    stage: str,
    *,
    settings: Mapping[str, Any],
    inputs: Sequence[str | Path] = (),
    rows: Mapping[str, int] | None = None,
    seeds: Mapping[str, int] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Publish the provenance of `artefact`, which must already be in its place.

    No time and no host name is written, so that two runs of the same inputs give the same bytes.
    What killed writers of the artefact left unfinished is removed.

    Raises
    ------
    CorruptionError
        An input file is not what its own provenance says was written.
    """
    content = {
        "format": FORMAT,
        "artefact": str(artefact),
        "stage": stage,
        "stage_version": STAGE_VERSIONS[stage],
        "code": {"version": __version__, "commit": code_commit()},
        "settings": dict(settings),
        "settings_sha256": fingerprint(dict(settings)),
        "seeds": dict(seeds or {}),
        "threads": num_threads(),
        "job": job.record if (job := current_job()) is not None else {},
        "inputs": {
            recorded_path(path): checked_sha256(path)
            for path in sorted(map(str, inputs))
            if not is_stale_mark(path)
        },
        "libraries": library_versions(),
        "rows": dict(rows or {}),
        "notes": dict(notes or {}),
        **_digests(Path(artefact)),
    }
    publish_json(provenance_path(artefact), {**content, "own_sha256": own_sha256(content)})
    cache_of(artefact).keep(artefact, str(content["sha256"]))
    for path in (artefact, provenance_path(artefact)):
        sweep(path)


def is_stale_mark(path: str | Path) -> bool:
    """Whether an input of a job is the mark that makes it run again (`phenoprints.freshness`)."""
    parts = Path(path).parts
    return len(parts) >= 5 and parts[-5] == "results" and parts[-3] == "stale"


def recorded_path(path: str | Path) -> str:
    """Return a path as provenance holds it: relative where it lies below the current folder, so
    that the folder of a run and its data can be moved.
    """
    here, place = Path.cwd(), Path(path)
    if place.is_absolute() and place.is_relative_to(here):
        return place.relative_to(here).as_posix()
    return str(path)


def _digests(artefact: Path) -> dict[str, Any]:
    """Return the artefact's sha256 and, of a folder with not too many files, that of each."""
    if not artefact.is_dir():
        return {"sha256": file_sha256(artefact)}
    files = tree_digests(artefact)
    listed = {"files": dict(files)} if len(files) <= MAX_FILES else {}
    return {"sha256": fingerprint(files), **listed}


def read_provenance(artefact: str | Path) -> dict[str, Any]:
    """Return the provenance of an artefact, or an error that names it."""
    path = provenance_path(artefact)
    if not path.exists():
        raise MissingInputError(f"{artefact}: it has no provenance ({path.name} is not there).")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptionError(f"{path}: not JSON ({error}). Delete it and run again.") from error
    if not isinstance(content, dict) or not isinstance(content.get("sha256"), str):
        raise CorruptionError(f"{path}: not a provenance file. Delete it and run again.")
    if content.get("format", FORMAT) not in range(1, FORMAT + 1):
        found = str(content["format"])[:20]
        what = f"format {found}, written by another version of Phenoprints"
        raise CorruptionError(str(Problem(str(path), what, f"at most {FORMAT}", "update it")))
    return content


def artefact_sha256(path: str | Path) -> str:
    """Return the sha256 of an input: as its provenance states it, else of its bytes.

    A provenance file stands for its artefact.
    """
    if is_provenance(path):
        return str(read_provenance(artefact_path(path))["sha256"])
    if provenance_path(path).exists():
        return str(read_provenance(path)["sha256"])
    return content_sha256(path)


def checked_sha256(path: str | Path) -> str:
    """Return the sha256 of an input, after a look at its bytes where it is one file.

    Folders are not read again: their readers check each chunk by its checksum. CorruptionError
    when a file is not what its provenance says was written.
    """
    if (as_read := sha256_as_read(path)) is not None:
        return as_read
    recorded = artefact_sha256(path)
    if not Path(path).is_file() or not provenance_path(path).exists():
        return recorded
    stat = Path(path).stat()
    found = _digest(str(path), stat.st_mtime_ns, stat.st_size)
    if found != recorded:
        what = f"its sha256 is {found[:12]}, so it is not what was written"
        expected = f"{recorded[:12]}, as {provenance_path(path).name} says"
        fix = "delete both and run the same command again; `phenoprints verify` finds all of them"
        raise CorruptionError(str(Problem(str(path), what, expected, fix)))
    return recorded


@cache
def _digest(path: str, mtime_ns: int, size: int) -> str:  # noqa: ARG001 - they are part of the key
    return content_sha256(path)


def num_threads() -> int:
    """Threads that numerical libraries may use in this process, as the workflow set them."""
    return int(os.environ.get("OMP_NUM_THREADS", "0") or 0)


@cache
def library_versions() -> dict[str, str]:
    """Versions of the numerical libraries that are installed."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache
def code_commit() -> str:
    """Return the git commit of the code, `+changes` added when the tree differs; "" outside a
    checkout.
    """
    here = Path(__file__).resolve().parent
    try:
        # A repository around the folder of an installed package is not the code's.
        _git(here, "ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
