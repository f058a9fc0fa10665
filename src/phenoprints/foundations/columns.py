"""Columns of millions of rows in few bytes: names as numbers, texts without objects."""

# n rows

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled

FNV_OFFSET, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


@dataclass(frozen=True)
class Names:
    """A column of few distinct names: `column[rows]` gives the names of some rows.

    `codes` (n,) are places in `names`, which are sorted and distinct.
    """

    codes: NDArray[np.int32]
    names: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> NDArray[np.str_]:
        found: NDArray[np.str_] = self.names[self.codes[rows]]
        return found

    def take(self, rows: NDArray[np.int64]) -> Names:
        """Return the column of some of the rows."""
        return Names(self.codes[rows], self.names)

    def is_in(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether each row has one of the names."""
        return np.asarray(np.isin(self.names, list(names))[self.codes], dtype=np.bool_)

    def groups(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the rows by name, in the order of the names."""
        codes = self.codes[rows]
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order])) + 1
        return [rows[part] for part in np.split(order, starts) if len(part)]


class NamesBuilder:
    """Collects a column of names piece by piece."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._pieces: list[NDArray[np.int32]] = []

    def add(self, values: pa.Array | pa.ChunkedArray) -> None:
        """Append a piece of text; a missing name is the empty one."""
        encoded = pc.fill_null(values.cast(pa.string()), "").dictionary_encode()
        for chunk in getattr(encoded, "chunks", [encoded]):
            numbers = [
                self._numbers.setdefault(name, len(self._numbers))
                for name in chunk.dictionary.to_pylist()
            ]
            codes = chunk.indices.to_numpy(zero_copy_only=False)
            self._pieces.append(np.array(numbers, dtype=np.int32)[codes])

    def finish(self) -> Names:
        """Return the whole column."""
        names = np.array(list(self._numbers), dtype=np.str_)
        order = np.argsort(names, kind="stable")
        place = np.empty(len(names), dtype=np.int32)
        place[order] = np.arange(len(names), dtype=np.int32)
        return Names(place[joined(self._pieces, np.int32)], names[order])


class Texts(Sequence[str]):
    """A column of texts, most of them different, in an order of its own.

    Parameters
    ----------
    pieces
        Arrow arrays of text, one after the other.
    order
        For each row of the column its place in them.
    """

    def __init__(self, pieces: Sequence[pa.Array], order: NDArray[np.int64]) -> None:
        self._pieces, self._order = list(pieces), order
        self._starts = np.cumsum([0, *(len(piece) for piece in pieces)])

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...
    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            return Texts(self._pieces, self._order[row])
        return self._at(int(self._order[row]))

    def __iter__(self) -> Iterator[str]:
        return map(self._at, self._order.tolist())

    def _at(self, place: int) -> str:
        piece = int(np.searchsorted(self._starts, place, side="right")) - 1
        return str(self._pieces[piece][place - int(self._starts[piece])].as_py())

    def pieces(self, values: NDArray[Any]) -> Iterator[tuple[pa.Array, NDArray[Any]]]:
        """Yield the Arrow arrays as they are, each with the values (one per row) of its texts.

        Texts without a row have the value 0.
        """
        placed = np.zeros(int(self._starts[-1]), dtype=values.dtype)
        placed[self._order] = values
        return zip(self._pieces, np.split(placed, self._starts[1:-1]), strict=True)

    def keys(self) -> NDArray[np.uint64]:
        """Return 64 bits for each text, equal for equal texts."""
        return np.asarray(joined(map(text_keys, self._pieces), np.uint64)[self._order])


def joined(pieces: Iterable[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """Return the pieces one after the other; empty without any."""
    return np.concatenate([np.empty(0, dtype), *pieces], dtype=dtype)


def text_keys(texts: pa.Array) -> NDArray[np.uint64]:
    """Return 64 bits for each text, the same for equal ones; there must be no nulls."""
    large = texts.cast(pa.large_string())
    _, offsets, data = large.buffers()
    if not len(large):
        return np.empty(0, np.uint64)
    ends = np.frombuffer(offsets, np.int64)[large.offset : large.offset + len(large) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return _hashed(ends, content)


@compiled()
def _hashed(ends: NDArray[np.int64], content: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """FNV-1a of the bytes of each text. Source: Fowler, Noll and Vo, RFC 9923."""
    keys = np.empty(len(ends) - 1, dtype=np.uint64)
    for row in range(len(keys)):
        key = FNV_OFFSET
        for at in range(ends[row], ends[row + 1]):
            key = (key ^ np.uint64(content[at])) * FNV_PRIME
        keys[row] = key
    return keys
