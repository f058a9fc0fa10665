"""What all tests share: real files, a reproducible hypothesis profile, the tiny run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile(
    "phenoprints",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "soak",
    deadline=None,
    max_examples=1_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "phenoprints"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with the real files, or a skip that says why."""
    folder = os.environ.get("PHENOPRINTS_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("PHENOPRINTS_TEST_DATA names no folder with the real files")
    return Path(folder)


def snakemake(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Run the workflow with `folder` as working directory; its output is kept as text."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    settings = ["--directory", str(folder), "--cores", "2", "--quiet", "rules", "host"]
    triggers = ["--rerun-triggers", "mtime", "params", "input"]
    path = os.pathsep.join([str(folder / "hidden"), str(ROOT / "src")])
    done = subprocess.run(
        [*command, *settings, *triggers, *arguments],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if check and done.returncode:
        pytest.fail(f"snakemake {' '.join(arguments)}\n{done.stdout}\n{done.stderr}")
    return done


@pytest.fixture(scope="session")
def workflow() -> Callable[..., subprocess.CompletedProcess]:
    """The function that runs the workflow."""
    return snakemake


def run_tiny(folder: Path) -> Path:
    """Run the tiny configuration from pixels to reports; return its results."""
    shutil.copy(ROOT / "tests/slurm/config.yaml", folder / "config.yaml")
    snakemake(folder, "--configfile", str(folder / "config.yaml"), "--", "all")
    return folder / "results/tiny"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the tiny run; tests leave them as they are."""
    pytest.importorskip("torch")
    return run_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a second tiny run in another folder."""
    pytest.importorskip("torch")
    return run_tiny(tmp_path_factory.mktemp("again"))
