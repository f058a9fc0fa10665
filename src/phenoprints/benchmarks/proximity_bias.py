"""How much genes of one chromosome arm look alike, as an effect size per arm."""

# G genes · K components

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from phenoprints.foundations.randomness import generator
from phenoprints.maps import unit_rows

Floats = NDArray[np.floating]

MIN_GENES = 20
"""Arms with fewer genes on the map are left out."""


def proximity_bias(
    vectors: Floats,
    names: Sequence[str],
    arms: Mapping[str, str],
    *,
    min_genes: int = MIN_GENES,
    num_samples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """P(cosine within an arm > cosine of its genes with genes of other arms), per arm.

    Returns
    -------
    One row per arm with at least `min_genes` genes on the map: arm, num_genes, effect (0.5 is no
    bias; ties count a half: the effect size of the Brunner-Munzel test), within_mean, between_mean.
    Where an arm has more pairs than `num_samples` of one sort, so many are drawn, by the stream of
    (seed, arm). It is an effect size only: pairs share genes, so that no p-value would hold.

    Source: Lazar et al. 2024, doi:10.1038/s41588-024-01758-y.
    """
    unit = unit_rows(np.asarray(vectors, np.float64))
    arm = np.array([arms.get(str(name), "") for name in names], dtype=object)
    arm[~np.isfinite(unit).all(axis=1)] = ""
    rows = []
    for name in sorted({str(value) for value in arm} - {""}):
        own, others = np.flatnonzero(arm == name), np.flatnonzero((arm != name) & (arm != ""))
        if len(own) < min_genes or not len(others):
            continue
        rng = generator(seed, "benchmarks", "proximity-bias", name)
        within = _within(unit[own], num_samples, rng)
        between = _between(unit[own], unit[others], num_samples, rng)
        rows.append(
            {
                "arm": name,
                "num_genes": len(own),
                "effect": superiority(within, between),
                "within_mean": within.mean(),
                "between_mean": between.mean(),
            }
        )
    columns = ["arm", "num_genes", "effect", "within_mean", "between_mean"]
    return pd.DataFrame(rows, columns=columns)


def superiority(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """P(X > Y) + P(X = Y)/2 over all pairs of the two samples, by ranks."""
    ranks = rankdata(np.concatenate([x, y]))[: len(x)]
    return float((ranks.mean() - (len(x) + 1) / 2) / len(y))


def _within(own: Floats, num_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    first, second = np.triu_indices(len(own), 1)
    if len(first) > num_samples:
        chosen = rng.choice(len(first), num_samples, replace=False)
        first, second = first[chosen], second[chosen]
    cosines: NDArray[np.float64] = np.einsum("pk,pk->p", own[first], own[second])
    return cosines


def _between(
    own: Floats, others: Floats, num_samples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    total = len(own) * len(others)
    pairs = np.arange(total)
    if total > num_samples:
        pairs = rng.choice(total, num_samples, replace=False)
    cosines: NDArray[np.float64] = np.einsum(
        "pk,pk->p", own[pairs // len(others)], others[pairs % len(others)]
    )
    return cosines
