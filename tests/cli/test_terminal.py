"""Numbers, tables and verdicts as a terminal shows them."""

from __future__ import annotations

import sys

import pytest

from phenoprints.cli.terminal import bytes_text, count, has_colour, hours_text, table, verdict


@pytest.mark.parametrize(
    ("is_terminal", "no_color", "expected"),
    [(True, "", True), (True, "1", False), (False, "", False), (False, "1", False)],
)
def test_colour_only_on_a_terminal_and_without_no_color(
    monkeypatch, is_terminal, no_color, expected
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert has_colour() is expected
    assert verdict("FAIL") == ("\033[31m✗ FAIL\033[0m" if expected else "✗ FAIL")


@pytest.mark.parametrize(
    ("hours", "text"),
    [(0.001, "4 s"), (0.5, "30 min"), (3.25, "3.2 h"), (4882, "4,882 h"), (1 / 60, "1 min")],
)
def test_hours(hours, text):
    assert hours_text(hours) == text


def test_bytes_and_counts():
    assert [bytes_text(n) for n in (0, 999, 1e3, 2.5e9, 1.44e12)] == [
        "0 B", "999 B", "1 kB", "2.5 GB", "1.44 TB"
    ]  # fmt: skip
    assert count(93_000_000) == "93,000,000"


def test_columns_are_aligned():
    assert table([("a", "1"), ("long", "200")]) == "  a       1\n  long  200"
    assert table([]) == ""
