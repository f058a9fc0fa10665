"""Work spread over processes: the order of the items, bounded memory, errors, and lost workers."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from operator import index, truediv
from pathlib import Path

import dask
import pytest

from phenoprints.configuration.models.stages import Workers
from phenoprints.foundations.errors import WorkerError
from phenoprints.foundations.workers import AHEAD, worker_pool

# Functions of the standard library: workers import by name, and this file is no module of theirs.


@pytest.fixture(scope="module")
def spread():
    with worker_pool(2) as spread:
        yield spread


def test_one_worker_is_map_itself():
    with worker_pool(1) as spread:
        assert spread is map


def test_results_come_in_the_order_of_the_items_from_other_processes(spread):
    assert list(spread(partial(pow, 2), range(50))) == [2**n for n in range(50)]
    assert os.getpid() not in set(spread(eval, ["__import__('os').getpid()"] * 8))


def test_few_items_are_under_way(spread):
    asked = []
    items = (asked.append(n) or n for n in range(100))
    results = spread(index, items)
    assert next(results) == 0
    assert len(asked) == 2 * AHEAD
    assert list(results) == list(range(1, 100))


def test_the_error_of_an_item_is_raised_here(spread):
    with pytest.raises(ZeroDivisionError):
        list(spread(partial(truediv, 1.0), [1.0, 0.0, 2.0]))
    assert list(spread(partial(truediv, 1.0), [2.0])) == [0.5]


def test_workers_have_one_numerical_thread(spread):
    assert next(spread(os.environ.get, ["OMP_NUM_THREADS"])) == "1"


SCRIPT = """
import os
from pathlib import Path
from phenoprints.configuration.models.stages import Workers
from phenoprints.foundations.workers import worker_pool

Path("runs", str(os.getpid())).touch()
with worker_pool(2) as spread:
    print(sorted(spread(abs, range(-5, 0))))
"""


def test_a_script_without_guard_runs_once(tmp_path: Path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "runs").mkdir()
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[1, 2, 3, 4, 5]\n", done.stderr
    assert done.stderr == ""
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_work_that_kills_its_workers_is_an_error_that_says_what_to_do():
    at_once = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    told = pytest.raises(WorkerError, match="give the job more memory")
    with at_once, worker_pool(2) as spread, told:
        list(spread(os._exit, [1]))


def test_a_cluster_without_slurm_is_an_error(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Workers(cluster="slurm", num_jobs=1, cores=1, folder=str(tmp_path / "w"))
    with pytest.raises(WorkerError, match="there is no sbatch here"), worker_pool(1, settings):
        pass


def test_workers_have_one_thread_and_keep_memory_for_the_next_item(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with worker_pool(2) as spread:
        found = list(spread(os.getenv, ["OMP_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_"]))
    assert found == ["1", str(128 << 20)]
