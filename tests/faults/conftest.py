"""One untouched run, and one that everything is done to: each is made once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .runs import ALL, End, Run, prepare, run

ROOMY = "size=64m"

KILLS = {
    "the main process before its first job": "main before */example/config.json",
    "everything while a table is half published": "all before */screens/example/wells.parquet",
    "a job between two of its tables": "job after */screens/example/sites.parquet",
    "a job between a table and its provenance": "job after */quality/example.parquet",
    "the main process while its job writes a store": "main before */features.failures.parquet",
    "a job between a folder and its provenance": "job after */alignment/example/features",
    "everything between two folders of one job": "all after */curation/phenoprints/reasons",
    "everything in the middle of the pages": "all after */reports/maps.html",
}
"""Eight moments of a run: who is killed, and before or after which file is there."""


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to."""
    folder = prepare(tmp_path_factory.mktemp("untouched") / "run")
    end = run(folder)
    assert end.code == 0, end.printed
    return folder


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """A file system in memory; None where mounting is not allowed."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", ROOMY, "phenoprints-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, check=False) if os.getuid() == 0 else None
    if done is None or done.returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def used_kb(disk: Path) -> int:
    found = os.statvfs(disk)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024


@pytest.fixture(scope="session")
def story(disk: Path | None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A folder and how each start of the same command ended in it, by what was done to it."""
    folder = prepare((disk or tmp_path_factory.mktemp("story")) / "run")
    ends = dict(killed_runs(folder, tmp_path_factory.mktemp("faults") / "list.json"))
    if disk:  # the pages need more room than this
        remount(disk, f"size={used_kb(disk) + 60}k")
        ends["full"] = run(folder)
        remount(disk, f"{ROOMY},ro")
        ends["read-only"] = run(folder)
        remount(disk, f"{ROOMY},rw")
    else:
        ends["full"] = run(folder, limit=30_000)
    ends["second"], ends["first"] = two_at_once(folder)
    ends["again"] = run(folder)
    return folder, ends


def killed_runs(folder: Path, faults: Path) -> Iterator[tuple[str, End]]:
    """the same command until every kill has happened, and how each ended."""
    faults.write_text(json.dumps([fault.split() for fault in KILLS.values()]))
    happened: set[str] = set()
    while len(happened) < len(KILLS):
        end = run(folder, faults=faults)
        new = {name for i, name in enumerate(KILLS) if faults.with_name(f"list.json.{i}").exists()}
        assert new - happened, f"not killed: {end.printed}"
        yield "; ".join(new - happened), end
        happened = new


def two_at_once(folder: Path) -> tuple[End, End]:
    """How a second run ends that is started, without Snakemake's own lock, in mid-run."""
    first = Run(folder)
    claim, mine = folder / ".snakemake/example.claim", f'"process": {first.process.pid},'
    while first.process.poll() is None and mine not in claim.read_text():
        time.sleep(0.01)
    os.killpg(first.process.pid, signal.SIGSTOP)
    second = run(folder, "--nolock", *ALL)
    os.killpg(first.process.pid, signal.SIGCONT)
    return second, first.end()
