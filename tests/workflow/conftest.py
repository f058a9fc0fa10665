"""Real runs of the workflow in folders of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


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


def hide(folder: Path, *modules: str) -> None:
    """Let an import of these modules fail in every job that runs in `folder`."""
    (folder / "hidden").mkdir(parents=True, exist_ok=True)
    for module in modules:
        text = f"raise ImportError('{module} is hidden from this run')\n"
        (folder / "hidden" / f"{module}.py").write_text(text)


@pytest.fixture(scope="session")
def workflow() -> Callable[..., subprocess.CompletedProcess]:
    """The function that runs the workflow."""
    return snakemake


@pytest.fixture(scope="session")
def bbbc021(tmp_path_factory: pytest.TempPathFactory, test_data: Path) -> Path:
    """The folder in which the BBBC021 example has run, with torch hidden."""
    folder = tmp_path_factory.mktemp("bbbc021")
    hide(folder, "torch", "timm", "lightning")
    (folder / "data").mkdir()
    (folder / "data/bbbc021").symlink_to(test_data / "profiles/bbbc021")
    shutil.copy(ROOT / "config/examples/bbbc021.yaml", folder / "config.yaml")
    snakemake(folder, "--configfile", str(folder / "config.yaml"), "--", "all")
    return folder


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
