"""Input that coverage guides ends in a value or in one of our errors, for every kind of reader."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDED = Path(__file__).parent / "guided.py"
SRC = Path(__file__).parents[2] / "src"
TARGETS = (
    "image", "locator", "well", "configuration", "frozen", "index", "table", "provenance",
)  # fmt: skip

pytest.importorskip("atheris", reason="atheris is not installed; `make soak` installs it")


def guided(folder: Path, *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(SRC), "TMPDIR": str(folder)}
    return subprocess.run(
        [sys.executable, GUIDED, *words],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_all_targets_are_tested(tmp_path):
    assert guided(tmp_path).stdout.split() == list(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_only_our_errors_come_out(target, tmp_path):
    done = guided(tmp_path, target, "-runs=500", "-seed=1", "-print_final_stats=1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(re.search(r"number_of_executed_units: (\d+)", done.stderr)[1]) >= 500
