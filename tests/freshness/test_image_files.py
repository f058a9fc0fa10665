"""Changed image files are found by size and time, and by content where it is known."""

from __future__ import annotations

import os

import pytest

from phenoprints.freshness import image_files
from phenoprints.freshness.image_files import (
    image_changes,
    image_states,
    image_version,
    limited_screens,
    record_images,
)


@pytest.fixture
def run(tmp_path):
    """A run whose screen s was read from six images in two folders."""
    root = tmp_path / "images"
    paths = [f"{plate}/{number}.tif" for plate in ("a", "b") for number in range(3)]
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"pixels of " + path.encode())
    record_images(tmp_path, "s", str(root), image_states(str(root), paths), 0)
    return tmp_path


def touch(path, seconds=1_000_000):
    os.utime(path, (seconds, seconds))


def test_nothing_changed(run):
    assert image_changes(run, "s", limit=None) == []
    assert image_version(run, "s") == 0
    assert image_changes(run, "another", limit=None) == []


def test_equal_content_under_another_time_is_unchanged(run):
    touch(run / "images/a/1.tif")
    assert image_changes(run, "s", limit=None) == []


@pytest.mark.parametrize("change", ["content", "size", "gone"])
def test_changed_images_are_named_and_counted(run, change):
    path = run / "images/b/2.tif"
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(b"PIXELS of b/2.tif" + b"x" * (change == "size"))
        touch(path)
    (told,) = image_changes(run, "s", limit=None)
    assert told == "made from 1 image files that changed or are gone, first b/2.tif"
    assert image_version(run, "s") == 1


def test_beyond_the_limit_touched_folders_and_a_sample_are_looked_at(run, monkeypatch):
    monkeypatch.setattr(image_files, "SAMPLED", 0)
    (run / "images/b/2.tif").write_bytes(b"another size")
    assert image_changes(run, "s", limit=3) == []  # in place: neither folder nor sample shows it
    assert image_changes(run, "s", limit=None) != []
    (run / "images/b/0.tif").unlink()
    touch(run / "images/b")
    (told,) = image_changes(run, "s", limit=3)
    assert told.startswith("made from 2 image files")
    assert limited_screens(run, 3) == {"s": 6}
    assert limited_screens(run, 6) == {}


def test_the_sample_is_that_of_the_seed(run, monkeypatch):
    monkeypatch.setattr(image_files, "SAMPLED", 3)
    for path in (run / "images").rglob("*.tif"):
        path.write_bytes(b"another size")
    found = {tuple(image_changes(run, "s", limit=3, seed=seed)) for seed in (1, 1, 1)}
    assert len(found) == 1
    assert "made from 3 image files" in found.pop()[0]
