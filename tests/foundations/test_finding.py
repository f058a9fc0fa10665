"""Files are found whatever characters their folders have, and no others."""

from __future__ import annotations

from unicodedata import normalize

import pytest

from phenoprints.foundations.finding import find

NAMES = (
    "input [batch 1]/a.csv", "input [batch 1]/B.TIF", "input [batch 1]/.hidden.tif",
    "input [batch 1]/deep/er/c.tif", "input [batch 1]/deep/._c.tif", "other/d.csv",
)  # fmt: skip


@pytest.fixture
def root(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.csv", ["a.csv"]),
        ("*.csv", ["a.csv"]),
        ("*.tif", ["B.TIF"]),
        ("**/*.tif", ["B.TIF", "deep/er/c.tif"]),
        ("deep/*/c.tif", ["deep/er/c.tif"]),
        (".h*", [".hidden.tif"]),
        ("[ab].csv", ["a.csv"]),
        ("A.csv", []),
        ("gone/*.tif", []),
        ("../other/*.csv", ["../other/d.csv"]),
        (["*.csv", "a.*"], ["a.csv"]),
    ],
)
def test_paths_and_globs_below_a_folder_with_brackets(root, pattern, expected):
    start = root / "input [batch 1]"
    assert find(start, pattern) == [start / name for name in expected]


def test_brackets_of_a_pattern_that_exist_are_names(root):
    assert find(root, "input [batch 1]/*.csv") == [root / "input [batch 1]/a.csv"]
    assert find(root, str(root / "input [batch 1]/*.csv")) == [root / "input [batch 1]/a.csv"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composed_and_decomposed_letters_are_equal(tmp_path, form):
    place = tmp_path / normalize(form, "Plätte Ä") / normalize(form, "é.csv")
    place.parent.mkdir()
    place.write_text("x")
    for other in ("NFC", "NFD"):
        assert find(tmp_path, normalize(other, "Plätte Ä/é.csv")) == [place]
        assert find(tmp_path, normalize(other, "Plätte*/é.*")) == [place]
