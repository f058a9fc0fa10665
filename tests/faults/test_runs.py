"""Promises of a whole run: killed anywhere, a full disk, two at once; then the same command."""

from __future__ import annotations

import signal

import pytest

from phenoprints.cli import main

from .conftest import KILLS
from .runs import contents, differing

pytestmark = pytest.mark.xdist_group("faults")


def test_every_kill_happened(story):
    _, ends = story
    killed = {names: end.code for names, end in ends.items() if names.split("; ")[0] in KILLS}
    assert sorted("; ".join(killed).split("; ")) == sorted(KILLS)
    by_signal = [code for code in killed.values() if code == -signal.SIGKILL]
    assert len(by_signal) == sum(not fault.startswith("job") for fault in KILLS.values())
    assert set(killed.values()) == {1, -signal.SIGKILL}


def test_killed_anywhere_the_next_run_ends_with_the_same_bytes(story, untouched):
    folder, ends = story
    assert ends["first"].code == 0, ends["first"].printed
    ours = contents(folder)
    assert differing(ours, contents(untouched)) == []
    assert len(ours) > 50
    assert not list(folder.glob("results/**/*.partial"))


def test_a_full_disk_loses_nothing(story):
    _, ends = story
    told = ends["full"]
    assert told.code == 1
    assert "cannot be written: " in told.printed
    assert "and run the same command again; what is whole is kept." in told.printed


def test_a_disk_that_cannot_be_written_is_told(story):
    _, ends = story
    if "read-only" not in ends:
        pytest.skip("mounting is not allowed here")
    assert ends["read-only"].code == 1
    assert "Read-only file system" in ends["read-only"].printed


def test_two_writers_never_mix(story):
    _, ends = story
    assert ends["second"].code == 1
    told = "results/example: another snakemake works on it now (process "
    assert told in ends["second"].printed, ends["second"].printed
    assert "Traceback" not in ends["second"].printed


def test_a_second_run_does_nothing(story):
    _, ends = story
    assert ends["again"].code == 0
    assert "Nothing to be done" in ends["again"].printed


def test_after_all_of_it_every_artefact_is_as_recorded(story, monkeypatch, capsys):
    folder, _ = story
    monkeypatch.chdir(folder)
    assert main(["verify", "example"]) == 0
    assert "0 not as recorded, 0 to look at" in capsys.readouterr().out
