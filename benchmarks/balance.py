"""Balancing 10 million vectors over clusters, and finding near duplicates among 200,000 wells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark

NUM_FEATURES = 384
WELLS_PER_EXPERIMENT = 10_000
NUM_CLUSTERS = 2_000


def vectors(experiment: int, wells: int = WELLS_PER_EXPERIMENT) -> np.ndarray:
    """Wells of one experiment: appearances whose frequencies fall as 1/rank, with noise."""
    rng = np.random.default_rng(experiment)
    centres = np.random.default_rng(0).standard_normal((NUM_CLUSTERS, NUM_FEATURES), np.float32)
    share = 1 / np.arange(1, NUM_CLUSTERS + 1)
    label = rng.choice(NUM_CLUSTERS, wells, p=share / share.sum())
    return centres[label] + 0.5 * rng.standard_normal((wells, NUM_FEATURES), np.float32)


def run_balance(num_experiments: int) -> Timing:
    from phenoprints.configuration.models.curation import Balance
    from phenoprints.curation.balancing import (
        balance,
        default_levels,
        fit_hierarchy,
        sampled_wells,
    )
    from phenoprints.foundations.randomness import hash_uint64

    num_wells = num_experiments * WELLS_PER_EXPERIMENT
    ids = hash_uint64(0, np.arange(num_wells, dtype=np.uint64))
    watch, making = Stopwatch(), 0.0
    sampled = sampled_wells(ids, 0).reshape(num_experiments, -1)
    sample = []
    for experiment in range(num_experiments):
        start = Stopwatch()
        x = vectors(experiment)
        making += start.timing().seconds
        sample.append(x[sampled[experiment]])
    hierarchy = fit_hierarchy(np.concatenate(sample), default_levels(num_wells))
    del sample
    cluster = np.empty(num_wells, np.int32)
    for experiment in range(num_experiments):
        start = Stopwatch()
        x = vectors(experiment)
        making += start.timing().seconds
        first = experiment * WELLS_PER_EXPERIMENT
        cluster[first : first + len(x)] = hierarchy.assign(x)
    done = balance(hierarchy, cluster, ids, Balance(fraction=0.1))
    assert done.is_kept.sum() == round(0.1 * num_wells)
    assert done.summary["gini_after"] < done.summary["gini_before"]
    timing = watch.timing()
    note = f"without {making:.0f} s in which vectors are drawn"
    return Timing(timing.seconds - making, note)


@benchmark("curation-balance-10m-wells", max_seconds=900, max_memory_gb=2.0, threads=2)
def balance_10m(_how: str, _folder: Path) -> Timing:
    """Hierarchical k-means and flat sampling of 10 million wells of 384 features; two threads."""
    return run_balance(1000)


@benchmark("curation-balance-500k-wells", max_memory_gb=2.0, threads=2)
def balance_500k(_how: str, _folder: Path) -> Timing:
    """Hierarchical k-means and flat sampling of 500,000 wells of 384 features; two threads."""
    return run_balance(50)


@benchmark("curation-near-duplicates-200k-wells", max_memory_gb=2.0)
def duplicates_200k(_how: str, _folder: Path) -> Timing:
    """Near duplicates among 200,000 wells of 384 features in 20 experiments; one thread."""
    from phenoprints.curation.near_duplicates import near_duplicates
    from phenoprints.wells import ArrayEmbeddings

    num = 20 * WELLS_PER_EXPERIMENT
    wells = pd.DataFrame(
        {
            "well_id": np.arange(num, dtype=np.uint64),
            "experiment": np.repeat([f"e{i:02}" for i in range(20)], WELLS_PER_EXPERIMENT),
            "conditions": [[int(c)] for c in np.arange(num) % 2500],
        }
    )
    x = np.concatenate([vectors(i) for i in range(20)])
    x[-200:] = x[:200] + 1e-3
    watch = Stopwatch()
    found = near_duplicates(wells, ArrayEmbeddings(wells, x))
    assert len(found.table) == 200
    return watch.timing()
