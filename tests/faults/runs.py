"""Runs of the example without images, in folders of their own, which faults are done to."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
NAME = "example"
ALL = ("--configfile", "config.yaml", "--", "all")
TIMED = (
    "logs/", "durations/", "reports/", "reports.provenance.json", "fingerprints/", "stale/"
)  # fmt: skip
"""What tells of time: pages show durations, and the cache of fingerprints has times."""


@dataclass(frozen=True)
class End:
    """How a command ended: exit code (negative: the signal) and all that it printed."""

    code: int
    printed: str


def prepare(folder: Path) -> Path:
    """Put configuration, data and the default profile into a folder, as a user has them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir()
    shutil.copy(HERE / "config.yaml", folder)
    shutil.copy(ROOT / "config/example.csv", folder / "data")
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    return folder


class Run:
    """A started workflow, leader of its own process group, which prints into a file."""

    def __init__(
        self, folder: Path, *arguments: str, faults: Path | str = "", limit: int = 0
    ) -> None:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        path = os.pathsep.join([str(HERE / "injected"), str(ROOT / "src")])
        self.printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read when the run has ended
        self.process = subprocess.Popen(
            [*command, "--cores", "1", "--quiet", "host", *(arguments or ALL)],
            cwd=folder, start_new_session=True, preexec_fn=partial(limit_files, limit),
            env={**os.environ, "PYTHONPATH": path, "PHENOPRINTS_FAULTS": str(faults)},
            stdout=self.printed, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def end(self) -> End:
        """How it ends; jobs that outlive the main process are not waited for."""
        code = self.process.wait(timeout=300)
        self.printed.seek(0)
        with self.printed:
            return End(code, self.printed.read())


def limit_files(size: int) -> None:
    """Let this process and its children write no file of more bytes; 0 sets no limit."""
    if size:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def run(folder: Path, *arguments: str, faults: Path | str = "", limit: int = 0) -> End:
    """Run the workflow to whatever end it comes to."""
    return Run(folder, *arguments, faults=faults, limit=limit).end()


def contents(folder: Path, name: str = NAME) -> dict[str, bytes]:
    """The bytes of every result that does not tell of time."""
    results = folder / "results" / name
    files = {str(p.relative_to(results)): p for p in sorted(results.rglob("*")) if p.is_file()}
    return {n: p.read_bytes() for n, p in files.items() if not n.startswith(TIMED)}


def differing(ours: dict[str, bytes], theirs: dict[str, bytes]) -> list[str]:
    """Names of results that one side lacks or has with other bytes."""
    return sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
