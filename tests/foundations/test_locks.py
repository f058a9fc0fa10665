"""One main process at a time works on a run, and a claim ends with its process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from phenoprints.foundations import locks
from phenoprints.foundations.errors import StorageError

CLAIM = (
    "import sys, time; from phenoprints.foundations import locks; locks.lock_run('demo');"
    "print('mine', flush=True); time.sleep(60)"
)


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Another process that has claimed the run `demo` of the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locks, "_held", {})
    process = subprocess.Popen([sys.executable, "-c", CLAIM], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def lock(folder, name, *paths):
    (folder / ".snakemake/locks").mkdir(exist_ok=True)
    path = folder / ".snakemake/locks" / name
    path.write_text("\n".join(paths) + "\n")
    return path


def test_a_second_process_is_refused_until_the_first_has_ended(other):
    with pytest.raises(
        StorageError, match=rf"results/demo: another .* .process {other.pid} of this"
    ):
        locks.lock_run("demo")
    locks.lock_run("another")
    other.kill()
    other.wait()
    locks.lock_run("demo")
    locks.lock_run("demo")
    record = json.loads((locks.FOLDER / "demo.claim").read_bytes())
    assert record["process"] == os.getpid()


def test_locks_of_a_killed_snakemake_are_forgotten_and_no_others(other, tmp_path):
    ours = lock(tmp_path, "0.output.lock", "results/demo/screens/a/wells.parquet")
    theirs = lock(tmp_path, "1.output.lock", "results/demo-2/screens/a/wells.parquet")
    assert locks.forget_dead_locks("demo") == []
    other.kill()
    other.wait()
    assert [path.name for path in locks.forget_dead_locks("demo")] == [ours.name]
    assert theirs.exists()
    assert not ours.exists()


def test_locks_of_another_machine_stay(other, tmp_path):
    other.kill()
    other.wait()
    (tmp_path / ".snakemake/demo.claim").write_text('{"host": "elsewhere", "process": 1}')
    ours = lock(tmp_path, "0.output.lock", "results/demo/screens/a/wells.parquet")
    assert locks.forget_dead_locks("demo") == []
    assert ours.exists()
    assert locks.forget_dead_locks("never-run") == []


WRITER = """
import signal, sys, time
from pathlib import Path
from phenoprints.foundations.locks import lock_folder

def save(*_):
    Path("saved").touch()
    sys.exit()

signal.signal(signal.SIGTERM, save)
with lock_folder("work"):
    print("mine", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path, monkeypatch):
    """Starts another process that works in the folder `work`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(locks, "WAIT_S", 0.01)
    started = []

    def start():
        command = [sys.executable, "-c", WRITER]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "mine\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_writer_that_is_left_saves_and_ends_before_the_next_begins(writer, tmp_path):
    left = writer()
    with locks.lock_folder("work"):
        assert (tmp_path / "saved").exists()
        assert json.loads((tmp_path / "work/writer.json").read_text())["process"] == os.getpid()
    assert left.wait() == 0


def test_a_writer_that_is_a_job_is_told_through_slurm(writer, tmp_path, monkeypatch):
    (tmp_path / "scancel").write_text(
        f"#!/bin/sh\necho $@ > {tmp_path}/told\nkill -TERM $(cat {tmp_path}/number)\n"
    )
    (tmp_path / "scancel").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    (tmp_path / "number").write_text(str(writer().pid))
    with locks.lock_folder("work"):
        assert (tmp_path / "told").read_text() == "--signal=TERM 77\n"
        assert (tmp_path / "saved").exists()


def test_a_writer_that_was_killed_is_not_waited_for(writer, tmp_path):
    left = writer()
    left.kill()
    left.wait()
    with locks.lock_folder("work"):
        assert not (tmp_path / "saved").exists()
