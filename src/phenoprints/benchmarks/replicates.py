"""Do two replicate experiments see the same perturbations alike: KS and CVM against chance."""

# G perturbations · K components

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import cramervonmises_2samp, ks_2samp

from phenoprints.foundations.randomness import generator
from phenoprints.maps import unit_rows

Floats = NDArray[np.floating]

MIN_SHARED = 3
"""Shared perturbations below which two experiments are not compared."""


def replicate_consistency(
    profiles: Mapping[str, tuple[list[str], Floats]],
    groups: Mapping[str, str],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per pair of replicate experiments: how far matching cosines lie above random ones.

    Parameters
    ----------
    profiles
        Experiment to (names, vectors (G, K)): one vector per perturbation, the mean of its wells
        in that experiment.
    groups
        Experiment to replicate group; experiments of one group are replicates, "" has none.

    Returns
    -------
    Columns replicate_group, experiment_a, experiment_b, num (N shared perturbations), ks, cvm,
    cvm_per_n, mean_cosine, reason. q are the cosines of the N matching perturbations, the null is
    as many random pairs of different perturbations, one from each experiment. `ks` and `cvm` are
    scipy's two-sample statistics; CVM grows with N, so that CVM/N stands beside. Pairs with fewer
    than 3 shared perturbations, and groups of one experiment, have NaN and a reason.

    The random stream is keyed by (seed, pair). Source: ViTally Consistent, A.7.
    """
    members: dict[str, list[str]] = {}
    for experiment in sorted(profiles):
        if groups.get(experiment):
            members.setdefault(groups[experiment], []).append(experiment)
    rows = []
    for group, experiments in sorted(members.items()):
        if len(experiments) == 1:
            rows.append(_row(group, experiments[0], "", 0, "group_of_one"))
        for a, b in combinations(experiments, 2):
            rows.append(_compare(group, (a, profiles[a]), (b, profiles[b]), seed))
    return pd.DataFrame(rows, columns=list(_row("", "", "", 0, "")))


def _compare(
    group: str,
    a: tuple[str, tuple[list[str], Floats]],
    b: tuple[str, tuple[list[str], Floats]],
    seed: int,
) -> dict[str, object]:
    (name_a, (names_a, x)), (name_b, (names_b, y)) = a, b
    shared = pd.Index(sorted(set(names_a) & set(names_b)))
    u = unit_rows(np.asarray(x, np.float64)[pd.Index(names_a).get_indexer(shared)])
    v = unit_rows(np.asarray(y, np.float64)[pd.Index(names_b).get_indexer(shared)])
    usable = np.isfinite(u).all(axis=1) & np.isfinite(v).all(axis=1)
    u, v = u[usable], v[usable]
    if len(u) < MIN_SHARED:
        return _row(group, name_a, name_b, len(u), "too_few_shared")
    q = np.einsum("gk,gk->g", u, v)
    first, second = random_pairs(len(u), seed, name_a, name_b)
    null = np.einsum("gk,gk->g", u[first], v[second])
    row = _row(group, name_a, name_b, len(u), "")
    cvm = float(cramervonmises_2samp(q, null, method="asymptotic").statistic)
    row |= {
        "ks": float(ks_2samp(q, null, method="asymp").statistic),
        "cvm": cvm,
        "cvm_per_n": cvm / len(u),
        "mean_cosine": float(q.mean()),
    }
    return row


def random_pairs(
    num: int, seed: int, experiment_a: str, experiment_b: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`num` pairs of different numbers below `num`, by the stream of (seed, pair of experiments).

    Each number stands once on either side, so that no pair is drawn twice.
    """
    rng = generator(seed, "benchmarks", "replicates", experiment_a, experiment_b)
    first = rng.permutation(num)
    return first, np.roll(first, 1)


def _row(group: str, a: str, b: str, num: int, reason: str) -> dict[str, object]:
    nan = float("nan")
    return {
        "replicate_group": group,
        "experiment_a": a,
        "experiment_b": b,
        "num": num,
        "ks": nan,
        "cvm": nan,
        "cvm_per_n": nan,
        "mean_cosine": nan,
        "reason": reason,
    }
