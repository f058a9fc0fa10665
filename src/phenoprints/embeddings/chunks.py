"""Arrays of a Zarr v3 group as files: whole rows, little-endian, a crc32c after every chunk."""

# n rows of an array · D … values of a row

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Self

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.errors import CorruptionError
from phenoprints.foundations.publishing import abandoned, publish_json, published

AXES = {1: ("feature",), 2: ("block", "feature"), 3: ("site", "crop", "feature")}
CODECS: list[dict[str, Any]] = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "crc32c"},
]
"""Compression gains 8 % on embeddings and costs more than it gains."""
CRC_BYTES = 4


@dataclass(frozen=True)
class RowArray:
    """A Zarr v3 array whose chunks are whole rows, each a file of its own.

    Attributes
    ----------
    path
        Its folder.
    shape
        n, and the shape of a row.
    chunk_rows
        Rows of a chunk; the last one is filled up, as Zarr wants it.
    dtype
        float32, float16 or uint64.
    """

    path: Path
    shape: tuple[int, ...]
    chunk_rows: int
    dtype: np.dtype[Any]

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Return the array that is described at `path`; CorruptionError for any
        other description.
        """
        place = Path(path) / "zarr.json"
        try:
            found = json.loads(place.read_bytes())
            array = cls(
                Path(path),
                tuple(found["shape"]),
                int(found["chunk_grid"]["configuration"]["chunk_shape"][0]),
                np.dtype(found["data_type"]),
            )
            known = array.description()
            unlike = [key for key in ("chunk_grid", "codecs") if found[key] != known[key]]
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise CorruptionError(
                f"{place}: not the description of an array ({error!r})"
            ) from error
        if unlike:
            raise CorruptionError(f"{place}: another {' and '.join(unlike)} than was written")
        return array

    def description(self) -> dict[str, Any]:
        """Return the array's zarr.json."""
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [self.chunk_rows, *self.shape[1:]]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0 if self.dtype.kind == "u" else "NaN",
            "codecs": CODECS,
            "attributes": {},
            "dimension_names": ["well", *AXES.get(len(self.shape) - 1, ())],
            "storage_transformers": [],
        }

    def describe(self) -> None:
        """Publish the description, unless it stands there already."""
        place = self.path / "zarr.json"
        _remove_unfinished(self.path)
        try:
            if json.loads(place.read_bytes()) == self.description():
                return
        except (OSError, ValueError):
            pass
        publish_json(place, self.description())

    def chunk_file(self, index: int) -> Path:
        """Return the file of a chunk."""
        return self.path / "c" / Path(str(index), *["0"] * (len(self.shape) - 1))

    def files(self, rows: slice) -> list[Path]:
        """Return the files that hold these rows (`start` to `stop`), in their order."""
        last = math.ceil(rows.stop / self.chunk_rows)
        return [self.chunk_file(index) for index in range(rows.start // self.chunk_rows, last)]

    def write(self, start: int, values: NDArray[Any]) -> None:
        """Write whole chunks from row `start`, each synced and renamed into its place.

        The caller sees to it that `start` begins a chunk, and that the values end one or the array.
        """
        rows = np.ascontiguousarray(values, self.dtype)
        for at in range(0, len(rows), self.chunk_rows):
            chunk = rows[at : at + self.chunk_rows]
            file = self.chunk_file((start + at) // self.chunk_rows)
            _remove_unfinished(file.parent)
            with published(file) as partial, FileIO(partial, "w") as stream:
                for part in self._encoded(chunk):
                    _write_all(stream, part)

    def _encoded(self, chunk: NDArray[Any]) -> Iterator[memoryview]:
        """Yield the rows, what fills the chunk up, and the checksum of both."""
        filling = self._filling(len(chunk))
        crc = google_crc32c.value(_bytes(chunk))
        if len(filling):
            crc = google_crc32c.extend(crc, _bytes(filling))
        yield _bytes(chunk).data
        yield _bytes(filling).data
        yield memoryview(crc.to_bytes(CRC_BYTES, "little"))

    def _filling(self, num_rows: int) -> NDArray[Any]:
        shape = (self.chunk_rows - num_rows, *self.shape[1:])
        return np.full(shape, 0 if self.dtype.kind == "u" else np.nan, self.dtype)

    def read(self, rows: slice = slice(None)) -> NDArray[Any]:
        """Rows of the array, every checksum of their chunks tested.

        A chunk that is missing, cut or altered is a CorruptionError that names its file.
        """
        start, stop, _ = rows.indices(self.shape[0])
        values: NDArray[Any] = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        first = start // self.chunk_rows
        for index, file in enumerate(self.files(slice(start, stop)), first):
            if stop <= start:
                break
            at = index * self.chunk_rows
            end = min(at + self.chunk_rows, self.shape[0])
            if start <= at and end <= stop:
                self._read_chunk(file, values[at - start : end - start])
                continue
            whole = np.empty((end - at, *self.shape[1:]), self.dtype)
            self._read_chunk(file, whole)
            low, high = max(start, at), min(stop, end)
            values[low - start : high - start] = whole[low - at : high - at]
        return values

    def _read_chunk(self, file: Path, into: NDArray[Any]) -> None:
        """Read a chunk straight into the rows of the result."""
        rest = np.empty(self._filling_bytes(len(into)) + CRC_BYTES, np.uint8)
        try:
            with FileIO(file) as stream:
                size = os.fstat(stream.fileno()).st_size
                if size != into.nbytes + len(rest):
                    expected = into.nbytes + len(rest)
                    raise CorruptionError(f"{file}: it has {size:,} bytes; expected {expected:,}")
                for part in (_bytes(into), rest):
                    _read_all(stream, part.data)
        except FileNotFoundError as error:
            raise CorruptionError(f"{file}: it is missing") from error
        crc = google_crc32c.value(_bytes(into))
        if len(rest) > CRC_BYTES:
            crc = google_crc32c.extend(crc, rest[:-CRC_BYTES])
        if crc != int.from_bytes(rest[-CRC_BYTES:].tobytes(), "little"):
            raise CorruptionError(f"{file}: its bytes do not match their crc32c")

    def _filling_bytes(self, num_rows: int) -> int:
        return (self.chunk_rows - num_rows) * math.prod(self.shape[1:]) * self.dtype.itemsize


def _remove_unfinished(folder: Path) -> None:
    """Remove what a killed job left: the group holds nothing but Zarr."""
    for entry in abandoned(folder):
        entry.unlink(missing_ok=True)


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return values.reshape(-1).view(np.uint8)


def _write_all(stream: FileIO, view: memoryview) -> None:
    while view.nbytes:
        view = view[stream.write(view) :]


def _read_all(stream: FileIO, view: memoryview) -> None:
    while view.nbytes:
        num = stream.readinto(view)
        if not num:
            raise CorruptionError(f"{stream.name!s}: it ended while it was read")
        view = view[num:]
