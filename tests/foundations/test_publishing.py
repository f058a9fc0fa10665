"""Every output appears whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import pandas as pd
import pytest

from phenoprints.foundations.fingerprints import file_sha256
from phenoprints.foundations.publishing import (
    HOST,
    abandoned,
    publish_bytes,
    publish_json,
    publish_table,
    published,
    published_folder,
)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def stop_half_way(path):
    with published(path) as partial:
        partial.write_bytes(b"half of the n")
        raise RuntimeError("stopped")


def write_folder(path, content, error=None):
    with published_folder(path) as partial:
        for name in content:
            (partial / name).write_text(name)
        if error:
            raise error


def test_a_failed_writer_leaves_the_old_content_and_no_trace(tmp_path):
    publish_bytes(tmp_path / "a", b"old")
    with pytest.raises(RuntimeError, match="stopped"):
        stop_half_way(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_writer_that_wrote_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), published(tmp_path / "a"):
        pass
    assert names(tmp_path) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for content in (["one", "two"], ["three"]):
        write_folder(tmp_path / "folder", content)
        assert names(tmp_path / "folder") == sorted(content)
    assert names(tmp_path) == ["folder"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    write_folder(tmp_path / "folder", ["one"])
    with pytest.raises(RuntimeError, match="no"):
        write_folder(tmp_path / "folder", ["two"], RuntimeError("no"))
    assert names(tmp_path / "folder") == ["one"]
    assert names(tmp_path) == ["folder"]


def test_published_files_follow_the_umask(tmp_path):
    old = os.umask(0o022)
    try:
        publish_json(tmp_path / "a.json", {"b": 1})
    finally:
        os.umask(old)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


def write_many(path, letter):
    for _ in range(30):
        publish_bytes(path, letter * 100_000)


def test_two_writers_never_mix(tmp_path):
    path = tmp_path / "a"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(path, letter)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            assert path.read_bytes() in (b"a" * 100_000, b"b" * 100_000)
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert names(tmp_path) == ["a"]


def test_equal_tables_give_equal_bytes(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    publish_table(tmp_path / "1.parquet", table)
    publish_table(tmp_path / "2.parquet", table.copy())
    assert file_sha256(tmp_path / "1.parquet") == file_sha256(tmp_path / "2.parquet")


def test_only_what_a_finished_process_left_is_abandoned(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = {
        "mine": f".a.{HOST}.{os.getpid()}.00000000.partial",
        "gone": f".a.{HOST}.{gone.pid}.00000000.partial",
        "elsewhere": f".a.01234567.{gone.pid}.00000000.partial",
        "old": f".a.01234567.{gone.pid}.11111111.partial",
    }
    for name in names.values():
        (tmp_path / name).touch()
    os.utime(tmp_path / names["old"], (0, 0))
    assert {path.name for path in abandoned(tmp_path)} == {names["gone"], names["old"]}
