"""Faults that end in a message: names with control characters, pipes, patterns, permissions."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from phenoprints.annotation import cache_path
from phenoprints.annotation.tables import read_pairs, read_truth
from phenoprints.cli import main
from phenoprints.foundations import locks, publishing
from phenoprints.foundations.errors import (
    ConfigurationError,
    CorruptionError,
    DataError,
    ImageError,
    StorageError,
    TableError,
    UnsafeInputError,
)
from phenoprints.foundations.locks import lock_folder
from phenoprints.foundations.pattern_search import search_all
from phenoprints.foundations.printable import escaped, for_xml
from phenoprints.foundations.publishing import publish_text
from phenoprints.foundations.table_files import TableFile
from phenoprints.reports.tables import Column, Table
from phenoprints.screens.images.sites import read_bytes


@pytest.mark.parametrize("start", [*"=+-@\t\r\n", *"＝＋－＠", " =", "\n=", "\u3000＝"])
def test_no_cell_or_heading_of_a_csv_begins_like_a_formula(start):
    frame = pd.DataFrame({"a": [f"{start}1+1"]})
    lines = Table("x", "c", [Column("a", f"{start}HEAD")], frame).csv_text().splitlines()
    assert len(lines) == 2
    assert all(line.strip('"').startswith("'") for line in lines)


def test_numbers_below_zero_stay_numbers_in_a_csv():
    table = Table("x", "c", [Column("a", "a")], pd.DataFrame({"a": [-1.5]}))
    assert table.csv_text() == "a\n-1.5\n"


def test_errors_show_control_characters_as_escapes():
    error = DataError("well \x1b[2Jevil\x07 \x9b31m\u202ename\nnext line")
    assert str(error) == "well \\x1b[2Jevil\\x07 \\x9b31m\\u202ename\nnext line"


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\x7f", "\ufffe", "\ud800"])
def test_pages_hold_no_character_that_xml_refuses(character):
    shown = for_xml(f"a{character}b")
    assert len(shown) == 3
    assert character not in shown
    assert shown.encode()
    assert character in "\ufffe\x00" or escaped(character) != character


def test_charts_with_control_characters_are_drawn():
    from phenoprints.reports.figures import funnel_chart

    steps = pd.DataFrame({"step": ["a\x0bb\ufffe"], "kept": [1], "left": [0], "text": ["x\x02"]})
    assert "a␋b" in funnel_chart(steps, title="t\x1f")


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    return path


def test_a_pipe_is_no_image(pipe):
    with pytest.raises(ImageError, match="not a regular file"):
        read_bytes(pipe.parent, pipe.name)


def test_a_pipe_is_no_table_of_known_biology(pipe):
    with pytest.raises((UnsafeInputError, FileNotFoundError)):
        read_pairs(pipe)


def test_a_pipe_is_no_table_of_wells(pipe):
    with pytest.raises((UnsafeInputError, FileNotFoundError)):
        TableFile(pipe)


def test_a_pattern_that_does_not_end_is_named(monkeypatch):
    import re

    monkeypatch.setattr("phenoprints.foundations.pattern_search.LIMIT_S", 0.3)
    pattern = re.compile("^((?:[a-z0-9-]+)*)!")
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match=r"columns\.x\.extract.*takes longer"):
        search_all(pattern, ["compound-00-with-a-long-name-of-a-salt"], "columns.x.extract")
    assert time.monotonic() - began < 10
    assert search_all(pattern, ["abc!"], "x")["abc!"][1] == "abc"


def test_folders_that_cannot_be_flushed_are_no_error(tmp_path, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(22, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(publishing.os, "fsync", fsync)
    publish_text(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_files_that_cannot_be_flushed_are_an_error(tmp_path, monkeypatch):
    def fsync(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(publishing.os, "fsync", fsync)
    with pytest.raises(StorageError):
        publish_text(tmp_path / "a.txt", "whole")


HOLDER = """
import os, sys, time
from phenoprints.foundations.locks import lock_folder
with lock_folder(sys.argv[1]):
    if sys.argv[2] == "child" and os.fork() == 0:
        time.sleep(60); os._exit(0)
    print("held", flush=True); time.sleep(60)
