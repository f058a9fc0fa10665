"""The workflow on a real Slurm of two nodes, in folders of their own."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "tests/slurm/cluster.sh"

# Without accounting only squeue answers. The plugin waits ten seconds longer after every look at
# which nothing had ended; most jobs of the tiny run have ended at the first.
ON_THIS_CLUSTER = [
    "--profile", str(ROOT / "slurm"), "--slurm-status-command", "squeue", "--slurm-no-account",
    "--slurm-init-seconds-before-status-checks", "6", "--latency-wait", "10",
    "--slurm-partition-config", str(ROOT / "tests/slurm/partitions.yaml"),
]  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """A running Slurm, or a skip that says what is absent."""
    missing = subprocess.run([CLUSTER, "missing"], capture_output=True, text=True, check=False)
    if missing.returncode:
        pytest.skip(missing.stdout.strip())
    if subprocess.run(["sinfo"], capture_output=True, check=False).returncode:
        pytest.skip("no Slurm runs here; `make test-slurm` starts one, and the tests")


def shell(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_for(happened: Callable[[], Any], what: str, timeout_s: int = 300) -> Any:
    """The first true value, asked for several times a second."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if value := happened():
            return value
        time.sleep(0.2)
    return pytest.fail(f"{what}: not within {timeout_s} s\n{shell('squeue', '--long')}")


@dataclass(frozen=True)
class Job:
    """A job of Slurm as squeue shows it; the executor writes its rule into the comment."""

    number: str
    state: str
    node: str
    folder: str
    name: str
    comment: str


def jobs() -> list[Job]:
    """All jobs in the queue."""
    lines = shell("squeue", "--noheader", "--format=%i|%T|%N|%Z|%j|%k").splitlines()
    return [Job(*line.split("|", 5)) for line in lines]


@dataclass(frozen=True)
class Folder:
    """A folder with the tiny configuration, in which the workflow runs."""

    path: Path

    @property
    def results(self) -> Path:
        """Where the run's results lie."""
        return self.path / "results/tiny"

    @property
    def printed(self) -> str:
        """All that the workflow printed, on every start."""
        return (self.path / "printed.txt").read_text()

    def running(self, rule: str) -> Job | None:
        """A job of a rule that runs for this folder."""
        is_of_rule = re.compile(rf"rule_{rule}(_wildcards|$)")
        mine = (job for job in jobs() if job.folder == str(self.path) and job.state == "RUNNING")
        return next((job for job in mine if is_of_rule.match(job.comment)), None)

    def wait_for_running(self, rule: str) -> Job:
        """A job of a rule, as soon as it runs for this folder."""
        return wait_for(lambda: self.running(rule), f"{rule} runs")

    def configure(self, **sections: Any) -> None:
        """Lay these sections over those of the configuration."""
        file = self.path / "config.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **sections}))

    def command(self, *arguments: str, slurm: bool = True) -> list[str]:
        """The command that runs the workflow here, on Slurm or on this machine."""
        where = ON_THIS_CLUSTER if slurm else ["--cores", "all"]
        files = ["--directory", str(self.path), "--configfile", str(self.path / "config.yaml")]
        own = ["--snakefile", str(ROOT / "Snakefile"), *files]
        return [sys.executable, "-m", "snakemake", *own, *where, *arguments]

    @contextmanager
    def started(self, *arguments: str, slurm: bool = True) -> Iterator[subprocess.Popen[bytes]]:
        """The workflow as a process; it is gone when the block ends, however that ends."""
        with open(self.path / "printed.txt", "ab") as printed:
            process = subprocess.Popen(
                self.command(*arguments, slurm=slurm),
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                stdout=printed, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def ends_well(self, process: subprocess.Popen[bytes], timeout_s: int = 800) -> None:
        """Wait for the end; a failure fails the test with all that was printed."""
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = f"none after {timeout_s} s"
        if code != 0:
            pytest.fail(f"exit code {code}\n{self.printed}\n{shell('squeue', '--long')}")

    def run(self, *arguments: str, slurm: bool = True) -> None:
        """Run the workflow to its end."""
        with self.started(*arguments, slurm=slurm) as process:
            self.ends_well(process)

    def contents(self) -> dict[str, bytes]:
        """The bytes of every result that must not depend on where it was computed."""
        files = [path for path in sorted(self.results.rglob("*")) if path.is_file()]
        named = {path.relative_to(self.results): path for path in files}
        return {
            str(name): path.read_bytes()
            for name, path in named.items()
            if name.parts[0] not in APART and not TIMED.search(str(name))
        }


APART = {
    "config.json", "config.json.sha256", "durations", "fingerprints", "logs", "reports",
    "reports.provenance.json", "stale"
}  # fmt: skip
"""What tells of time, as the cache of fingerprints does, and the configuration, which says where
jobs run."""

TIMED = re.compile(r"\.training/|\.units/|\.throughput\.json")
"""Logs of training, markers and rates of embedding, which lie beside what they made."""


def differing(ours: dict[str, bytes], theirs: dict[str, bytes]) -> list[str]:
    """The names under which two runs hold different bytes."""
    return sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """A new folder with the tiny configuration; no job of it is left behind."""
    shutil.copy(ROOT / "tests/slurm/config.yaml", tmp_path / "config.yaml")
    yield Folder(tmp_path)

    def left() -> list[str]:
        return [job.number for job in jobs() if job.folder == str(tmp_path)]

    if left():
        subprocess.run(["scancel", "--signal=KILL", *left()], check=False)
    wait_for(lambda: not left(), "no job is left", 60)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The folder in which the tiny run was made on this machine, once for all processes."""
    base = tmp_path_factory.getbasetemp()
    folder = Folder((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "local-run")
    with open(folder.path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder.path / "complete").exists():
            shutil.rmtree(folder.path, ignore_errors=True)
            folder.path.mkdir()
            shutil.copy(ROOT / "tests/slurm/config.yaml", folder.path / "config.yaml")
            # As on Slurm, where the workers of this job are jobs of their own.
            folder.run("--set-threads", "measure_quality=1", "--", "all", slurm=False)
            (folder.path / "complete").touch()
    return folder


BEFORE_TRAINING = [
    "curation/everything", "encoders/untrained", "encoders/untrained.provenance.json", "quality",
    "screens",
]  # fmt: skip


@pytest.fixture
def curated(local: Folder, folder: Folder) -> Folder:
    """A folder in which all is done that comes before the training of the judge."""
    for name in BEFORE_TRAINING:
        source, target = local.results / name, folder.results / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, target)
    shutil.copytree(local.path / ".snakemake/metadata", folder.path / ".snakemake/metadata")
    return folder
