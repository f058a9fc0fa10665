"""A damaged marker says nothing."""

from __future__ import annotations

import pytest

from phenoprints.foundations.markers import publish_marker, read_marker

CONTENT = {"key": "a", "told": {"seconds": 0.1, "failures": [[1, "x"]]}}


@pytest.fixture
def marker(tmp_path):
    publish_marker(tmp_path / "m.json", CONTENT)
    return tmp_path / "m.json"


def test_it_tells_what_was_written(marker):
    assert read_marker(marker) == CONTENT


def test_one_of_another_place_is_not_believed(marker, tmp_path):
    other = tmp_path / "n.json"
    other.write_bytes(marker.read_bytes())
    assert read_marker(other) is None
    publish_marker(tmp_path / "anywhere.json", CONTENT, is_placed=False)
    (tmp_path / "anywhere.json").rename(tmp_path / "here.json")
    assert read_marker(tmp_path / "here.json", is_placed=False) == CONTENT
    assert read_marker(tmp_path / "here.json") is None


@pytest.mark.parametrize("position", range(0, 200, 3))
def test_no_flipped_bit_is_believed(marker, position):
    content = bytearray(marker.read_bytes())
    content[position] ^= 1
    marker.write_bytes(bytes(content))
    told = read_marker(marker)
    assert told is None or told == CONTENT  # white space may flip to white space


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '{"key": "a"}', "[" * 100_000])
def test_what_is_no_marker_says_nothing(marker, content):
    marker.write_text(content)
    assert read_marker(marker) is None
    marker.unlink()
    assert read_marker(marker) is None
