"""Promises of the store of embeddings: killed anywhere, a full disk, two writers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.foundations.fingerprints import tree_sha256  # noqa: E402

JOB = Path(__file__).with_name("embeddings_job.py")


KILLS = (
    "rename:1", "rename:3", "half:16", "read:3", "write:1", "write:2", "mark:1", "read:12",
    "rename:7",
)  # fmt: skip
PLANS = {
    "whole": ("well",),
    "killed": (*KILLS, "well", "well"),
    "full": ("full:1000", "full:5000", "well"),
    "together": ("well+well", "well+well"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of every plan, and in `told.json` what each start told."""
    root = tmp_path_factory.mktemp("jobs")
    words = [f"{root / name}={word}" for name, plan in PLANS.items() for word in plan]
    done = subprocess.run(
        [sys.executable, JOB, *words], capture_output=True, text=True, check=True, timeout=250
    )
    (root / "told.json").write_text(json.dumps([json.loads(x) for x in done.stdout.splitlines()]))
    return root


def told(folder: Path, name: str) -> list[dict]:
    """What the starts of one plan told."""
    lines = json.loads((folder / "told.json").read_text())
    return [line for line in lines if line.pop("folder") == str(folder / name)]


def bytes_of(folder: Path) -> tuple[str, str]:
    """The bytes of embeddings and blocks."""
    return tree_sha256(folder / "e"), tree_sha256(folder / "b")


def test_killed_anywhere_the_next_run_ends_with_the_same_bytes(folder: Path) -> None:
    ends = told(folder, "killed")

    assert ends[: len(KILLS)] == [{"signal": 9}] * len(KILLS)
    assert ends[len(KILLS)]["wells"] in (9, 18)
    assert ends[-1] == {"wells": 0}
    assert bytes_of(folder / "killed") == bytes_of(folder / "whole")
    names = {path.name for path in (folder / "killed/e").rglob("*") if path.is_file()}
    assert names == {"zarr.json", "0"}


def test_a_full_disk_loses_nothing(folder: Path) -> None:
    first, second, last = told(folder, "full")

    assert "Error" in first["error"]
    assert second["error"].startswith("StorageError")
    assert "and run the same command again; what is whole is kept" in second["error"]
    assert last == {"wells": 9}
    assert bytes_of(folder / "full") == bytes_of(folder / "whole")


def test_two_writers_never_mix(folder: Path) -> None:
    ends = told(folder, "together")

    assert [end for end in ends if "error" in end] == []
    assert [end["wells"] for end in ends[2:]] == [0, 0]
    assert bytes_of(folder / "together") == bytes_of(folder / "whole")
