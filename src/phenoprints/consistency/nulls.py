"""The null distributions: how often sets of wells of different groups are as consistent.

The documented draw of every null: all choices of distinct groups that fill the strata of a
composition are equally likely, and a chosen group gives one of its wells in the stratum, all
equally likely. Nulls without strata are the case of one stratum. Where null sets have to hold as
many of a condition's own wells as random sets do, these draws are one part of the mixture of
phenoprints.consistency.overlaps.
"""

# K null sets · n wells of a set · M possible sets · T tested statistics

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from phenoprints.consistency.drawing import draw_distinct, draw_matched, list_sets
from phenoprints.consistency.kernels import TIE
from phenoprints.consistency.overlaps import Overlaps, draw_several
from phenoprints.consistency.pool import CAP, Pool
from phenoprints.consistency.shared import (
    Comparison,
    OwnCounts,
    Streams,
    choose_shared,
    shared_counts,
)
from phenoprints.consistency.vectors import Vectors

DRAWS_PER_BLOCK = 1 << 20
"""Wells drawn at a time: bounds the memory of the random numbers, never changes the draws."""

TINY = 1e-300
"""Least share of draws that is divided by."""

MAX_ROUNDS = 20
"""Rounds of direct draws before a composition counts as one that no null set can copy."""


class Counts(NamedTuple):
    """Null sets of one composition at least as consistent as each tested statistic.

    Attributes
    ----------
    at_least : (T,) float
        Null sets with a statistic at least as large. Where all sets were visited, each counts M
        times the probability that the draw gives it, which is 1 where groups are of equal size.
    total : int
        Null sets that were drawn, K, or that exist, M.
    is_complete : bool
        Whether all sets that exist were visited.
    num_sets : float
        How many sets exist: exact where they were visited or the composition has one stratum, else
        estimated from the share of draws with distinct groups; at most CAP.
    num_effective : float
        1/Σ w² over the probabilities w of all sets: how many equally likely sets would resolve as
        much. Equal to `num_sets` where sets were not visited.
    own : OwnCounts
        The sets with one of the condition's own wells, where they are weighted.
    """

    at_least: NDArray[np.float64]
    total: int
    is_complete: bool
    num_sets: float
    num_effective: float
    own: OwnCounts | None = None


def null_counts(
    vectors: Vectors,
    pool: Pool,
    tests: Sequence[Comparison],
    num_null: int,
    streams: Streams,
) -> list[Counts | None]:
    """Compare statistics with the null of their composition; None where no null set exists.

    Where at most `num_null` sets exist, all of them are visited. Other compositions draw `num_null`
    sets: of one stratum by shared prefixes of a random order, of several strata by shared draws,
    and where these are too rarely valid, or cost more, by draws of their own.
    """
    overlaps = [Overlaps.of(pool, test) for test in tests]
    plain = [
        test if o else test._replace(own=None) for test, o in zip(tests, overlaps, strict=True)
    ]
    found = _drawn_counts(vectors, pool, plain, num_null, streams)
    for i, counts in found.items():
        overlap = overlaps[i]
        if overlap is not None and counts.own is not None:
            several = draw_several(vectors, pool, tests[i], overlap, num_null, streams)
            found[i] = _mixed(counts, overlap, several)
    return [found.get(i) for i in range(len(tests))]


def _mixed(counts: Counts, overlaps: Overlaps, several: OwnCounts) -> Counts:
    """Return the counts that give the p-value of the mixture: of all M sets, (b + 1)/(M + 1)."""
    assert counts.own is not None
    share = overlaps.mixed(counts.at_least, counts.total, counts.own, several)
    at_least = share * counts.total
    if counts.is_complete:
        at_least = np.maximum(share * (counts.total + 1) - 1, 0.0)
    return counts._replace(at_least=at_least)


def _drawn_counts(
    vectors: Vectors,
    pool: Pool,
    tests: Sequence[Comparison],
    num_null: int,
    streams: Streams,
) -> dict[int, Counts]:
    """Compare with the sets of the documented draw, by composition."""
    found: dict[int, Counts] = {}
    possible = [i for i, test in enumerate(tests) if pool.can_hold(test.composition)]
    for i in possible:
        counts = _visit_all(vectors, pool, tests[i], num_null)
        if counts is not None:
            found[i] = counts
    drawn = [i for i in possible if i not in found]
    found |= _by_prefix(vectors, pool, _of_one_stratum(tests, drawn), num_null, streams)
    drawn = [i for i in drawn if i not in found]
    found |= _by_shared_draws(vectors, pool, {i: tests[i] for i in drawn}, num_null, streams)
    for i in (i for i in drawn if i not in found):
        counts = _directly(vectors, pool, tests[i], num_null, streams)
        if counts is not None:
            found[i] = counts
    return found


