"""Rows of a Parquet file by their numbers, and files that cannot be read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoprints.foundations.errors import CorruptionError, MissingInputError, TableError
from phenoprints.foundations.parquet import TableReader


@pytest.fixture
def path(tmp_path):
    table = pa.table({"a": np.arange(23), "b": ["x"] * 23})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=5, write_page_checksum=True)
    return tmp_path / "t.parquet"


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 23), (4, 5), (5, 10), (9, 21), (22, 23), (7, 7), (0, 0), (23, 23)]
)
def test_rows_are_read_by_their_numbers(path, start, stop):
    reader = TableReader(path, ["a"])
    assert reader.read(start, stop)["a"].to_pylist() == list(range(start, stop))
    assert len(reader) == 23
    assert reader.read()["a"].to_pylist() == list(range(23))


@pytest.mark.parametrize("num_rows", [1, 5, 7, 100])
def test_batches_hold_every_row_once(path, num_rows):
    batches = list(TableReader(path, ["a"]).batches(num_rows))
    assert pa.concat_tables(batches)["a"].to_pylist() == list(range(23))
    assert max(map(len, batches)) <= num_rows


def test_texts_are_dictionaries(path):
    table = TableReader(path, ["b"], texts=["b"]).read(3, 4)
    assert pa.types.is_dictionary(table["b"].type)


def test_files_that_cannot_be_read_are_named(path):
    with pytest.raises(MissingInputError, match=r"no\.parquet: the table is not there"):
        TableReader(path.with_name("no.parquet"), ["a"])
    with pytest.raises(TableError, match='column "c" is missing'):
        TableReader(path, ["a", "c"])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptionError, match=r"t\.parquet: this table cannot be read[\s\S]*fix"):
        TableReader(path, ["a"])


def test_a_flipped_bit_is_named(path):
    content = bytearray(path.read_bytes())
    reader = TableReader(path, ["a"])
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptionError, match=r"t\.parquet: this table cannot be read"):
        reader.read()
