"""Balance wells over clusters of their embeddings: hierarchical k-means and flat sampling."""

# N wells · K components · S sampled wells · C clusters of a level

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.configuration.models.curation import Balance
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import hash_uint64

Floats = NDArray[np.float32]

SAMPLE_WELLS = 1 << 17
"""Wells that the clusters are fitted on, drawn by the hash of their ids."""

WELLS_PER_CLUSTER, MAX_CLUSTERS, RATIO, MIN_CLUSTERS = 20, 4096, 16, 8
"""Size of the lowest level, its limit, how many times fewer each next level has, and the fewest."""

MAX_ITERATIONS = 25
BLOCK_ROWS = 1 << 14


@dataclass(frozen=True)
class Hierarchy:
    """Clusters of clusters.

    Attributes
    ----------
    centres
        (C, K) centres of the lowest level, float32.
    parents
        For each level but the highest, the cluster of the next level that each cluster is in.
    """

    centres: Floats
    parents: tuple[NDArray[np.int64], ...]

    @property
    def levels(self) -> list[int]:
        """Numbers of clusters, lowest level first."""
        return [len(self.centres), *(int(each.max()) + 1 for each in self.parents)]

    def highest(self) -> NDArray[np.int64]:
        """Return the cluster of the highest level that each cluster of the lowest is in (C,)."""
        top = np.arange(len(self.centres))
        for parent in self.parents:
            top = parent[top]
        return top

    def assign(self, x: Floats) -> NDArray[np.int32]:
        """Return the nearest cluster (N,) of the lowest level; -1 for rows that are not finite."""
        nearest = np.full(len(x), -1, np.int32)
        half = 0.5 * np.einsum("ck,ck->c", self.centres, self.centres)
        usable = np.flatnonzero(np.isfinite(np.einsum("nk->n", x)))
        for start in range(0, len(usable), BLOCK_ROWS):
            rows = usable[start : start + BLOCK_ROWS]
            products = x[rows] @ self.centres.T
            products -= half
            nearest[rows] = products.argmax(axis=1)
        return nearest


