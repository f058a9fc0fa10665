"""Arrays of vectors that would fill the memory are refused before any of their values is read."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pandas as pd
import pytest

from phenoprints.embeddings import vector_arrays
from phenoprints.embeddings.vector_keys import KeyColumns
from phenoprints.embeddings.vector_tables import read_vectors
from phenoprints.foundations.errors import CorruptionError, TableError, UnsafeInputError

ROWS = 1000


@pytest.fixture
def read(tmp_path):
    """Read the array `x` with a table of a thousand wells."""
    table = tmp_path / "rows.csv"
    pd.DataFrame({"well_id": range(ROWS)}).to_csv(table, index=False)

    def read(name: str = "x") -> np.ndarray:
        return read_vectors([tmp_path / name], KeyColumns({}), row_tables=[table]).vectors

    return read


def zarr_v2(place, shape, chunks, dtype="<f4"):
    place.mkdir()
    array = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "filters": None,
             "compressor": {"id": "zlib", "level": 9}, "fill_value": 0, "order": "C"}  # fmt: skip
    (place / ".zarray").write_text(json.dumps(array))


def zarr_v3(place, shape, chunks):
    place.mkdir()
    array = {"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "float32",
             "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
             "chunk_key_encoding": {"name": "default"}, "fill_value": 0, "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "gzip", "configuration": {"level": 9}}], "attributes": {}}  # fmt: skip
    (place / "zarr.json").write_text(json.dumps(array))


@pytest.mark.parametrize("write", [zarr_v2, zarr_v3])
@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ([ROWS, 100_000], [ROWS, 100_000]),  # 400 MB
        ([ROWS, 10], [ROWS, 10_000_000]),
        ([ROWS, 10], [10_000_000, 10]),
        ([ROWS, 10_000_000], [1, 1]),
    ],
)
def test_vectors_that_would_fill_the_memory_are_refused(tmp_path, read, write, shape, chunks):
    write(tmp_path / "x", shape, chunks)
    with pytest.raises(UnsafeInputError, match=r"x: vectors of shape \(1000, \d+\) in chunks of"):
        read()


@pytest.mark.parametrize("write", [zarr_v2, zarr_v3])
def test_vectors_of_more_rows_than_wells_are_refused_unread(tmp_path, read, write):
    write(tmp_path / "x", [1_000_000, 100_000], [1_000_000, 100_000])
    with pytest.raises(TableError, match=r"rows\.csv: 1000 rows for the 1000000 vectors of"):
        read()


def test_a_chunk_that_is_longer_than_its_vectors_is_not_inflated(tmp_path, read):
    zarr_v2(tmp_path / "x", [ROWS, 4], [ROWS, 4])
    (tmp_path / "x/0.0").write_bytes(zlib.compress(bytes(64 << 20), 9))
    with pytest.raises(CorruptionError, match="End of data expected"):
        read()


def test_a_file_of_holes_is_refused(tmp_path, read):
    header = {"descr": "<f4", "fortran_order": False, "shape": (ROWS, 1_000_000)}
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 4 * ROWS * 1_000_000)
    with pytest.raises(UnsafeInputError, match="at most 100,000 features"):
        read("x.npy")


def test_vectors_that_do_not_fit_are_told_by_our_error(tmp_path, read, monkeypatch):
    def full(*_):
        raise MemoryError("Unable to allocate 1 TiB")

    zarr_v2(tmp_path / "x", [ROWS, 4], [ROWS, 4])
    monkeypatch.setattr(vector_arrays, "_read", full)
    with pytest.raises(UnsafeInputError, match=r"more memory than there is \(Unable to allocate"):
        read()


def test_usual_vectors_pass(tmp_path, read):
    zarr_v3(tmp_path / "x", [ROWS, 40], [4096, 512])
    vectors = np.ones((4096, 512), np.float32)
    packer = zlib.compressobj(wbits=31)
    (tmp_path / "x/c/0").mkdir(parents=True)
    (tmp_path / "x/c/0/0").write_bytes(packer.compress(vectors.tobytes()) + packer.flush())
    assert (read() == 1).all()
    assert read().shape == (ROWS, 40)
