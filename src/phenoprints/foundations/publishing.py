"""Every output appears whole or not at all: temporary name, fsync, rename."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    import pyarrow


PARTIAL_SUFFIX = ".partial"
"""Ends the name of everything unfinished; such names are never read and may be deleted."""


HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
ABANDONED_AFTER_S = 86_400.0
"""Seconds after which what another machine left unfinished counts as abandoned."""


def _partial_name(path: Path) -> Path:
    token = secrets.token_hex(4)
    return path.with_name(f".{path.name}.{HOST}.{os.getpid()}.{token}{PARTIAL_SUFFIX}")


def abandoned(folder: str | Path) -> list[Path]:
    """What writers that are gone left unfinished in a folder, sorted; it may be deleted.

    A writer of this machine is gone when its process is; of another machine nothing is known, so
    that its files count as abandoned after a day.
    """
    return [entry for entry in sorted(Path(folder).glob(f".*{PARTIAL_SUFFIX}")) if _is_left(entry)]


def _is_left(entry: Path) -> bool:
    *_, host, pid, _, _ = entry.name.split(".")
    if host == HOST:
        return not Path("/proc", pid).exists()
    try:
        return time.time() - entry.stat().st_mtime > ABANDONED_AFTER_S
    except FileNotFoundError:
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def published(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it there when the block ends well.

    Two writers never mix, since each has its own temporary file and the rename is atomic. When
    the block raises, the temporary file is removed and `path` stays as it was.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_name(final)
    try:
        yield partial
        _sync(partial)
        partial.replace(final)
        _sync(final.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def published_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; put it in its place when the block ends well."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_name(final)
    partial.mkdir()
    try:
        yield partial
        for entry in sorted(partial.rglob("*"), reverse=True):
            _sync(entry)
        _sync(partial)
        if final.exists():
            old = _partial_name(final)
            final.replace(old)
            partial.replace(final)
            shutil.rmtree(old)
        else:
            partial.replace(final)
        _sync(final.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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
