"""A job's errors fit on one screen, and its log holds everything."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from phenoprints.foundations.errors import Problem, TableError, raise_problems
from phenoprints.foundations.script_logging import first_error, logged


def job(log):
    return SimpleNamespace(log=[log], rule="a_rule", wildcards={}, params={}, input=[])


def fail(log, error):
    with logged(job(str(log))):
        print("reading 3 tables", file=sys.stderr)
        raise error


def test_an_expected_error_is_told_without_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        fail(tmp_path / "a.log", TableError("wells.csv: no rows"))
    shown = capsys.readouterr().err
    assert stop.value.code == 1
    assert "wells.csv: no rows" in shown
    assert "Traceback" not in shown
    log = (tmp_path / "a.log").read_text()
    assert "reading 3 tables" in log
    assert "Traceback" in log


def test_every_problem_of_an_error_stands_in_the_log(tmp_path, capsys):
    problems = [Problem(f"well-{i}", "no_readable_site") for i in range(50)]
    with pytest.raises(SystemExit), logged(job(str(tmp_path / "a.log"))):
        raise_problems(problems)

    assert "well-49" not in capsys.readouterr().err
    text = (tmp_path / "a.log").read_text()
    assert all(f"well-{i}: no_readable_site\n" in text for i in range(50))
    assert first_error(tmp_path)[1].startswith("TableError: well-0: no_readable_site")


def test_a_defect_keeps_its_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "logs/a.log", ZeroDivisionError("oh"))
    assert "ZeroDivisionError: oh" in (tmp_path / "logs/a.log").read_text()


def test_standard_error_is_given_back(tmp_path):
    before = sys.stderr
    with logged(job(str(tmp_path / "a.log"))):
        assert sys.stderr is not before
    assert sys.stderr is before


def test_lines_reach_terminal_and_log(tmp_path, capsys):
    with logged(job(str(tmp_path / "a.log"))):
        sys.stderr.writelines(["one\n", "two\n"])
    assert capsys.readouterr().err == "one\ntwo\n"
    assert (tmp_path / "a.log").read_text() == "one\ntwo\n"


def test_the_first_error_of_a_run_is_named_with_its_well(tmp_path):
    (tmp_path / "fine.log").write_text("all is well\n")
    message = "plate 1, well A01: unreadable.\n  To fix: copy it again."
    with pytest.raises(SystemExit):
        fail(tmp_path / "measure/a.log", TableError(message))
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "measure/b.log", ZeroDivisionError("oh"))
    for at, name in enumerate(("measure/b.log", "measure/a.log")):
        os.utime(tmp_path / name, (1000 + at, 1000 + at))
    assert first_error(tmp_path) == (tmp_path / "measure/b.log", "ZeroDivisionError: oh")
    assert first_error(tmp_path, since=1001) == (
        tmp_path / "measure/a.log",
        f"TableError: {message}",
    )
    assert first_error(tmp_path, since=1002 + 10**10) is None
    assert first_error(tmp_path / "nowhere") is None