def default_levels(num_wells: int) -> list[int]:
    """Return the numbers of clusters by level: wells / 20 (at most 4096), each 16 times fewer."""
    levels = [int(np.clip(num_wells // WELLS_PER_CLUSTER, MIN_CLUSTERS, MAX_CLUSTERS))]
    while levels[-1] // RATIO >= MIN_CLUSTERS:
        levels.append(levels[-1] // RATIO)
    return levels


def fit_hierarchy(x: Floats, levels: Sequence[int], *, seed: int = 0) -> Hierarchy:
    """Fit k-means on wells (S, K), then on the centres of each level.

    Centres of k-means follow the density of the wells less than proportionally, and centres of
    centres still less: in the highest level rare appearances have clusters of their own. Source:
    Vo et al. 2024, Automatic data curation for self-supervised learning, section 3.

    Raises
    ------
    DataError
        There are fewer finite rows than clusters of the lowest level.
    """
    from sklearn.cluster import KMeans

    points = np.ascontiguousarray(x[np.isfinite(x).all(axis=1)], np.float32)
    if len(points) < levels[0]:
        raise DataError(
            f"balance: {len(points)} wells with vectors. Expected at least {levels[0]}, the number "
            "of clusters.\n  To fix: set fewer clusters (manifests.<name>.balance.levels)."
        )
    centres, parents = [], []
    for level, number in enumerate(levels):
        means = KMeans(
            number, init="random" if level == 0 else "k-means++", n_init=1,
            max_iter=MAX_ITERATIONS, random_state=seed,
        ).fit(points)  # fmt: skip
        if level:
            parents.append(means.labels_.astype(np.int64))
        points = np.ascontiguousarray(means.cluster_centers_, np.float32)
        centres.append(points)
    return Hierarchy(centres[0], tuple(parents))


def flat_quotas(
    sizes: NDArray[np.int64], parents: Sequence[NDArray[np.int64]], target: int
) -> NDArray[np.int64]:
    """Return how many wells each lowest cluster (C,) keeps, flat over clusters at each level.

    From the highest level down, the number of wells is divided equally between the clusters of a
    group; clusters that hold fewer keep all, and the rest is divided between the others. The sum
    is min(target, all wells). Source: Vo et al. 2024, Algorithm 2.
    """
    totals = [np.asarray(sizes, np.int64)]
    for parent in parents:
        totals.append(np.bincount(parent, totals[-1], int(parent.max()) + 1).astype(np.int64))
    quotas = equal_shares(totals[-1], min(int(target), int(totals[-1].sum())))
    for level in range(len(parents) - 1, -1, -1):
        below = np.zeros(len(totals[level]), np.int64)
        for cluster, quota in enumerate(quotas):
            members = np.flatnonzero(parents[level] == cluster)
            below[members] = equal_shares(totals[level][members], int(quota))
        quotas = below
    return quotas


def equal_shares(sizes: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Divide `total` equally between clusters of some sizes (C,), none above its size.

    What does not divide goes to the largest clusters, in their order. `total` must not exceed the
    sum of the sizes.
    """
    shares = np.zeros(len(sizes), np.int64)
    order = np.argsort(sizes, kind="stable")
    left = total
    for position, cluster in enumerate(order):
        open_clusters = len(order) - position
        shares[cluster] = min(int(sizes[cluster]), left // open_clusters)
        left -= int(shares[cluster])
    return shares


def capped_quotas(sizes: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return how many wells each cluster (C,) keeps when none may exceed a share of all kept.

    The largest cap c with c <= `share` · Σ min(size, c) is used; where fewer than 1/`share`
    clusters hold wells no cap exists and every cluster is cut to the smallest of them.
    """
    caps = np.unique(sizes[sizes > 0])
    best = int(caps.min(initial=0))
    low, high = best, int(caps.max(initial=0))
    while low <= high:
        cap = (low + high) // 2
        if cap <= share * np.minimum(sizes, cap).sum():
            best, low = cap, cap + 1
        else:
            high = cap - 1
    return np.minimum(sizes, best)


def gini(sizes: NDArray[np.int64]) -> float:
    """Return the Gini coefficient of cluster sizes (C,): 0 if all are equal, near 1 if one has all.

    NaN without wells.
    """
    ordered = np.sort(sizes).astype(np.float64)
    if not ordered.sum():
        return float("nan")
    rank = np.arange(1, len(ordered) + 1)
    n = len(ordered)
    return float((2 * rank - n - 1) @ ordered / (n * ordered.sum()))


def sampled_wells(
    well_id: NDArray[np.uint64], seed: int, size: int = SAMPLE_WELLS
) -> NDArray[np.bool_]:
    """Return the mask (N,) of the wells that clusters are fitted on: the `size` smallest hashes."""
    if len(well_id) <= size:
        return np.ones(len(well_id), np.bool_)
    hashes = hash_uint64(seed, well_id)
    is_sampled: NDArray[np.bool_] = hashes <= np.partition(hashes, size - 1)[size - 1]
    return is_sampled


def kept_by_quota(
    cluster: NDArray[np.int32], quotas: NDArray[np.int64], well_id: NDArray[np.uint64], seed: int
) -> NDArray[np.bool_]:
    """Return which wells (N,) stay: of each cluster those with the smallest hashes.

    Wells without a cluster (-1) stay: nothing is known about them.
    """
    order = np.lexsort((hash_uint64(seed + 1, well_id), cluster))
    ordered = cluster[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-2))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    limit = np.where(ordered < 0, len(order), quotas[np.maximum(ordered, 0)])
    kept = np.zeros(len(order), np.bool_)
    kept[order] = rank < limit
    return kept


@dataclass(frozen=True)
class Balanced:
    """Which wells stay (N,), and the clusters of the highest level.

    `cluster` (N,) is each well's cluster of the highest level, -1 without a vector. `clusters` has
    a row per cluster: `cluster`, `wells` before and `kept` after.
    """

    is_kept: NDArray[np.bool_]
    cluster: NDArray[np.int32]
    clusters: pd.DataFrame

    @property
    def summary(self) -> dict[str, float | int]:
        """Counts, and the Gini coefficients and largest shares of clusters before and after."""
        sizes, kept = (self.clusters[name].to_numpy(np.int64) for name in ("wells", "kept"))
        return {
            "clusters": len(sizes),
            "wells": len(self.is_kept),
            "kept": int(self.is_kept.sum()),
            "without_vector": int((self.cluster < 0).sum()),
            "gini_before": gini(sizes),
            "gini_after": gini(kept),
            "largest_share_before": float(sizes.max(initial=0) / max(1, sizes.sum())),
            "largest_share_after": float(kept.max(initial=0) / max(1, kept.sum())),
        }


def balance(
    hierarchy: Hierarchy,
    cluster: NDArray[np.int32],
    well_id: NDArray[np.uint64],
    settings: Balance,
    *,
    seed: int = 0,
) -> Balanced:
    """Choose wells that are flat over clusters, or cap the share of any cluster.

    Parameters
    ----------
    hierarchy
        From `fit_hierarchy`.
    cluster
        (N,) cluster of each well in the lowest level, from `Hierarchy.assign`; -1 without vector.
    well_id
        (N,) ids, which decide together with `seed` who stays in a cluster.
    settings
        `method`, and `fraction` (of all wells, flat over the clusters of each level) or
        `max_share` (of the kept wells, of each cluster of the highest level).

    Returns
    -------
    Balanced
        The same for any order of the wells.
    """
    top_of, num_top = hierarchy.highest(), hierarchy.levels[-1]
    top = np.where(cluster < 0, -1, top_of[np.maximum(cluster, 0)]).astype(np.int32)
    sizes = np.bincount(cluster[cluster >= 0], minlength=len(top_of)).astype(np.int64)
    top_sizes = np.bincount(top[top >= 0], minlength=num_top).astype(np.int64)
    if settings.method == "hierarchical":
        quotas = flat_quotas(sizes, hierarchy.parents, round(settings.fraction * sizes.sum()))
        is_kept = kept_by_quota(cluster, quotas, well_id, seed)
    else:
        is_kept = kept_by_quota(top, capped_quotas(top_sizes, settings.max_share), well_id, seed)
    kept = np.bincount(top[is_kept & (top >= 0)], minlength=num_top)
    table = pd.DataFrame({"cluster": np.arange(num_top), "wells": top_sizes, "kept": kept})
    return Balanced(is_kept, top, table)
