"""One main process works on a run, and one job on a folder; claims end with their processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from phenoprints.foundations.errors import Problem, StorageError
from phenoprints.foundations.publishing import HOST, storage_error

FOLDER = Path(".snakemake")
"""Where Snakemake keeps what it knows of a working directory, and where claims lie."""

WAIT_S = 0.5
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_held: dict[Path, int] = {}


def lock_run(run: str) -> None:
    """Claim a run for this process until it ends; StorageError when another one has it.

    The claim is a lock of the system on a file, which no crash leaves behind. Where the file
    system has no such locks nothing is claimed, and Snakemake's own lock stands alone.
    """
    path = _path(run)
    if path in _held:
        return
    descriptor = _opened(path)
    if _locks(descriptor) is False:
        holder = _holder(path)
        os.close(descriptor)
        what = f"another snakemake works on it now ({holder})"
        fix = "wait until it has ended, or stop it; for other settings choose another name (`run:`)"
        raise StorageError(str(Problem(f"results/{run}", what, "one at a time", fix)))
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps({"host": HOST, "process": os.getpid()}).encode())
    _held[path] = descriptor


def forget_dead_locks(run: str) -> list[Path]:
    """Remove the locks that Snakemake left when it was killed in this run; those it removed.

    They are removed only where the last claim of the run was made on this machine and its process
    has ended. Other runs of the working directory keep theirs.
    """
    path = _path(run)
    if path in _held or _record(path).get("host") != HOST:
        return []
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not _locks(descriptor):
            return []
        dead = [lock for lock in sorted(FOLDER.glob("locks/*.lock")) if _names(lock, run)]
        for lock in dead:
            with suppress(OSError):  # on a disk that cannot be written, Snakemake says so
                lock.unlink()
    finally:
        os.close(descriptor)
    return dead


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise storage_error(path, error) or error from error


@contextmanager
def lock_folder(folder: str | Path) -> Iterator[None]:
    """Be the one job that works in a folder, while the block runs.

    A job that is there already is left from a main process that is gone, since a run has only one.
    It is told to end (SIGTERM, through Slurm where it is a job of Slurm's), so that it saves what
    it has, and waited for. Where the file system has no locks nobody is waited for.
    """
    path = Path(folder) / "writer.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if _locks(descriptor) is False:
            _tell_to_end(_record(path))
            while _locks(descriptor) is False:
                time.sleep(WAIT_S)
        own = {"host": HOST, "process": os.getpid(), "slurm_job": os.environ.get("SLURM_JOB_ID")}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(own).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _tell_to_end(holder: dict[str, Any]) -> None:
    if job := holder.get("slurm_job"):
        command = ["scancel", "--signal=TERM", str(job)]
        with suppress(OSError):
            subprocess.run(command, check=False, capture_output=True)
    elif holder.get("host") == HOST and isinstance(holder.get("process"), int):
        with suppress(OSError):
            os.kill(holder["process"], signal.SIGTERM)


def _path(run: str) -> Path:
    return FOLDER.absolute() / f"{run}.claim"


def _locks(descriptor: int) -> bool | None:
    """Whether the file is ours now; None where its file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def _names(lock: Path, run: str) -> bool:
    """Whether a lock of Snakemake names files of the run."""
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return any(line.startswith(f"results/{run}/") for line in lines)


def _record(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _holder(path: Path) -> str:
    record = _record(path)
    where = "this machine" if record.get("host") == HOST else "another machine"
    return f"process {record.get('process', 'unknown')} of {where}"
