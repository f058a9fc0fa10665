"""Chunks as other Zarr implementations write and read them: the same bytes, the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec

from phenoprints.embeddings.chunks import RowArray

SHAPES = [((10, 3), 4), ((7, 2, 3), 7), ((5,), 2)]


def rows(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Numbers of every size, a failed row among them."""
    values = np.random.default_rng(3).normal(0, 100, shape)
    if dtype.startswith("float"):
        values[1] = np.nan
    return np.abs(values).astype(dtype) if dtype == "uint64" else values.astype(dtype)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / "c").rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint64"])
@pytest.mark.parametrize(("shape", "chunk_rows"), SHAPES)
def test_chunks_are_the_bytes_of_zarr_python(
    tmp_path: Path, shape: tuple[int, ...], chunk_rows: int, dtype: str
) -> None:
    values = rows(shape, dtype)
    ours = RowArray(tmp_path / "ours", shape, chunk_rows, np.dtype(dtype))
    ours.describe()
    ours.write(0, values)
    theirs = zarr.create_array(
        tmp_path / "theirs", shape=shape, chunks=(chunk_rows, *shape[1:]), dtype=dtype,
        fill_value=np.nan if dtype.startswith("float") else 0, serializer=BytesCodec(),
        filters=(), compressors=[Crc32cCodec()], config={"write_empty_chunks": True},
    )  # fmt: skip
    theirs[:] = values

    assert files(tmp_path / "ours") == files(tmp_path / "theirs")
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "ours", mode="r")[:], values)


@pytest.mark.parametrize(("shape", "chunk_rows"), SHAPES)
def test_tensorstore_reads_and_writes_the_same(
    tmp_path: Path, shape: tuple[int, ...], chunk_rows: int
) -> None:
    values = rows(shape, "float32")
    ours = RowArray(tmp_path / "ours", shape, chunk_rows, np.dtype("float32"))
    ours.describe()
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path / 'ours'}/"}}
    theirs = tensorstore.open({**spec, "store_data_equal_to_fill_value": True}, open=True).result()
    theirs.write(values).result()
    written = files(tmp_path / "ours")

    np.testing.assert_array_equal(ours.read(), values)
    ours.write(0, values)

    assert files(tmp_path / "ours") == written
    np.testing.assert_array_equal(theirs.read().result(), values)
