"""Progress: what the line says, how often it is told, and where it is rewritten."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
import termios
from types import SimpleNamespace

import pytest

from phenoprints.foundations.progress import (
    Progress,
    ProgressSink,
    ProgressState,
    duration,
    rate_text,
)
from phenoprints.foundations.script_logging import logged


def job_of(log):
    return SimpleNamespace(log=[log], rule="a_rule", wildcards={}, params={}, input=[])


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def terminal():
    """The far end of a pseudo-terminal of 60 columns, and streams of two jobs that write to it."""
    far, near = pty.openpty()
    termios.tcsetwinsize(near, (24, 60))
    streams = [os.fdopen(os.dup(near), "w") for _ in range(2)]
    os.close(near)
    yield far, *streams
    for stream in streams:
        stream.close()
    os.close(far)


def shown(far):
    """Everything that was written to the terminal since, as it was written."""
    os.set_blocking(far, False)
    text = b""
    try:
        while part := os.read(far, 65536):
            text += part
    except BlockingIOError:
        pass
    return text.decode().replace("\r\n", "\n")


def screen(text, columns=60):
    """The lines that a terminal shows of a text with carriage returns."""
    lines = []
    for line in text.split("\n"):
        cells = [" "] * columns
        for part in line.split("\r"):
            assert len(part) < columns, "a line that wraps cannot be rewritten"
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines


@pytest.mark.parametrize(
    ("standing", "line"),
    [
        (ProgressState("wells", 1000), "0 of 1,000 wells"),
        (ProgressState("wells", 1000, seconds=50.0), "0 of 1,000 wells"),
        (ProgressState("wells", 1000, done=5), "5 of 1,000 wells"),
        (ProgressState("wells", None, done=120, seconds=60.0), "120 wells, 2.0 wells/s"),
        (
            ProgressState("wells", 1000, done=300, skipped=100, seconds=100.0, waiting_s=7.0),
            "400 of 1,000 wells, 3.0 wells/s, 3 min left, 7 % waiting for images, 100 done before",
        ),
        (
            ProgressState("wells", 1000, skipped=100, seconds=100.0, waiting_s=7.0),
            "100 of 1,000 wells, 7 % waiting for images, 100 done before",
        ),
        (ProgressState("wells", 90, done=90, seconds=30.0), "90 of 90 wells in 30 s, 3.0 wells/s"),
        (ProgressState("wells", 90, skipped=90), "90 of 90 wells in 0.0 s, 90 done before"),
        (
            ProgressState("steps", 8, done=2, seconds=20.0, note="loss 0.5"),
            "2 of 8 steps, 6.0 steps/min, 60 s left, loss 0.5",
        ),
    ],
)
def test_line_says_how_much_how_fast_and_how_long(standing, line):
    assert str(standing) == line


def test_rates_and_durations_have_the_unit_that_suits_them():
    rates = [rate_text(rate, "u") for rate in (0.0002, 1 / 60, 0.999, 1.0, 99.94, 123456.0)]
    assert rates == ["0.7 u/h", "1.0 u/min", "59.9 u/min", "1.0 u/s", "99.9 u/s", "123,456 u/s"]
    assert [duration(s) for s in (0.0, 1.4, 99.4, 100, 5999, 6000)] == [
        "0.0 s",
        "1 s",
        "99 s",
        "2 min",
        "100 min",
        "1.7 h",
    ]


def test_plain_lines_come_first_last_and_once_a_minute(clock):
    stream = io.StringIO()
    progress = Progress("wells", 1000, outlets=(ProgressSink(stream),), clock=clock)
    for _ in range(250):
        clock.now += 1.0
        progress.advance(4)
    progress.end()

    assert stream.getvalue().splitlines() == [
        "0 of 1,000 wells",
        "240 of 1,000 wells, 4.0 wells/s, 3 min left",
        "480 of 1,000 wells, 4.0 wells/s, 2 min left",
        "720 of 1,000 wells, 4.0 wells/s, 70 s left",
        "960 of 1,000 wells, 4.0 wells/s, 10 s left",
        "1,000 of 1,000 wells in 4 min, 4.0 wells/s",
    ]


def test_items_of_any_size_are_counted_as_they_pass(clock):
    stream = io.StringIO()
    progress = Progress("sites", 5, name="packing", outlets=(ProgressSink(stream),), clock=clock)
    assert list(progress.each([[1, 2], [3, 4, 5]], len)) == [[1, 2], [3, 4, 5]]
    assert progress.done == 5
    assert stream.getvalue().splitlines() == [
        "packing: 0 of 5 sites",
        "packing: 5 of 5 sites in 0.0 s",
    ]


def test_nothing_to_do_is_not_told(clock):
    stream = io.StringIO()
    assert list(Progress("sites", 0, outlets=(ProgressSink(stream),), clock=clock).each([])) == []
    assert stream.getvalue() == ""


def test_brief_loops_after_the_first_are_not_told(clock):
    stream = io.StringIO()
    outlet = ProgressSink(stream)
    for name, seconds in (("one", 0.1), ("two", 0.9), ("three", 2.0)):
        for _ in Progress("parts", 1, name=name, outlets=(outlet,), clock=clock).each("a"):
            clock.now += seconds

    assert stream.getvalue().splitlines() == [
        "one: 0 of 1 parts",
        "one: 1 of 1 parts in 0.1 s, 10.0 parts/s",
        "three: 1 of 1 parts in 2 s, 30.0 parts/min",
    ]


def test_library_calls_outside_of_a_job_are_silent(capfd):
    assert list(Progress("sites", 3).each("abc")) == ["a", "b", "c"]
    assert capfd.readouterr() == ("", "")


def test_terminal_shows_one_line_that_is_rewritten_and_fits(terminal, clock):
    far, stream, _ = terminal
    name = "demo/mae"
    progress = Progress("wells", 1000, name=name, outlets=(ProgressSink(stream),), clock=clock)
    for _ in range(20):
        clock.now += 0.1
        progress.advance(10)
    during = shown(far)
    progress.end()

    assert "\n" not in during
    assert during.count(name) == 1 + 4  # the first, then one each half second
    assert screen(during) == [f"{name}: 200 of 1,000 wells, 100 wells/s, 8 s left"]
    clock.now += 1.0
    assert screen(during + shown(far))[-1] == ""
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", during)


def test_long_lines_are_cut_and_unknown_widths_are_80(terminal, clock):
    far, stream, _ = terminal
    Progress("wells", 9, name="n" * 100, outlets=(ProgressSink(stream),), clock=clock)
    assert screen(shown(far)) == ["n" * 59]
    termios.tcsetwinsize(stream.fileno(), (0, 0))
    Progress("wells", 9, name="n" * 100, outlets=(ProgressSink(stream),), clock=clock).end()
    assert screen(shown(far), 80)[0] == "n" * 79


def test_terminal_that_cannot_rewrite_gets_plain_lines(terminal, clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    far, stream, _ = terminal
    progress = Progress("wells", 9, outlets=(ProgressSink(stream),), clock=clock)
    clock.now += 1.0
    progress.advance(3)
    assert shown(far) == "0 of 9 wells\n"


def test_of_two_jobs_on_a_terminal_one_rewrites_and_the_other_writes_lines(terminal, clock):
    far, *streams = terminal
    outlets = [ProgressSink(stream) for stream in streams]
    one, two = (
        Progress("wells", 90, name=name, outlets=(outlet,), clock=clock)
        for name, outlet in zip(("one", "two"), outlets, strict=True)
    )
    clock.now += 10.0
    for progress in (two, one):
        progress.advance(10)
    assert screen(shown(far)) == [
        "two: 0 of 90 wells",
        "one: 10 of 90 wells, 1.0 wells/s, 80 s left",
    ]

    one.end()
    clock.now += 1.0
    two.advance(1)
    assert screen(shown(far)) == [
        "one: 10 of 90 wells, 1.0 wells/s, 80 s left",
        "two: 11 of 90 wells, 1.0 wells/s, 79 s left",
    ]


def test_job_rewrites_its_terminal_and_keeps_its_log_plain(terminal, clock, monkeypatch, tmp_path):
    far, stream, _ = terminal
    monkeypatch.setattr(sys, "stderr", stream)
    log = tmp_path / "logs" / "measure_sites" / "demo" / "3.log"
    with logged(job_of(str(log))):
        progress = Progress("sites", 90, clock=clock)
        for done in range(1, 10):
            clock.now += 10.0
            progress.advance(10)
            if done == 3:
                print("channel 2 is empty", file=sys.stderr)
        progress.end()

    job = "measure_sites/demo/3"
    assert log.read_text() == (
        f"{job}: 0 of 90 sites\n"
        "channel 2 is empty\n"
        f"{job}: 60 of 90 sites, 1.0 sites/s, 30 s left\n"
        f"{job}: 90 of 90 sites in 90 s, 1.0 sites/s\n"
    )
    text = shown(far)
    assert text.count("of 90 sites") == 11
    assert screen(text) == ["channel 2 is empty", f"{job}: 90 of 90 sites in 90 s, 1.0 sites/s", ""]


def test_job_that_fails_leaves_the_terminal_to_its_error(terminal, clock, monkeypatch, tmp_path):
    far, stream, _ = terminal
    monkeypatch.setattr(sys, "stderr", stream)
    log = tmp_path / "a.log"
    told = []

    def fail():
        with logged(job_of(str(log))):
            told.append(Progress("sites", 90, clock=clock))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    print("Traceback", file=stream, flush=True)
    clock.now += 100.0
    told[0].advance(5)  # what outlives its job has nobody to tell

    assert screen(shown(far)) == ["Traceback", ""]
    assert log.read_text().startswith("a: 0 of 90 sites\nTraceback")
    assert "5 of 90" not in log.read_text()
