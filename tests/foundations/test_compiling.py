"""Compiled functions run also where nothing can be cached."""

from __future__ import annotations

import os
import subprocess
import sys

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


MODULE = """
from phenoprints.foundations.compiling import compiled
@compiled()
def double(x):
    return 2 * x
print(double(21))
"""


@pytest.mark.parametrize("damage", [b"", b"xx", None])
def test_damaged_files_of_the_cache_are_made_anew(damage, tmp_path):
    (tmp_path / "doubling.py").write_text(MODULE)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "doubling.py"]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.stdout == "42\n", done.stderr
        files = [path for path in (tmp_path / "cache").rglob("*.checked.*") if path.is_file()]
        assert len(files) == 2
        for path in files:
            content = bytearray(path.read_bytes())
            if damage is None:
                content[len(content) // 2] ^= 0xFF
            path.write_bytes(bytes(content) if damage is None else damage)
