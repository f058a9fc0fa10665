"""Known groups on a map: how far they stand apart, and whether neighbours belong together."""

# G perturbations · K components

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import hypergeom, ks_2samp

from phenoprints.foundations.randomness import generator
from phenoprints.maps import nearest_neighbours, unit_rows

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class EnrichmentSettings:
    """How many neighbours are asked, and when a group counts.

    Groups need `min_genes` members on the map. A gene is enriched below the corrected `p_value`.
    `num_random` permutations of the names give the random baseline.
    """

    num_neighbours: int = 20
    min_genes: int = 3
    p_value: float = 0.05
    num_random: int = 20
    seed: int = 0


def clusters_on_map(
    clusters: Mapping[str, Collection[str]], names: Sequence[str], min_genes: int
) -> dict[str, list[str]]:
    """Return the clusters, sorted by name, with their members on the map, at least `min_genes` of
    them.
    """
    present = set(names)
    found = {name: sorted(present & set(members)) for name, members in sorted(clusters.items())}
    return {name: members for name, members in found.items() if len(members) >= min_genes}


def cluster_separation(
    vectors: Floats,
    names: Sequence[str],
    clusters: Mapping[str, Collection[str]],
    *,
    min_genes: int = 10,
) -> pd.DataFrame:
    """How the cosines within each known cluster differ from those with all others.

    Returns
    -------
    One row per cluster with at least `min_genes` members on the map: cluster, size, within_mean,
    between_mean, ks (two-sample Kolmogorov-Smirnov statistic) and p_value of it. The p-value
    treats pairs as independent, which they are not (they share genes): read `ks` as an effect
    size. A cluster that is the whole map is left out. Equals EFAAR_benchmarking's
    cluster_benchmark.
    """
    unit = unit_rows(np.asarray(vectors, np.float64))
    index = pd.Index(list(names))
    rows = []
    for name, members in clusters_on_map(clusters, names, min_genes).items():
        inside = np.zeros(len(unit), dtype=bool)
        inside[index.get_indexer(pd.Index(members))] = True
        if inside.all() or len(members) < 2:
            continue
        own = unit[inside]
        within = (own @ own.T)[np.triu_indices(len(own), 1)]
        between = (own @ unit[~inside].T).ravel()
        test = ks_2samp(within, between, method="asymp")
        rows.append(
            {
                "cluster": name,
                "size": len(own),
                "within_mean": within.mean(),
                "between_mean": between.mean(),
                "ks": test.statistic,
                "p_value": test.pvalue,
            }
        )
    columns = ["cluster", "size", "within_mean", "between_mean", "ks", "p_value"]
    return pd.DataFrame(rows, columns=columns)


def enrichment(
    genes: Collection[str],
    map_genes: Sequence[str],
    clusters: Mapping[str, Collection[str]],
    *,
    min_genes: int = 3,
) -> pd.DataFrame:
    """Which known clusters are over-represented among some genes of a map.

    Returns
    -------
    One row per cluster with at least `min_genes` members on the map, smallest p first: cluster,
    size, overlap, p_value (hypergeometric, P(overlap >= seen)), corrected_p_value (Bonferroni over
    the clusters tested).
    """
    chosen = set(genes) & set(map_genes)
    known = clusters_on_map(clusters, map_genes, min_genes)
    size = np.array([len(members) for members in known.values()], np.int64)
    overlap = np.array([len(chosen & set(members)) for members in known.values()], np.int64)
    p = hypergeom.sf(overlap - 1, len(set(map_genes)), len(chosen), size)
    table = pd.DataFrame(
        {"cluster": list(known), "size": size, "overlap": overlap, "p_value": np.asarray(p)}
    )
    table["corrected_p_value"] = np.minimum(table["p_value"] * len(table), 1.0)
    return table.sort_values("p_value", kind="stable", ignore_index=True)


def neighbour_enrichment(
    vectors: Floats,
    names: Sequence[str],
    clusters: Mapping[str, Collection[str]],
    settings: EnrichmentSettings | None = None,
) -> tuple[pd.DataFrame, float, float]:
    """Whether the nearest neighbours of each gene are enriched in a cluster of that gene.

    Returns
    -------
    A table with one row per gene that is in a cluster (name, cluster with the smallest p,
    overlap, p_value, corrected_p_value for the gene's own clusters by Bonferroni, is_enriched),
    and mean and standard deviation of the share that is enriched when names are permuted.
    """
    settings = settings or EnrichmentSettings()
    known = clusters_on_map(clusters, names, settings.min_genes)
    member = np.zeros((len(names), len(known)), dtype=bool)
    index = pd.Index(list(names))
    for column, members in enumerate(known.values()):
        member[index.get_indexer(pd.Index(members)), column] = True
    nearest, _ = nearest_neighbours(vectors, settings.num_neighbours)
    best = _best(_own_cluster_tests(member, nearest))
    best["is_enriched"] = best["corrected_p_value"] < settings.p_value
    table = best.assign(
        name=index.take(best["gene"].to_numpy()),
        cluster=pd.Index(list(known)).take(best["cluster"].to_numpy()),
    ).drop(columns="gene")
    shares = []
    for order in _permutations(len(names), settings.num_random, settings.seed):
        random = _best(_own_cluster_tests(member[order], nearest))
        is_enriched = random["corrected_p_value"] < settings.p_value
        shares.append(float(is_enriched.mean()) if len(random) else 0.0)
    return table, float(np.mean(shares)), float(np.std(shares))


def _permutations(size: int, count: int, seed: int) -> Iterator[NDArray[np.intp]]:
    rng = generator(seed, "benchmarks", "enrichment")
    for _ in range(count):
        yield rng.permutation(size)


def _own_cluster_tests(member: NDArray[np.bool_], nearest: NDArray[np.intp]) -> pd.DataFrame:
    """One row per gene and cluster of it: gene, cluster, overlap, p_value.

    The gene itself is neither a neighbour nor a member that could be found.
    """
    num_genes, num_neighbours = nearest.shape
    gene, cluster = np.nonzero(member)
    overlap = member[nearest[gene], cluster[:, None]].sum(axis=1)
    others = member.sum(axis=0)[cluster] - 1
    p = hypergeom.sf(overlap - 1, num_genes - 1, num_neighbours, others)
    return pd.DataFrame(
        {"gene": gene, "cluster": cluster, "overlap": overlap, "p_value": np.asarray(p)}
    )


def _best(tests: pd.DataFrame) -> pd.DataFrame:
    """Return the test with the smallest p of each gene, corrected for the gene's clusters
    (Bonferroni).
    """
    num_clusters = tests.groupby("gene")["cluster"].transform("size")
    tests["corrected_p_value"] = np.minimum(tests["p_value"] * num_clusters, 1.0)
    ordered = tests.sort_values(["gene", "p_value"], kind="stable")
    return ordered.drop_duplicates("gene").reset_index(drop=True)
