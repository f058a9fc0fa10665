"""The fate of every well in two curations, counted by pair of fates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from phenoprints.foundations.errors import CorruptionError

KEPT, ABSENT = "kept", "not there"
ROWS_AT_ONCE = 20_000_000
"""Wells that are compared at a time (about 16 bytes each on either side)."""

Ids = NDArray[np.uint64]


@dataclass(frozen=True, order=True)
class Transition:
    """How many wells had one fate before and another after; a fate is `kept` or `step: reason`."""

    before: str
    after: str
    wells: int


def transitions(first: Path, second: Path, *, rows_at_once: int = ROWS_AT_ONCE) -> list[Transition]:
    """Count wells by their reasons in two curation folders, sorted, unchanged wells included.

    Wells are compared in slices of their ids, which are hashes, so memory stays bounded for any
    number of wells.
    """
    total = max(_num_rows(first), _num_rows(second))
    slices = max(1, -(-total // rows_at_once))
    words: list[str] = [KEPT, ABSENT]
    counts: Counter[tuple[int, int]] = Counter()
    for number in range(slices):
        left = _fates(first, number, slices, words)
        right = _fates(second, number, slices, words)
        counts.update(_pairs(left, right))
    return sorted(Transition(words[a], words[b], wells) for (a, b), wells in counts.items())


def _files(folder: Path) -> Iterator[tuple[Path, bool]]:
    for name in ("manifest", "reasons"):
        for path in sorted((folder / name).glob("part-*.parquet")):
            yield path, name == "manifest"


def _num_rows(folder: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path, _ in _files(folder))


def _fates(folder: Path, number: int, slices: int, words: list[str]) -> tuple[Ids, Ids]:
    """Sorted ids of one slice and the index of each one's fate in `words`, which may grow."""
    ids, codes = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for path, is_kept in _files(folder):
        columns = ["well_id"] if is_kept else ["well_id", "step", "reason"]
        part = pq.read_table(path, columns=columns)
        of_part = part["well_id"].to_numpy().astype(np.uint64)
        chosen = of_part % np.uint64(slices) == number
        code = _codes(part, is_kept, words)
        ids.append(of_part[chosen])
        codes.append(code[chosen])
    all_ids, all_codes = np.concatenate(ids), np.concatenate(codes)
    order = np.argsort(all_ids, kind="stable")
    if (np.diff(all_ids[order]) == 0).any():
        raise CorruptionError(f"{folder}: a well stands twice in the manifest and its reasons.")
    return all_ids[order], all_codes[order]


def _codes(part: pa.Table, is_kept: bool, words: list[str]) -> Ids:
    """Return the index in `words` of the fate of every row of a part."""
    if is_kept:
        return np.full(len(part), words.index(KEPT), np.uint64)
    texts = [part[name].cast(pa.string()) for name in ("step", "reason")]
    fates = pc.binary_join_element_wise(*texts, ": ").combine_chunks().dictionary_encode()
    known = fates.dictionary.to_pylist()
    words.extend(sorted(set(known) - set(words)))
    index = np.array([words.index(word) for word in known], np.uint64)
    codes: Ids = index[fates.indices.to_numpy()]
    return codes


def _pairs(left: tuple[Ids, Ids], right: tuple[Ids, Ids]) -> dict[tuple[int, int], int]:
    """Count pairs of codes over the union of ids; ABSENT where one side lacks the well."""
    union = np.union1d(left[0], right[0])
    absent = np.uint64(1)
    sides = []
    for ids, codes in (left, right):
        side = np.full(len(union), absent)
        side[np.searchsorted(union, ids)] = codes
        sides.append(side)
    pairs, numbers = np.unique(np.stack(sides), axis=1, return_counts=True)
    return {(int(a), int(b)): int(n) for (a, b), n in zip(pairs.T, numbers, strict=True)}
