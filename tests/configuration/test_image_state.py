"""The state of a screen's images changes with them, and with nothing else."""

from __future__ import annotations

import os

import pytest

from phenoprints.configuration import input_files
from phenoprints.configuration.input_files import image_state


@pytest.fixture
def root(tmp_path):
    for name in ("P1/a_A01.tif", "P1/b_A02.TIF", "plate.zarr/c/0/0", "wells.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def state(root, source="imagexpress", **settings) -> str:
    input_files._state_of.cache_clear()
    return image_state({"source": source, "root": str(root), "images": None, **settings})


CHANGES = {
    "a new file": lambda root: (root / "P1/c_A03.tif").write_bytes(b"x"),
    "a removed file": lambda root: (root / "P1/a_A01.tif").unlink(),
    "another size": lambda root: (root / "P1/a_A01.tif").write_bytes(b"xy"),
    "another time": lambda root: os.utime(root / "P1/a_A01.tif", (5, 5)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_new_removed_and_replaced_files_change_it(root, change):
    before = state(root)
    assert before == state(root) != ""
    CHANGES[change](root)
    assert state(root) != before


def test_tables_and_results_do_not(root):
    before = state(root)
    (root / "wells.csv").write_text("more")
    (root / "results/report").mkdir(parents=True)
    (root / "results/report/figure.png").write_bytes(b"x")
    assert state(root) == before


def test_of_an_ome_zarr_plate_every_file_counts(root):
    settings = {"source": "ome-zarr", "images": "*.zarr"}
    before = state(root, **settings)
    (root / "plate.zarr/c/0/0").write_bytes(b"xy")
    assert state(root, **settings) != before


def test_screens_without_image_files_have_none(root):
    assert state(root, "profiles-table") == state(root, "simulated") == ""
    assert state(root, image_root="https://example.org/images") == ""
    assert state(root, "rxrx3", images=None) == ""


def test_of_very_many_files_the_number_counts(root, monkeypatch):
    monkeypatch.setattr(input_files, "MAX_STATED_FILES", 1)
    before = state(root)
    (root / "P1/b_A02.TIF").write_bytes(b"longer")
    assert state(root) == before
    (root / "P1/c_A03.tif").write_bytes(b"x")
    assert state(root) != before
