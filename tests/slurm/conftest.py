"""The workflow on a real one-node Slurm, in folders of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "tests/slurm/cluster.sh"

# Without accounting only squeue answers; status checks are frequent, since jobs take seconds.
ON_THIS_CLUSTER = [
    "--profile", str(ROOT / "slurm"), "--slurm-status-command", "squeue", "--slurm-no-account",
    "--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2",
    "--latency-wait", "10",
]  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """A running Slurm, or a skip that says what is absent."""
    missing = subprocess.run([CLUSTER, "missing"], capture_output=True, text=True, check=False)
    if missing.returncode:
        pytest.skip(missing.stdout.strip())
    subprocess.run([CLUSTER, "start"], check=True)


def start(folder: Path, *arguments: str, slurm: bool = True) -> subprocess.Popen[str]:
    """Start the workflow in `folder`, on Slurm or on this machine."""
    where = ON_THIS_CLUSTER if slurm else ["--cores", "1"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    files = ["--directory", str(folder), "--configfile", str(folder / "config.yaml")]
    return subprocess.Popen(
        [*command, *files, *where, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def run(folder: Path, *arguments: str, slurm: bool = True) -> str:
    """Run the workflow to its end; a failure fails the test with all that was printed."""
    process = start(folder, *arguments, slurm=slurm)
    printed, _ = process.communicate(timeout=600)
    if process.returncode:
        pytest.fail(printed)
    return printed


def new_folder(parent: Path, name: str) -> Path:
    """A folder with the tiny configuration."""
    folder = parent / name
    folder.mkdir()
    (folder / "config.yaml").write_text((ROOT / "tests/slurm/config.yaml").read_text())
    return folder


TIMED = re.compile(r"\.training/|\.units/|\.throughput\.json")
"""Logs of training, markers and rates of embedding, which lie beside what they made."""


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every result that must not depend on where it was computed."""
    results = folder / "results/tiny"
    apart = {"logs", "durations", "reports", "reports.provenance.json", "config.json"}
    files = [path for path in sorted(results.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in files
        if path.relative_to(results).parts[0] not in apart and not TIMED.search(str(path))
    }
