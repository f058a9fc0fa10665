"""One main process works on a run, and one job on a folder; claims end with their processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
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
TELL_S = 60.0
GRACE_S = 5.0
MAX_WAIT_S = 900.0
"""Seconds that a job may take to save what it has after it was told to end."""
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
    os.write(descriptor, json.dumps(_own_record()).encode())
    _held[path] = descriptor


def is_locked_by_another(run: str) -> bool:
    """Whether another process works on a run now; False where the file system has no locks."""
    path = _path(run)
    if path in _held:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return _locks(descriptor) is False
    finally:
        os.close(descriptor)


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
    it has, and waited for: MAX_WAIT_S, or GRACE_S where its process is stopped or has ended and a
    child of it keeps the lock. Where the file system has no locks nobody is waited for.

    Raises
    ------
    StorageError
        The wait is over, and the other job is still there.
    """
    path = Path(folder) / "writer.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if _locks(descriptor) is False:
            _tell_to_end(_record(path))
            _wait_for(descriptor, path)
        own = {**_own_record(), "slurm_job": os.environ.get("SLURM_JOB_ID")}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(own).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, path: Path) -> None:
    """Wait until the lock of a folder is free, and print who holds it, at first and each minute."""
    began, told = time.monotonic(), -TELL_S
    while _locks(descriptor) is False:
        waited = time.monotonic() - began
        state = _state(_record(path))
        if waited - told >= TELL_S:
            holder = f"{_holder(path)}{state}"
            sys.stderr.write(f"{path.parent}: waiting for {holder}, which was told to end\n")
            told = waited
        if waited > (GRACE_S if state else MAX_WAIT_S):
            what = f"another job works in it ({_holder(path)}{state}) and did not end"
            fix = f"end it, and run the same command again; `lslocks` or `fuser {path}` finds it"
            raise StorageError(str(Problem(str(path.parent), what, "one job at a time", fix)))
        time.sleep(WAIT_S)


def _state(record: dict[str, Any]) -> str:
    """Say why the holder of a lock on this machine will not end by itself; "" where it may."""
    process = record.get("process")
    if record.get("host") != HOST or not isinstance(process, int):
        return ""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ", which has ended; a child of it holds the lock"
    state = stat.rpartition(")")[2].split()[0]
    if state in "Tt":
        return f", which is stopped (`kill -CONT {process}` wakes it)"
    return ", which has ended; a child of it holds the lock" if state in "ZX" else ""


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


def _own_record() -> dict[str, Any]:
    return {"host": HOST, "process": os.getpid(), "since": int(time.time())}


def _record(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _holder(path: Path) -> str:
    record = _record(path)
    where = "this machine" if record.get("host") == HOST else "another machine"
    since = record.get("since")
    text = f"process {record.get('process', 'unknown')} of {where}"
    if not isinstance(since, int):
        return text
    return f"{text}, since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(since))}"
