"""Tables that are small on disk and would fill the memory are refused before they are read."""

from __future__ import annotations

from pathlib import Path

from phenoprints.foundations.errors import Problem, UnsafeInputError

MAX_RATIO = 200
"""Bytes of text per compressed byte: tables of wells and features stay below 30."""
MAX_ROWS_PER_BYTE = 20
"""Rows of a Parquet file per byte: a column that tells wells apart takes more than a bit each."""
ALWAYS_BYTES, ALWAYS_ROWS = 1 << 28, 10_000_000
"""What any table may have, however well it is compressed."""
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_BLOCK_BYTES = 1 << 20


def refuse_bomb(path: str | Path) -> None:
    """Raise UnsafeInputError for a table (CSV of any compression, Parquet) that is a bomb.

    Compressed text is decompressed once, up to the limit and block by block; of Parquet the
    footer is read. Files that are neither, or cannot be read, pass: their reader says why.
    """
    place = Path(path)
    size = place.stat().st_size
    suffix = place.suffix.lower()
    if suffix == ".parquet":
        rows, limit = _parquet_rows(place), max(ALWAYS_ROWS, MAX_ROWS_PER_BYTE * size)
        if rows > limit:
            _refuse(path, f"{size:,} bytes that would become {rows:,} rows", f"{limit:,}")
    elif suffix in COMPRESSED:
        limit = max(ALWAYS_BYTES, MAX_RATIO * size)
        if _decompresses_beyond(place, limit):
            _refuse(path, f"{size:,} bytes that would become more than {limit:,}", f"{limit:,}")


def _refuse(path: str | Path, what: str, most: str) -> None:
    fix = "decompress it where you trust it, and give that file"
    raise UnsafeInputError(str(Problem(str(path), what, f"at most {most}", fix)))


def _parquet_rows(path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowInvalid, OSError):
        return 0


def _decompresses_beyond(path: Path, limit: int) -> bool:
    import lzma

    import pyarrow as pa

    read = 0
    try:
        is_xz = path.suffix.lower() == ".xz"
        with lzma.open(path) if is_xz else pa.input_stream(str(path)) as stream:
            while read <= limit and (block := stream.read(_BLOCK_BYTES)):
                read += len(block)
    except (OSError, EOFError, ValueError, lzma.LZMAError):
        return False
    return read > limit