"""


@pytest.mark.parametrize(
    ("kind", "signal", "told"), [("hold", 19, "is stopped"), ("child", 9, "has ended; a child")]
)
def test_waiting_for_a_folder_says_for_whom_and_ends(
    kind, signal, told, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(locks, "GRACE_S", 0.6)
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "work"), kind]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, process_group=0) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            holder.send_signal(signal)
            stat = Path(f"/proc/{holder.pid}/stat")
            while stat.read_text().rpartition(")")[2].split()[0] not in "TZ":
                time.sleep(0.05)
            with (
                pytest.raises(StorageError, match=f"process {holder.pid} .* since 20.*{told}"),
                lock_folder(tmp_path / "work"),
            ):
                pass
        finally:
            os.killpg(holder.pid, 9)
    assert f"waiting for process {holder.pid}" in capsys.readouterr().err


BROKEN = {
    "latin.csv": "entity1,entity2\nA\xe9,B\n".encode("latin-1"),
    "empty.csv": b"",
    "ragged.csv": b"entity1,entity2\nA,B\nA,B,C,D\n",
    "trunc.csv.gz": gzip.compress(b"entity1,entity2\nA,B\n" * 1000)[:60],
    "bad.parquet": b"PAR1xxxxPAR1",
    "empties.csv": b"entity1,entity2\n,B\nNA,C\n",
    "trailing.csv": b"entity1,entity2,score\nA,B,990,\nB,C,980,\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_of_known_biology_is_named(name, tmp_path):
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(TableError, match=name):
        read_pairs(tmp_path / name)


def test_a_truth_whose_columns_are_shifted_is_refused(tmp_path):
    (tmp_path / "truth.csv").write_text("treatment,gene_symbol,nM_value\nx,A,3.5,\ny,B,10,\n")
    with pytest.raises(TableError, match="another number of cells than the header"):
        read_truth(tmp_path / "truth.csv")
    (tmp_path / "truth.csv").write_text("treatment,gene_symbol,nM_value\nx,A,strong\n")
    with pytest.raises(TableError, match=r'truth\.csv, line 2: column "nM_value": "strong"'):
        read_truth(tmp_path / "truth.csv")


def test_a_gene_called_na_stays(tmp_path):
    (tmp_path / "t.csv").write_text("entity1,entity2\nNA,NAN\n")
    assert read_pairs(tmp_path / "t.csv").to_numpy().tolist() == [["NA", "NAN"]]


def test_a_cached_table_of_other_content_is_refused(tmp_path):
    path = cache_path("humap", tmp_path)
    path.write_text("entity1,entity2\nA,B\n")
    with pytest.raises(CorruptionError, match="not the catalogue's table humap"):
        read_pairs(path)


UNREADABLE = """
import os, sys
import phenoprints.cli.verify, phenoprints.cli.report, phenoprints.cli.explain
import phenoprints.cli.diff, phenoprints.cli.export_embeddings, phenoprints.cli.export_crate
from phenoprints.cli import main
os.setgid(1234); os.setuid(1234)
for words in (["verify", "r"], ["report", "r"], ["explain", "results/r/config.json"],
              ["export-embeddings", "r", "s", "e"], ["diff", "results/r/a", "results/r/a"]):
    assert main(words) == 2, words
"""


@pytest.mark.skipif(os.getuid() != 0, reason="gives up the rights of root")
def test_what_may_not_be_read_is_named_without_a_traceback(tmp_path):
    (tmp_path / "results/r/a").mkdir(parents=True)
    (tmp_path / "results/r/config.json").write_text("{}")
    (tmp_path / "results/r").chmod(0o700)
    for parent in [tmp_path, *list(tmp_path.parents)[:-2]]:
        parent.chmod(parent.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", UNREADABLE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("phenoprints ") == 5


def test_an_unexpected_error_is_called_a_defect(monkeypatch, capsys, tmp_path):
    import phenoprints.cli.verify as command

    def run(_):
        raise KeyError("x\x1b[2J")

    monkeypatch.setattr(command, "run", run)
    assert main(["verify", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "defect" in told
    assert "\x1b" not in told
    with pytest.raises(KeyError):
        main(["--debug", "verify", str(tmp_path)])
