"""Choose few combinations of factor levels in which every pair of levels occurs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

Factors = Mapping[str, Sequence[Any]]
Row = dict[str, Any]

CANDIDATES = 20
"""Rows that are grown before the best one is added to the design."""


def covering_design(factors: Factors, *, times: int = 1, seed: int = 0) -> list[Row]:
    """Return rows, a level per factor, in which every pair of levels occurs at least `times` times.

    Rows are grown greedily, as in AETG (Cohen et al. 1997, doi:10.1109/32.605761): each starts
    with a pair that is still missing and takes, factor by factor in random order, the level that
    adds most missing pairs; of some candidates the best is kept.
    """
    rng = np.random.default_rng(seed)
    names = list(factors)
    sizes = [len(factors[name]) for name in names]
    missing = {
        (i, j): np.full((sizes[i], sizes[j]), times) for i, j in combinations(range(len(names)), 2)
    }
    rows = []
    while any((m > 0).any() for m in missing.values()):
        grown = [_grow(missing, sizes, rng) for _ in range(CANDIDATES)]
        best = max(grown, key=lambda row: _gain(missing, row))
        for (i, j), count in missing.items():
            count[best[i], best[j]] -= 1
        rows.append({name: factors[name][k] for name, k in zip(names, best, strict=True)})
    return rows


def missing_pairs(rows: Sequence[Row], factors: Factors) -> list[tuple[tuple[str, Any], ...]]:
    """Return the pairs of levels that no row contains."""
    return [
        ((a, x), (b, y))
        for a, b in combinations(factors, 2)
        for x in factors[a]
        for y in factors[b]
        if not any(row[a] == x and row[b] == y for row in rows)
    ]


def _grow(missing: dict[tuple[int, int], Any], sizes: list[int], rng: np.random.Generator) -> Any:
    """Grow one row from a missing pair."""
    row = np.full(len(sizes), -1)
    open_pairs = [pair for pair, count in missing.items() if (count > 0).any()]
    i, j = open_pairs[rng.integers(len(open_pairs))]
    choices = np.argwhere(missing[i, j] > 0)
    row[i], row[j] = choices[rng.integers(len(choices))]
    for k in rng.permutation(len(sizes)):
        if row[k] < 0:
            gains = [_gain(missing, row, k, level) for level in range(sizes[k])]
            best = np.flatnonzero(np.array(gains) == max(gains))
            row[k] = best[rng.integers(len(best))]
    return row


def _gain(
    missing: dict[tuple[int, int], Any], row: Any, factor: int | None = None, level: int = -1
) -> int:
    """Count the missing pairs that a row covers; with `factor`, those of this level alone."""
    total = 0
    for (i, j), count in missing.items():
        if factor is not None and factor not in (i, j):
            continue
        a = level if i == factor else row[i]
        b = level if j == factor else row[j]
        if a >= 0 and b >= 0:
            total += int(count[a, b] > 0)
    return total
