"""`make bench` knows every benchmark that there is."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]


def listed(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), "--list"], capture_output=True, text=True, check=False
    )


def test_every_module_beside_the_runner_registers_a_benchmark():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--list"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert len(names) == len(set(names))
    kinds = {name.split("-")[0] for name in names}
    assert kinds >= {"alignment", "benchmarks", "consistency", "curation", "probes", "screens"}


def test_a_module_that_fails_or_is_empty_is_an_error(tmp_path):
    for name in ("run", "registry"):
        source = ROOT / "benchmarks" / f"{name}.py"
        (tmp_path / source.name).write_text(source.read_text())
    (tmp_path / "broken.py").write_text("import no_such_library\n")
    (tmp_path / "empty.py").write_text("")
    done = listed(tmp_path / "run.py")
    assert done.returncode == 1
    assert "broken.py is left out: No module named 'no_such_library'" in done.stderr
    assert "empty.py registers no benchmark" in done.stderr


def test_memory_that_a_new_child_borrows_is_counted_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    held_gb = import_module("rxrx3_shaped").held_gb
    own = psutil.Process().memory_full_info()
    small = own._replace(pss=1_000_000)

    def ended() -> None:
        raise psutil.NoSuchProcess(1)

    looks = [lambda: own, ended, lambda: own, lambda: small]
    processes = [SimpleNamespace(memory_full_info=look) for look in looks]
    assert held_gb(processes) == pytest.approx((own.pss + 1_000_000) / 1e9)
