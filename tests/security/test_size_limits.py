"""Tables that are small on disk and would fill the memory are refused by name."""

from __future__ import annotations

import bz2
import gzip
import lzma

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoprints.annotation import tables as annotation
from phenoprints.embeddings.feature_selection import FeatureRules
from phenoprints.embeddings.vector_keys import KeyColumns
from phenoprints.embeddings.vector_tables import read_vectors
from phenoprints.foundations import size_limits
from phenoprints.foundations.errors import TableError, UnsafeInputError
from phenoprints.foundations.table_files import read_names as read_table

ZEROS = b"well,drug\n" + b"0,0\n" * 500_000
PACKED = {
    "a.csv.gz": gzip.compress(ZEROS),
    "a.csv.bz2": bz2.compress(ZEROS),
    "a.csv.xz": lzma.compress(ZEROS),
    "a.csv.zst": pa.compress(ZEROS, "zstd", asbytes=True),
    "a.csv.GZ": gzip.compress(ZEROS),
    "a.csv.BZ2": bz2.compress(ZEROS),
    "a.csv.Xz": lzma.compress(ZEROS),
    "parts.csv.gz": gzip.compress(b"well,drug\n") + gzip.compress(ZEROS),
}


@pytest.fixture
def small(monkeypatch):
    """Limits that a test can pass in no time."""
    monkeypatch.setattr(size_limits, "ALWAYS_BYTES", 1 << 20)
    monkeypatch.setattr(size_limits, "ALWAYS_ROWS", 1000)


KEYS = KeyColumns({"well": "well", "plate": {"value": "p"}})


def readers(path):
    yield lambda: read_table(path)
    yield lambda: read_vectors([path], KEYS, rules=FeatureRules(features=["drug"]))
    yield lambda: annotation.read_table(path)


@pytest.mark.parametrize("name", PACKED)
def test_compressed_text_that_would_grow_a_thousandfold_is_refused(tmp_path, small, name):
    (tmp_path / name).write_bytes(PACKED[name])
    for read in readers(tmp_path / name):
        with pytest.raises(UnsafeInputError, match=rf"{name}: [\d,]+ bytes that would become more"):
            read()


def test_a_parquet_file_of_one_value_in_many_rows_is_refused(tmp_path, small):
    column = pa.array([0] * 2_000_000).dictionary_encode()
    pq.write_table(pa.table({"well": column}), tmp_path / "a.parquet", row_group_size=2_000_000)
    assert (tmp_path / "a.parquet").stat().st_size < 20_000
    for read in readers(tmp_path / "a.parquet"):
        with pytest.raises(UnsafeInputError, match=r"would become 2,000,000 rows"):
            read()


def repeated(path, value, num, **options):
    """A Parquet file whose column `well` has one value in all rows, `jp2` in those of images."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * num, pa.int32()), pa.array([value]))
    pq.write_table(pa.table({"well": column}), path, compression="zstd", **options)
    return path


@pytest.mark.parametrize("options", [{}, {"row_group_size": 100}])
def test_a_long_text_in_many_rows_of_parquet_is_refused(tmp_path, small, options):
    path = repeated(tmp_path / "a.parquet", "x" * 100_000, 3_000, **options)
    assert path.stat().st_size < 20_000
    for read in readers(path):
        with pytest.raises(UnsafeInputError, match=r"a\.parquet: [\d,]+ bytes that would become"):
            read()


def test_texts_that_begin_like_the_one_before_are_counted_whole(tmp_path, small):
    values = ["x" * 20_000 + str(i) for i in range(2_000)]
    pq.write_table(
        pa.table({"well": values}), tmp_path / "a.parquet", compression="zstd",
        use_dictionary=False, column_encoding={"well": "DELTA_BYTE_ARRAY"},
    )  # fmt: skip
    for read in readers(tmp_path / "a.parquet"):
        with pytest.raises(UnsafeInputError, match="would become more than"):
            read()


def test_texts_in_lists_of_structs_are_counted(tmp_path, small):
    structs = [[{"drug": "x" * 10_000, "dose": 1.0}]] * 900
    pq.write_table(pa.table({"drugs": structs}), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(UnsafeInputError, match="would become more than"):
        read_table(tmp_path / "a.parquet")


def test_columns_of_zeros_are_counted(tmp_path, small):
    zeros = pa.array(np.zeros(50_000))
    table = pa.table({f"f{i}": zeros for i in range(100)})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(UnsafeInputError, match="would become more than"):
        read_table(tmp_path / "a.parquet")
    assert len(read_table(tmp_path / "a.parquet", columns=["f1"])) == 50_000


def test_only_the_columns_that_are_read_are_judged(tmp_path, small):
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 900, pa.int32()), pa.array(["x" * 10_000]))
    table = pa.table({"note": long, "well": [f"A{i}" for i in range(900)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    assert len(read_table(tmp_path / "a.parquet", columns=["well"])) == 900
    with pytest.raises(UnsafeInputError, match="would become more than"):
        read_table(tmp_path / "a.parquet", columns=["note"])


@pytest.mark.parametrize("columns", [["well", "drug"], ["drug"]])
def test_names_that_stand_in_many_rows_pass(tmp_path, small, columns):
    names = [f"drug-{i % 7}" for i in range(100_000)]
    wells = [f"well-{i}" for i in range(100_000)]
    pq.write_table(pa.table({"well": wells, "drug": names}), tmp_path / "a.parquet")
    assert len(read_table(tmp_path / "a.parquet", columns=columns)) == 100_000


def test_a_table_that_does_not_fit_is_told_by_our_error(tmp_path, monkeypatch):
    def full(*_, **__):
        raise pa.ArrowMemoryError("malloc of size 100000000000 failed")

    pq.write_table(pa.table({"well": ["A01"], "drug": [1]}), tmp_path / "a.parquet")
    monkeypatch.setattr(pq, "read_table", full)
    monkeypatch.setattr(pd, "read_parquet", full)
    for read in readers(tmp_path / "a.parquet"):
        with pytest.raises(UnsafeInputError, match=r"more memory than there is \(malloc of size 1"):
            read()


@pytest.mark.parametrize("name", ["a.csv.zip", "a.csv.ZIP", "a.tar", "a.tar.gz", "a.csv.tgz"])
def test_archives_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    for read in readers(tmp_path / name):
        with pytest.raises(UnsafeInputError, match=r"an archive\n  Expected one table a file"):
            read()


def test_usual_tables_pass(tmp_path, small):
    lines = "".join(f"A{i},drug-{i % 7}\n" for i in range(100_000))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"well,drug\n{lines}".encode()))
    assert len(read_table(tmp_path / "a.csv.gz")) == 100_000


def test_what_is_not_what_its_name_says_is_told_by_its_reader(tmp_path):
    for name in [*PACKED, "a.parquet"]:
        (tmp_path / name).write_bytes(b"no archive")
        with pytest.raises(TableError, match="cannot be read"):
            read_table(tmp_path / name)
