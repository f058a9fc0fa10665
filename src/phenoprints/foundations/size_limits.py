"""Tables that are small on disk and would fill the memory are refused before they are read."""

from __future__ import annotations

import math
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phenoprints.foundations.errors import Problem, UnsafeInputError

MAX_RATIO = 200
"""Bytes of text per compressed byte: tables of wells and features stay below 30."""
MAX_ROWS_PER_BYTE = 20
"""Rows of a Parquet file per byte: a column that tells wells apart takes more than a bit each."""
MAX_ROW_BYTES = 256
"""Bytes of a row of Parquet however well they are compressed: what names a well takes less."""
ALWAYS_BYTES, ALWAYS_ROWS = 1 << 28, 10_000_000
"""What any table may have, however well it is compressed."""
COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
ARCHIVES = (".zip", ".tar", ".tgz")
_BLOCK_BYTES = 1 << 20
_BATCH_ROWS = 1 << 17


def check_decompressed_size(path: str | Path, columns: Sequence[str] | None = None) -> None:
    """Raise UnsafeInputError for a table (CSV of any compression, Parquet) that is a bomb.

    Compressed text is decompressed once, up to the limit and block by block. Of Parquet the footer
    is read, and where it leaves room for doubt the lengths of the texts of `columns` (None for
    all), which stay as short as they are stored. Files that are neither, or cannot be read, pass:
    their reader says why. Archives of several files are refused.
    """
    place = Path(path)
    size = regular_size(place)
    suffix = place.suffix.lower()
    if {suffix, *(part.lower() for part in place.suffixes[-2:])} & set(ARCHIVES):
        fix = "unpack it, and give the file that it holds"
        raise UnsafeInputError(str(Problem(str(path), "an archive", "one table a file", fix)))
    if suffix == ".parquet":
        _judge_parquet(place, size, columns)
    elif suffix in COMPRESSED:
        limit = max(ALWAYS_BYTES, MAX_RATIO * size)
        if _decompresses_beyond(place, COMPRESSED[suffix], limit):
            _refuse(path, f"{size:,} bytes that would become more than {limit:,}", f"{limit:,}")


def regular_size(path: str | Path) -> int:
    """Return the bytes of a file; UnsafeInputError for a pipe, socket or device.

    Whoever opens a named pipe waits until another process writes to it, possibly for ever.
    """
    found = Path(path).stat()
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        what = "not a regular file, but a pipe, a socket or a device"
        fix = "replace it by a file, or correct the path that names it"
        raise UnsafeInputError(str(Problem(str(path), what, "a regular file", fix)))
    return found.st_size


@contextmanager
def memory_errors(path: str | Path) -> Iterator[None]:
    """Raise UnsafeInputError where reading a file in the block asks for more than the memory."""
    try:
        yield
    except MemoryError as error:
        what = f"it needs more memory than there is ({str(error)[:200]})"
        fix = "give the job more memory where you trust the file, or split it"
        raise UnsafeInputError(str(Problem(str(path), what, "a file that fits", fix))) from error


def refuse_large_array(path: str | Path, shape: Sequence[int], itemsize: int) -> None:
    """Raise UnsafeInputError for an array that would have many more bytes than its file."""
    size = Path(path).stat().st_size
    decoded, limit = math.prod(shape) * itemsize, max(ALWAYS_BYTES, MAX_RATIO * size)
    if decoded > limit:
        _refuse(path, f"{size:,} bytes that would become {decoded:,}", f"{limit:,}")


def _refuse(path: str | Path, what: str, most: str) -> None:
    fix = "write it without compression where you trust it, and give that file"
    raise UnsafeInputError(str(Problem(str(path), what, f"at most {most}", fix)))


