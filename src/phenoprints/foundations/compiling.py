"""Loops compiled to machine code, kept on disk between processes where that is possible."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function with numba, free of the interpreter's lock.

    `options` are those of numba.njit. The machine code is cached beside the source, else in the
    user's cache folder; where neither can be written (a read-only container), every process
    compiles anew.
    """

    def compile_function(function: Function) -> Function:
        try:
            result: Function = numba.njit(cache=True, nogil=True, **options)(function)
            _distrust(result)
        except RuntimeError:  # numba: "cannot cache function: no locator available"
            result = numba.njit(nogil=True, **options)(function)
        return result

    return compile_function


def _distrust(dispatcher: Any) -> None:
    """Make a compiled function check its files on disk, and compile anew where they are damaged.

    Each file gets the sha256 of its content in front: unpickled or run unchecked, damaged machine
    code ends the process or gives other numbers.
    """
    cache: Any = getattr(dispatcher, "_cache", None)
    if not hasattr(cache, "_cache_file"):  # compiled without numba, or not kept on disk
        return
    file, load, save = cache._cache_file, cache.load_overload, cache.save_overload
    # Files of their own names: those without a sha256 are numba's.
    file._index_path = file._index_path.replace(".nbi", ".checked.nbi")
    file._data_name_pattern = file._data_name_pattern.replace(".nbc", ".checked.nbc")

    def checked_load(sig: Any, context: Any) -> Any:
        try:
            return load(sig, context)
        except Exception:
            with suppress(OSError):
                cache.flush()
            return None

    def tolerant_save(sig: Any, data: Any) -> None:
        with suppress(OSError):
            save(sig, data)

    def load_data(name: str) -> Any:
        content = Path(file._data_path(name)).read_bytes()
        digest, data = content[:32], content[32:]
        if hashlib.sha256(data).digest() != digest:
            raise ValueError(f"{name} is not as it was written")
        return pickle.loads(data)  # noqa: S301 - our own file, as it was written

    def save_data(name: str, content: Any) -> None:
        data = file._dump(content)
        with file._open_for_write(file._data_path(name)) as stream:
            stream.write(hashlib.sha256(data).digest() + data)

    file._load_data, file._save_data = load_data, save_data
    cache.load_overload, cache.save_overload = checked_load, tolerant_save
