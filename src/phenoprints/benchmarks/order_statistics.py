"""Exact order statistics of all pairwise cosines of a map, without keeping the pairs."""

# G perturbations · K components

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled
from phenoprints.foundations.randomness import generator

Floats = NDArray[np.floating]

NUM_BINS = 1 << 16
"""Bins over [-1, 1] that all pairs are counted in."""

BLOCK_ROWS = 512
"""Rows of the cosine matrix that exist at a time."""

SAMPLE_ROWS = 2000
"""Rows whose pairs foretell in which bins the wanted ranks will lie."""

MARGIN = 0.005
"""How far, as a share of all pairs, the foretold rank may be off before a second pass is needed."""


@compiled()
def _scan(block: Floats, wanted: NDArray[np.bool_], counts: NDArray[np.int64], out: Floats) -> int:
    """Count the bins of the entries right of the diagonal; copy those in wanted bins to `out`."""
    half = np.float32(NUM_BINS / 2)
    size = 0
    for i in range(block.shape[0]):
        for j in range(i + 1, block.shape[1]):
            value = block[i, j]
            index = min(max(int((value + np.float32(1.0)) * half), 0), NUM_BINS - 1)
            counts[index] += 1
            if wanted[index]:
                out[size] = value
                size += 1
    return size


def scan_pairs(
    unit: Floats, ranks: Sequence[int], pairs: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Order statistics of the cosines of all pairs of rows, and the cosines of some pairs.

    Parameters
    ----------
    unit
        Rows of length 1 (G, K), in C order.
    ranks
        Which of the n(n-1)/2 sorted cosines are wanted, from 0 and ascending.
    pairs
        Row numbers (P, 2) of pairs whose cosines are wanted, as the blocks hold them bit by bit.

    The values at the ranks are exact: those of sorting all pairs. Blocks of the cosine matrix are
    computed one after the other; values are kept only in the bins where a sample of rows foretells
    the wanted ranks. Where it was wrong, a second pass keeps the right bins.
    """
    wanted = _foretold_bins(unit, ranks)
    counts, kept, cosines = _pass(unit, wanted, pairs)
    bins = np.searchsorted(np.cumsum(counts), np.asarray(ranks, np.int64), side="right")
    if not wanted[bins].all():
        wanted[bins] = True
        counts, kept, _ = _pass(unit, wanted, pairs[:0])
    before = np.cumsum(np.where(wanted, 0, counts))
    kept.sort()
    values = kept[np.asarray(ranks, np.int64) - before[bins]].astype(np.float64)
    return values, cosines


def _foretold_bins(unit: Floats, ranks: Sequence[int]) -> NDArray[np.bool_]:
    """Return the bins in which a sample of the pairs has the wanted quantiles, with a margin."""
    wanted = np.zeros(NUM_BINS, np.bool_)
    size = len(unit) * (len(unit) - 1) // 2
    rng = generator(0, "benchmarks", "order-statistics", len(unit))
    rows = unit[np.sort(rng.permutation(len(unit))[:SAMPLE_ROWS])]
    sample = np.sort((rows @ rows.T)[np.triu_indices(len(rows), 1)])
    for rank in ranks:
        share = np.clip([rank / size - MARGIN, rank / size + MARGIN], 0, 1)
        low, high = sample[(share * (len(sample) - 1)).astype(np.int64)]
        wanted[_bin(low) : _bin(high) + 1] = True
    return wanted


def _bin(value: float) -> int:
    return int(min(max(int((value + 1.0) * (NUM_BINS / 2)), 0), NUM_BINS - 1))


def _pass(
    unit: Floats, wanted: NDArray[np.bool_], pairs: NDArray[np.integer]
) -> tuple[NDArray[np.int64], Floats, NDArray[np.float64]]:
    """Return the counts of all bins, the values in the wanted bins, and the pairs' cosines."""
    low, high = pairs.min(axis=1, initial=len(unit)), pairs.max(axis=1, initial=-1)
    order = np.argsort(low, kind="stable")
    starts = np.searchsorted(low[order], np.arange(0, len(unit) + BLOCK_ROWS, BLOCK_ROWS))
    counts, cosines = np.zeros(NUM_BINS, np.int64), np.empty(len(pairs))
    buffer = np.empty(BLOCK_ROWS * len(unit), unit.dtype)
    kept = []
    for number, (row, block) in enumerate(cosine_blocks(unit)):
        size = _scan(block, wanted, counts, buffer)
        kept.append(buffer[:size].copy())
        own = order[starts[number] : starts[number + 1]]
        cosines[own] = block[low[own] - row, high[own] - row]
    return counts, np.concatenate(kept), cosines


def cosine_blocks(unit: Floats) -> Iterator[tuple[int, Floats]]:
    """Upper blocks of unit @ unit.T: (row, block), block [i, j] being the pair (row + i, row + j).

    Only columns from the block's first row on are computed.
    """
    for row in range(0, len(unit), BLOCK_ROWS):
        yield row, unit[row : row + BLOCK_ROWS] @ unit[row:].T