def _judge_parquet(path: Path, size: int, columns: Sequence[str] | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return
    most = max(ALWAYS_ROWS, MAX_ROWS_PER_BYTE * size)
    if metadata.num_rows > most:
        what = f"{size:,} bytes that would become {metadata.num_rows:,} rows"
        _refuse(path, what, f"{most:,}")
    limit = max(ALWAYS_BYTES, MAX_RATIO * size, MAX_ROW_BYTES * metadata.num_rows)
    if _decodes_beyond(path, metadata, columns, limit):
        _refuse(path, f"{size:,} bytes that would become more than {limit:,}", f"{limit:,}")


def _decodes_beyond(path: Path, metadata: Any, columns: Sequence[str] | None, limit: int) -> bool:
    """Whether the columns of a Parquet file have more than `limit` bytes when they are decoded."""
    decoded, most = 0, 0
    texts: dict[str, int] = {}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for at in range(group.num_columns):
            chunk = group.column(at)
            if columns is not None and chunk.path_in_schema.partition(".")[0] not in columns:
                continue
            width = _WIDTHS.get(chunk.physical_type, metadata.schema.column(at).length)
            decoded += max(chunk.num_values * width, chunk.total_uncompressed_size)
            if chunk.physical_type == "BYTE_ARRAY" and _repeats(chunk):
                name, longest = chunk.path_in_schema, chunk.total_uncompressed_size
                texts[name] = max(texts.get(name, 1), longest)
                most += chunk.num_values * longest
    if decoded > limit or decoded + most <= limit:
        return decoded > limit
    return _texts_beyond(path, texts, limit - decoded)


_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8,
           "BYTE_ARRAY": 4}  # fmt: skip
"""Bytes of a decoded value, of texts those beside their letters; the rest have their own length."""


def _repeats(chunk: Any) -> bool:
    """Whether texts may take fewer bytes in a column chunk than they have."""
    return any("DICT" in name or name == "DELTA_BYTE_ARRAY" for name in chunk.encodings)


def _texts_beyond(path: Path, longest: Mapping[str, int], limit: int) -> bool:
    """Whether texts have more than `limit` bytes.

    They are read as codes of a dictionary, which stay short; where a file's encoding has none, as
    they are, as few at once as their longest (by column) allows.
    """
    import pyarrow as pa

    left = limit
    for name, text_bytes in longest.items():
        try:
            left -= _texts_bytes(path, name, _BATCH_ROWS, left, as_codes=True)
        except (pa.ArrowException, OSError):
            rows = max(1, min(_BATCH_ROWS, limit // text_bytes))
            try:
                left -= _texts_bytes(path, name, rows, left, as_codes=False)
            except (pa.ArrowInvalid, OSError):
                continue
            except MemoryError:
                return True
        if left < 0:
            return True
    return False


def _texts_bytes(path: Path, name: str, rows: int, most: int, *, as_codes: bool) -> int:
    """Return the bytes of the texts of a column, counted until there are more than `most`."""
    import pyarrow.parquet as pq

    counted = 0
    with pq.ParquetFile(path, read_dictionary=[name] if as_codes else None) as file:
        for batch in file.iter_batches(rows, columns=[name], use_threads=False):
            counted += sum(map(_text_bytes, batch.columns))
            if counted > most:
                break
    return counted


def _text_bytes(values: Any) -> int:
    """Return bytes of all texts of an Arrow array, those of a dictionary as often as they stand."""
    import pyarrow as pa
    import pyarrow.compute as pc

    while pa.types.is_nested(values.type):
        values = values.field(0) if pa.types.is_struct(values.type) else values.flatten()
    if pa.types.is_dictionary(values.type):
        lengths = pc.take(pc.binary_length(values.dictionary), values.indices)
    else:
        lengths = pc.binary_length(values)
    return int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)


def _decompresses_beyond(path: Path, compression: str, limit: int) -> bool:
    import lzma

    import pyarrow as pa

    read = 0
    try:
        is_xz = compression == "xz"
        with (
            lzma.open(path) if is_xz else pa.input_stream(str(path), compression=compression)
        ) as stream:
            while read <= limit and (block := stream.read(_BLOCK_BYTES)):
                read += len(block)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return False
    return read > limit
