"""How many known relationships stand out on a map: recall at the tails of its cosines."""

# G perturbations · K components

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.benchmarks.order_statistics import scan_pairs
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import generator
from phenoprints.maps import unit_rows

Floats = NDArray[np.floating]

MIN_PERTURBATIONS = 20
"""A smaller map has no tails to speak of (EFAAR_benchmarking)."""


@dataclass(frozen=True, kw_only=True)
class NullSettings:
    """What known pairs are compared with.

    `all-pairs`: all n(n-1)/2 pairs of the map, exact, without a seed. `sampled`, as the paper did:
    `num_samples` times `sample_size` × `sample_size` perturbations drawn with replacement, pairs
    of a perturbation with itself left out; recall is the mean over samples, with its sd.
    `num_random` permutations of the names give the random baseline of every row; 0 gives none.
    """

    null_model: str = "all-pairs"
    num_samples: int = 3
    sample_size: int = 5000
    num_random: int = 0
    seed: int = 0


def clean_pairs(pairs: pd.DataFrame, names: Sequence[str]) -> NDArray[np.intp]:
    """Row numbers (P, 2) of the usable pairs: undirected, once each, no self pairs, on the map.

    `pairs` has the columns entity1 and entity2. The result is sorted.
    """
    index = pd.Index(list(names))
    first = index.get_indexer(pd.Index(pairs["entity1"]))
    second = index.get_indexer(pd.Index(pairs["entity2"]))
    known = (first >= 0) & (second >= 0) & (first != second)
    both = np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)[known]
    if not len(both):
        return np.empty((0, 2), np.intp)
    return np.unique(both, axis=0)


def relationship_recall(
    vectors: Floats,
    names: Sequence[str],
    pairs: pd.DataFrame,
    thresholds: tuple[float, float] | Sequence[tuple[float, float]] = (0.05, 0.95),
    *,
    null: NullSettings | None = None,
    arms: Mapping[str, str] | None = None,
    min_perturbations: int = MIN_PERTURBATIONS,
) -> pd.DataFrame:
    """Recall of known pairs at the tails of a map's cosines, a row per source and variant.

    A pair is recalled when the fraction of null cosines <= its own is at most the lower threshold,
    or the fraction < its own at least the upper one. The right-sided variant takes the upper
    threshold alone.

    Parameters
    ----------
    vectors, names
        The map: one row (G, K) and one name per perturbation. Names must differ; rows that are
        not finite or of length 0 are left out.
    pairs
        Columns entity1, entity2 and, where there are several, source.
    thresholds
        One pair of quantiles, or several.
    arms
        Name to chromosome arm; given, recall within and across arms stands beside (same null).

    Returns
    -------
    Columns source, pairs (`all`, `within-arm`, `across-arms`), tails (`both`, `right`), lower,
    upper, recall, sd (over samples; NaN for the exact null), num_recalled (mean over samples),
    num_pairs, num_perturbations, null_size. A source without a usable pair has recall NaN.

    Raises
    ------
    DataError
        Fewer than `min_perturbations` perturbations, or a name that stands there twice.

    Source: Celik et al. 2024, doi:10.1371/journal.pcbi.1012463; EFAAR_benchmarking, whose exact
    result it equals digit for digit.
    """
    unit, kept = _checked(vectors, names, min_perturbations)
    null = null or NullSettings()
    levels = _threshold_pairs(thresholds)
    known = {source: clean_pairs(own, kept) for source, own in _by_source(pairs)}
    cuts, cosines = _cuts_and_cosines(unit, levels, null, known)
    rows = []
    for source, own in known.items():
        random = list(_random_cosines(unit, own, null))
        for variant, chosen in _variants(own, kept, arms):
            drawn = [draw[chosen] for draw in random]
            for level, tails in product(levels, ("both", "right")):
                own_cuts = [cut[level] for cut in cuts]
                row = _recall(cosines[source][chosen], own_cuts, tails)
                row |= _random_baseline(drawn, own_cuts, tails)
                rows.append({"source": source, "pairs": variant, "tails": tails,
                             "lower": level[0], "upper": level[1], **row})  # fmt: skip
    result = pd.DataFrame(rows)
    result["num_perturbations"] = len(unit)
    result["null_size"] = cuts[0][levels[0]].size
    return result


@dataclass(frozen=True)
class Cut:
    """Values of the null that decide: recalled when cosine < `below` or cosine > `above`."""

    below: float
    above: float
    size: int


def _checked(
    vectors: Floats, names: Sequence[str], min_perturbations: int
) -> tuple[Floats, list[str]]:
    index = pd.Index(list(names))
    if index.has_duplicates:
        twice = sorted(set(index[index.duplicated()].astype(str)))
        raise DataError(
            f"relationships: {len(twice)} names stand for several perturbations of the map, such "
            f'as "{twice[0]}". Expected one vector per name.'
        )
    unit = unit_rows(np.asarray(vectors))
    usable = np.flatnonzero(np.isfinite(unit).all(axis=1))
    if len(usable) < min_perturbations:
        raise DataError(
            f"relationships: the map has {len(usable)} perturbations with a vector. "
            f"Expected at least {min_perturbations}, or recall says nothing."
        )
    return np.ascontiguousarray(unit[usable]), [str(name) for name in index[usable]]


def _threshold_pairs(
    thresholds: tuple[float, float] | Sequence[tuple[float, float]],
) -> list[tuple[float, float]]:
    pairs = [tuple(sorted(pair)) for pair in np.atleast_2d(np.asarray(thresholds, np.float64))]
    for lower, upper in pairs:
        if not 0 <= lower < upper <= 1:
            raise DataError(
                f"relationships: thresholds {lower:g} and {upper:g}. "
                "Expected two different numbers from 0 to 1."
            )
    return [(float(lower), float(upper)) for lower, upper in pairs]


