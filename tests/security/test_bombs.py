"""Tables that are small on disk and would fill the memory are refused by name."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoprints.embeddings.vector_tables import KeyColumns, read_vectors
from phenoprints.foundations import bombs
from phenoprints.foundations.errors import TableError, UnsafeInputError
from phenoprints.screens.tables import read_table

ZEROS = b"well,drug\n" + b"0,0\n" * 500_000
PACKED = {
    "a.csv.gz": gzip.compress(ZEROS),
    "a.csv.bz2": bz2.compress(ZEROS),
    "a.csv.xz": lzma.compress(ZEROS),
    "a.csv.zst": pa.compress(ZEROS, "zstd", asbytes=True),
}


@pytest.fixture
def small(monkeypatch):
    """Limits that a test can pass in no time."""
    monkeypatch.setattr(bombs, "ALWAYS_BYTES", 1 << 20)
    monkeypatch.setattr(bombs, "ALWAYS_ROWS", 1000)


def readers(path):
    yield lambda: read_table(path)
    yield lambda: read_vectors([path], KeyColumns({"well": "well"}), features=["drug"])


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


def test_usual_tables_pass(tmp_path, small):
    lines = "".join(f"A{i},drug-{i % 7}\n" for i in range(100_000))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"well,drug\n{lines}".encode()))
    assert len(read_table(tmp_path / "a.csv.gz")) == 100_000


def test_what_is_not_what_its_name_says_is_told_by_its_reader(tmp_path):
    for name in [*PACKED, "a.parquet"]:
        (tmp_path / name).write_bytes(b"no archive")
        with pytest.raises(TableError, match="cannot be read"):
            read_table(tmp_path / name)
