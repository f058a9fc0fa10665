"""Every output appears whole or not at all: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phenoprints.foundations.errors import Problem, StorageError

if TYPE_CHECKING:
    import pandas
    import pyarrow


PARTIAL_SUFFIX = ".partial"
"""Ends the name of everything unfinished; such names are never read and may be deleted."""


HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
ABANDONED_AFTER_S = 86_400.0
"""Seconds after which what another machine left unfinished counts as abandoned."""


CURES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room, or ask for a larger quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "mount the file system for writing",
    errno.EACCES: "give yourself permission to write there",
    errno.EPERM: "give yourself permission to write there",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.EIO: "have the disk looked at",
}
"""What the system says when it cannot store something, and what then helps."""

_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
"""What file systems that cannot flush folders answer; renames there are durable or nothing is."""

_CODE_IN_TEXT = re.compile(r"(?:errno|os error) (\d+)", re.IGNORECASE)


def storage_error(path: str | Path, error: BaseException) -> StorageError | None:
    """Return the StorageError that names the file and the cure; None for any other error.

    Libraries in other languages give the system's number in their text only, where it is read.
    """
    code = getattr(error, "errno", None)
    if code is None and (found := _CODE_IN_TEXT.search(str(error))):
        code = int(found[1])
    if code not in CURES or isinstance(error, StorageError):
        return None
    fix = f"{CURES[code]}, and run the same command again; what is whole is kept"
    return StorageError(str(Problem(str(path), f"cannot be written: {os.strerror(code)}", fix=fix)))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says about storing `path` into a StorageError; let the rest pass."""
    try:
        yield
    except Exception as error:
        named = str(getattr(error, "filename", None) or path)
        is_ours = named.startswith(str(path.parent)) or str(path.parent).startswith(named)
        if is_ours and (told := storage_error(path, error)):
            raise told from error
        raise


def _partial_name(path: Path) -> Path:
    token = secrets.token_hex(4)
    return path.with_name(f".{path.name}.{HOST}.{os.getpid()}.{token}{PARTIAL_SUFFIX}")


def abandoned(folder: str | Path, *, of: str = "*") -> list[Path]:
    """List partial files left in a folder by killed writers, sorted; they may be deleted.

    `of` is the name of what they wrote; all names without it.

    A writer of this machine is gone when its process is; of another machine nothing is known, so
    that its files count as abandoned after a day.
    """
    wanted = "*" if of == "*" else escape(of)
    entries = sorted(Path(folder).glob(f".{wanted}.*{PARTIAL_SUFFIX}"))
    return [entry for entry in entries if _is_left(entry)]


def _is_left(entry: Path) -> bool:
    *_, host, pid, _, _ = entry.name.split(".")
    if host == HOST:
        return not Path("/proc", pid).exists()
    try:
        return time.time() - entry.stat().st_mtime > ABANDONED_AFTER_S
    except FileNotFoundError:
        return False


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk; folders only where their file system can."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


@contextmanager
def published(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it there when the block ends well.

    Two writers never mix, since each has its own temporary file and the rename is atomic. When
    the block raises, the temporary file is removed and `path` stays as it was. A full disk, a
    missing permission and the like are a StorageError that names `path` and says what to do.
    """
    final = Path(path)
    partial = _partial_name(final)
    with _told(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            _sync(partial)
            partial.replace(final)
            _sync(final.parent)
        finally:
            _remove(partial)


@contextmanager
def published_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; put it in its place when the block ends well."""
    final = Path(path)
    partial = _partial_name(final)
    with _told(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.mkdir()
            yield partial
            for entry in sorted(partial.rglob("*"), reverse=True):
                _sync(entry)
            _sync(partial)
            _put_in_place(partial, final)
        finally:
            _remove(partial)


def _put_in_place(partial: Path, final: Path) -> None:
    """Rename a whole folder to its place, and only then delete what was there."""
    olds = []
    while True:  # another writer may put its own there between the two renames
        try:
            partial.replace(final)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        olds.append(_partial_name(final))
        with suppress(FileNotFoundError):
            final.replace(olds[-1])
    _sync(final.parent)
    for old in olds:
        _remove(old)


def _remove(entry: Path) -> None:
    """Remove a file or folder as far as the system lets us; what stays is told by `verify`."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
        return
    with suppress(OSError):
        entry.unlink(missing_ok=True)


def sweep(path: str | Path) -> None:
    """Remove what killed writers of `path` left unfinished beside it."""
    final = Path(path)
    for entry in abandoned(final.parent, of=final.name):
        _remove(entry)


def publish_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with published(path) as partial:
        partial.write_bytes(content)


def publish_text(path: str | Path, text: str) -> None:
    """Write UTF-8 `text` to `path`, whole or not at all."""
    publish_bytes(path, text.encode("utf-8"))


def publish_json(path: str | Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys (NaN refused), whole or not at all."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    publish_text(path, text + "\n")


def publish_table(path: str | Path, table: pandas.DataFrame | pyarrow.Table) -> None:
    """Write a table as Parquet (zstd, no pandas index), whole or not at all.

    The bytes depend on the table alone, for one version of pyarrow.
    """
    import pyarrow
    import pyarrow.parquet

    if not isinstance(table, pyarrow.Table):
        table = pyarrow.Table.from_pandas(table, preserve_index=False)
    table = table.replace_schema_metadata(None)
    with published(path) as partial:
        pyarrow.parquet.write_table(table, partial, compression="zstd")