def _exceedances(
    null: NDArray[np.float64], observed: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return the number (or weight) of null statistics >= each observed one; ties count."""
    order = np.argsort(null)
    first = np.searchsorted(null[order], observed - TIE, side="left")
    if weights is None:
        return (len(null) - first).astype(np.float64)
    from_right = np.append(np.cumsum(weights[order][::-1])[::-1], 0.0)
    return from_right[first]


def _own_counts(
    test: Comparison,
    sets: NDArray[np.int64],
    slots: NDArray[np.int64],
    null: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> OwnCounts | None:
    """Count the sets (K, n), of strata `slots`, with an own well in each stratum; see OwnCounts."""
    if test.own is None:
        return None
    strata, number = np.unique(slots, return_inverse=True)
    owner = np.full(max(sets.max(), test.own.max()) + 1, -1, dtype=np.int64)
    owner[test.own] = np.arange(len(test.own))[:, None]
    tested = owner[sets]
    k, slot = np.nonzero(tested >= 0)
    t = tested[k, slot]
    index, shape = t * len(strata) + number[slot], (len(test.own), len(strata))
    weight = np.ones(len(k)) if weights is None else weights[k]
    reaches = weight * (null[k] >= test.observed[t] - TIE)
    drawn, at_least = (
        np.bincount(index, each, shape[0] * shape[1]).reshape(shape) for each in (weight, reaches)
    )
    return OwnCounts(drawn.astype(np.float64), at_least.astype(np.float64))


class NullSets(NamedTuple):
    """Sets of one composition: rows (K, n), weights (K,) of mean 1, and whether they are all."""

    rows: NDArray[np.int64]
    weights: NDArray[np.float64]
    is_complete: bool


def null_sets(
    pool: Pool, composition: NDArray[np.int64], num_null: int, stream: np.random.Generator
) -> NullSets | None:
    """Return all sets of a composition where at most `num_null` exist, else as many draws.

    None where no set exists, or too few draws find one.
    """
    if not pool.can_hold(composition):
        return None
    found = _all_sets(pool, composition, num_null)
    if found is None:
        sets, _ = _draw_matched(pool, pool.in_order(composition), num_null, stream)
        found = NullSets(sets, np.ones(len(sets)), is_complete=False)
        return found if len(sets) == num_null else None
    return found


def _all_sets(pool: Pool, composition: NDArray[np.int64], num_null: int) -> NullSets | None:
    """Return every set that exists; None where there are none, or more than `num_null`."""
    is_single = composition[0] == composition[-1]
    least = pool.at_most(composition) if is_single else pool.at_least(composition)
    if least > num_null:
        return None
    sets, weights, is_all = list_sets(pool.in_order(composition), pool.arrays, num_null)
    if not is_all or len(sets) == 0:
        return None
    return NullSets(sets, weights / weights.mean(), is_complete=True)


def _visit_all(vectors: Vectors, pool: Pool, test: Comparison, num_null: int) -> Counts | None:
    """Compare with every set that exists; None where they are too many."""
    found = _all_sets(pool, test.composition, num_null)
    if found is None:
        return None
    sets, weights, _ = found
    statistics = vectors.statistics(sets, np.array([sets.shape[1]]))[0]
    are_equal = bool(np.ptp(weights) < TIE)
    at_least = _exceedances(statistics, test.observed, None if are_equal else weights)
    num_sets = len(sets)
    effective = num_sets if are_equal else num_sets**2 / float((weights**2).sum())
    own = _own_counts(test, sets, pool.in_order(test.composition), statistics, weights)
    return Counts(at_least, num_sets, True, num_sets, effective, own)


def _of_one_stratum(
    tests: Sequence[Comparison], chosen: Iterable[int]
) -> dict[int, dict[int, Comparison]]:
    """Group compositions of a single stratum by it."""
    result: dict[int, dict[int, Comparison]] = {}
    for i in chosen:
        composition = tests[i].composition
        if composition[0] == composition[-1]:
            result.setdefault(int(composition[0]), {})[i] = tests[i]
    return result


def _by_prefix(
    vectors: Vectors,
    pool: Pool,
    strata: dict[int, dict[int, Comparison]],
    num_null: int,
    streams: Streams,
) -> dict[int, Counts]:
    """Compare with prefixes of one random order of a stratum's groups, which serves all sizes."""
    found = {}
    for stratum, tests in strata.items():
        stream = streams("pool" if len(pool.num_entries) == 1 else f"pool {stratum}")
        sizes = np.unique([len(test.composition) for test in tests.values()])
        is_kept = any(test.own is not None for test in tests.values())
        sets, nulls = _draw(vectors, pool, stratum, sizes, num_null, stream, is_kept=is_kept)
        for i, test in tests.items():
            size = len(test.composition)
            null = nulls[np.searchsorted(sizes, size)]
            num_sets = pool.at_most(test.composition)
            at_least = _exceedances(null, test.observed, None)
            own = _own_counts(test, sets[:, :size], test.composition, null)
            found[i] = Counts(at_least, num_null, False, num_sets, num_sets, own)
    return found


def _draw(
    vectors: Vectors,
    pool: Pool,
    stratum: int,
    sizes: NDArray[np.int64],
    num_null: int,
    stream: np.random.Generator,
    *,
    is_kept: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return random sets of one stratum, where they are kept, and statistics (len(sizes), K)."""
    block = max(1, DRAWS_PER_BLOCK // int(sizes[-1]))
    slots = np.repeat(stratum, sizes[-1])
    parts = []
    for start in range(0, num_null, block):
        uniforms = stream.random((min(block, num_null - start), len(slots), 2))
        sets = pool.rows[draw_distinct(slots, pool.strata, pool.offsets, uniforms)]
        parts.append((sets[: len(sets) * is_kept], vectors.statistics(sets, sizes)))
    return np.concatenate([sets for sets, _ in parts]), np.concatenate([s for _, s in parts], 1)


def _by_shared_draws(
    vectors: Vectors,
    pool: Pool,
    tests: dict[int, Comparison],
    num_null: int,
    streams: Streams,
) -> dict[int, Counts]:
    """Compare with draws that all compositions share, where these cost less than direct ones."""
    found: dict[int, Counts] = {}
    for connected in _connected(tests):
        part = choose_shared(pool, connected)
        if not part:
            continue
        counts = shared_counts(vectors, pool, list(part.values()), num_null, streams)
        for (i, test), count in zip(part.items(), counts, strict=True):
            if count.at_least is not None:
                num_sets = _estimated(pool, test, count.valid_share, num_null)
                at_least = count.at_least.astype(np.float64)
                found[i] = Counts(at_least, num_null, False, num_sets, num_sets, count.own)
    return found


def _connected(tests: dict[int, Comparison]) -> list[dict[int, Comparison]]:
    """Split compositions into parts that have no stratum in common."""
    if not tests:
        return []
    size = 1 + max(int(test.composition[-1]) for test in tests.values())
    first = np.concatenate([np.full(len(t.composition), t.composition[0]) for t in tests.values()])
    other = np.concatenate([test.composition for test in tests.values()])
    graph = coo_array((np.ones(len(first)), (first, other)), shape=(size, size))
    part_of = connected_components(graph, directed=False)[1]
    parts: dict[int, dict[int, Comparison]] = {}
    for i, test in tests.items():
        parts.setdefault(int(part_of[test.composition[0]]), {})[i] = test
    return list(parts.values())


def _estimated(pool: Pool, test: Comparison, valid_share: float, num_null: int) -> float:
    """Estimate the number of sets; more than `num_null` exist where they were not all visited."""
    return max(pool.at_most(test.composition) * valid_share, float(num_null + 1))


def _directly(
    vectors: Vectors, pool: Pool, test: Comparison, num_null: int, streams: Streams
) -> Counts | None:
    """Compare with sets that are drawn for one composition alone."""
    slots = pool.in_order(test.composition)
    stream = streams(",".join(map(str, test.composition)))
    sets, share = _draw_matched(pool, slots, num_null, stream)
    if len(sets) < num_null:
        return None
    null = vectors.statistics(sets, np.array([len(slots)]))[0]
    num_sets = min(_estimated(pool, test, share, num_null), CAP)
    at_least, own = _exceedances(null, test.observed, None), _own_counts(test, sets, slots, null)
    return Counts(at_least, num_null, False, num_sets, num_sets, own)


def _draw_matched(
    pool: Pool, slots: NDArray[np.int64], num_null: int, stream: np.random.Generator
) -> tuple[NDArray[np.int64], float]:
    """Draw `num_null` sets, fewer where many draws are dead ends; and the share of valid draws."""
    sets = np.empty((0, len(slots)), dtype=np.int64)
    num_tries, num_valid = 0, 0
    for _ in range(MAX_ROUNDS):
        drawn, tries, valid = draw_matched(slots, pool.arrays, num_null, stream)
        sets = np.concatenate([sets, drawn[drawn[:, 0] >= 0]])
        num_tries, num_valid = num_tries + tries, num_valid + valid
        if len(sets) >= num_null:
            break
    share = max(num_valid, 1) / max(num_tries, 1) / max(pool.distinct_share(slots), TINY)
    return sets[:num_null], min(share, 1.0)
