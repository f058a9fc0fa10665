"""Compiled functions run also where nothing can be cached."""

from __future__ import annotations

import numba
import pytest

from phenoprints.foundations.compiling import compiled


def double(x):
    return 2 * x


def test_a_compiled_function_gives_the_same_result():
    assert compiled()(double)(21) == 42


def test_without_a_folder_for_the_cache_it_still_runs(monkeypatch):
    njit = numba.njit

    def without_locator(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", without_locator)
    assert compiled(fastmath=True)(double)(21) == 42


@pytest.mark.parametrize("option", ["parallel", "fastmath"])
def test_options_reach_numba(monkeypatch, option):
    seen = {}
    monkeypatch.setattr(numba, "njit", lambda **options: seen.update(options) or (lambda f: f))
    compiled(**{option: True})(double)
    assert seen[option] is True
    assert seen["nogil"] is True