def _by_source(pairs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if "source" in pairs.columns:
        for source, own in pairs.groupby("source", sort=True):
            yield str(source), own
    else:
        yield "", pairs


def _variants(
    known: NDArray[np.intp], names: Sequence[str], arms: Mapping[str, str] | None
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "all", np.ones(len(known), dtype=bool)
    if arms is not None:
        arm = np.array([arms.get(name, "") for name in names], dtype=object)
        first, second = arm[known[:, 0]], arm[known[:, 1]]
        located = (first != "") & (second != "")
        yield "within-arm", located & (first == second)
        yield "across-arms", located & (first != second)


def _ranks(size: int, lower: float, upper: float) -> tuple[int, int]:
    """Ranks (from 0) whose values decide, with the same float divisions as a count would meet.

    The fraction of null values <= c is at most `lower` exactly when c lies below the value of the
    first rank; the fraction < c is at least `upper` exactly when c lies above that of the second.
    """
    allowed = int(lower * size) + 2
    while allowed / size > lower:
        allowed -= 1
    needed = max(int(upper * size) - 2, 0)
    while needed / size < upper:
        needed += 1
    return allowed, needed - 1


def _cuts_and_cosines(
    unit: Floats,
    levels: Sequence[tuple[float, float]],
    null: NullSettings,
    known: Mapping[str, NDArray[np.intp]],
) -> tuple[list[dict[tuple[float, float], Cut]], dict[str, NDArray[np.float64]]]:
    """Return the cuts of every null sample and the cosines of each source's pairs."""
    size = len(unit) * (len(unit) - 1) // 2
    ranks = [_ranks(size, *level) for level in levels]
    exact = null.null_model == "all-pairs"
    flat = sorted({rank for pair in ranks for rank in pair if exact and 0 <= rank < size})
    every = np.concatenate([np.empty((0, 2), np.intp), *known.values()])
    values, cosines = scan_pairs(unit, flat, every)
    ends = np.cumsum([len(own) for own in known.values()], dtype=np.intp)
    by_source = dict(zip(known, np.split(cosines, ends)[: len(known)], strict=True))
    if exact:
        cuts = [_as_cuts(levels, ranks, dict(zip(flat, values, strict=True)), size)]
    else:
        cuts = [_sampled_cuts(unit, levels, null, sample) for sample in range(null.num_samples)]
    return cuts, by_source


def _sampled_cuts(
    unit: Floats, levels: Sequence[tuple[float, float]], null: NullSettings, sample: int
) -> dict[tuple[float, float], Cut]:
    cosines = _sampled_cosines(unit, null, sample)
    ranks = [_ranks(len(cosines), *level) for level in levels]
    flat = sorted({rank for pair in ranks for rank in pair if 0 <= rank < len(cosines)})
    ordered = np.partition(cosines, flat)
    return _as_cuts(levels, ranks, {r: float(ordered[r]) for r in flat}, len(cosines))


def _as_cuts(
    levels: Sequence[tuple[float, float]],
    ranks: Sequence[tuple[int, int]],
    values: Mapping[int, float],
    size: int,
) -> dict[tuple[float, float], Cut]:
    return {
        level: Cut(values.get(low, np.inf), values.get(high, -np.inf), size)
        for level, (low, high) in zip(levels, ranks, strict=True)
    }


def _sampled_cosines(unit: Floats, null: NullSettings, sample: int) -> Floats:
    rng = generator(null.seed, "benchmarks", "relationships", sample)
    first = rng.integers(0, len(unit), null.sample_size)
    second = rng.integers(0, len(unit), null.sample_size)
    cosines: Floats = (unit[first] @ unit[second].T)[first[:, None] != second[None]]
    return cosines


def _recall(
    cosines: NDArray[np.float64], cuts: Sequence[Cut], tails: str
) -> dict[str, float | int]:
    counts = [
        int(((cosines > cut.above) | ((cosines < cut.below) & (tails == "both"))).sum())
        for cut in cuts
    ]
    recalls = np.array(counts) / len(cosines) if len(cosines) else np.full(len(cuts), np.nan)
    return {
        "recall": float(recalls.mean()),
        "sd": float(recalls.std()) if len(cuts) > 1 else float("nan"),
        "num_recalled": float(np.mean(counts)),
        "num_pairs": len(cosines),
    }


def _random_cosines(
    unit: Floats, known: NDArray[np.intp], null: NullSettings
) -> Iterator[NDArray[np.float64]]:
    """Yield the cosines of the known pairs under permuted names.

    The null does not change with the names, so that only the known pairs are looked up again.
    """
    rng = generator(null.seed, "benchmarks", "relationships", "random")
    for _ in range(null.num_random):
        yield _direct_cosines(unit, rng.permutation(len(unit))[known])


def _random_baseline(
    draws: Sequence[NDArray[np.float64]], cuts: Sequence[Cut], tails: str
) -> dict[str, float]:
    if not draws:
        return {}
    recalls = [_recall(draw, cuts, tails)["recall"] for draw in draws]
    return {"random": float(np.mean(recalls)), "random_sd": float(np.std(recalls))}


def _direct_cosines(unit: Floats, pairs: NDArray[np.intp]) -> NDArray[np.float64]:
    cosines = np.empty(len(pairs))
    for start in range(0, len(pairs), 4096):
        part = pairs[start : start + 4096]
        cosines[start : start + 4096] = np.einsum("pk,pk->p", unit[part[:, 0]], unit[part[:, 1]])
    return cosines
