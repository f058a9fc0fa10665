"""Every output appears whole or not at all."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.errors import StorageError
from phenoprints.foundations.fingerprints import file_sha256
from phenoprints.foundations.publishing import (
    HOST,
    abandoned,
    publish_bytes,
    publish_json,
    publish_table,
    published,
    published_folder,
    sweep,
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


def write_folders(path, letter):
    for _ in range(40):
        write_folder(path, [letter, f"{letter}2"])


def test_two_writers_of_a_folder_never_mix(tmp_path):
    path = tmp_path / "a"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_folders, args=(path, letter)) for letter in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert names(path) in (["a", "a2"], ["b", "b2"])
    assert names(tmp_path) == ["a"]


def limited(path, size, action):
    """Run an action in a process that may not write files of more than `size` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        action(path)
    except StorageError as error:
        (path.parent / "told").write_text(str(error)[:size])


def write_weights(path):
    torch = pytest.importorskip("safetensors.numpy")
    with published(path) as partial:
        torch.save_file({"a": np.zeros(100_000)}, partial)


WRITERS = {
    "bytes": lambda path: publish_bytes(path, b"x" * 100_000),
    "a table": lambda path: publish_table(path, pd.DataFrame({"a": np.sqrt(np.arange(50_000))})),
    "a folder": lambda path: write_folder(path, ["x" * 200], OSError(errno.ENOSPC, "full")),
    "weights": write_weights,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_told_with_its_cure_and_leaves_the_old(tmp_path, kind):
    path = tmp_path / "a"
    write_folder(path, ["old"]) if kind == "a folder" else publish_bytes(path, b"old")
    context = multiprocessing.get_context("fork")
    process = context.Process(target=limited, args=(path, 4096, WRITERS[kind]))
    process.start()
    process.join()
    told = (tmp_path / "told").read_text()
    assert told.startswith(f"{path}: cannot be written: ")
    assert "and run the same command again; what is whole is kept." in told
    assert names(tmp_path) == ["a", "told"]
    assert names(path) == ["old"] if kind == "a folder" else path.read_bytes() == b"old"


def write_as_nobody(path):
    os.setgid(65534)
    os.setuid(65534)
    try:
        publish_bytes(path, b"new")
    except StorageError as error:
        os._exit(int("give yourself permission" in str(error)))


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody else")
def test_a_folder_that_cannot_be_written_is_told_with_its_cure(tmp_path):
    publish_bytes(tmp_path / "a", b"old")
    process = multiprocessing.get_context("fork").Process(
        target=write_as_nobody, args=(tmp_path / "a",)
    )
    process.start()
    process.join()
    assert process.exitcode == 1
    assert (tmp_path / "a").read_bytes() == b"old"


def test_an_error_of_reading_is_not_told_as_one_of_writing(tmp_path):
    with pytest.raises(PermissionError), published(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "no", "/elsewhere/in.parquet")


def test_what_a_killed_writer_left_is_swept_and_no_other(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, other = (f".{name}.{HOST}.{gone.pid}.00000000.partial" for name in ("a[1]", "a"))
    (tmp_path / left).mkdir()
    (tmp_path / other).touch()
    sweep(tmp_path / "a[1]")
    assert names(tmp_path) == [other]


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
