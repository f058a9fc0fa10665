"""Loops compiled to machine code, kept on disk between processes where that is possible."""

from __future__ import annotations

from collections.abc import Callable
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
        except RuntimeError:  # numba: "cannot cache function: no locator available"
            result = numba.njit(nogil=True, **options)(function)
        return result

    return compile_function
