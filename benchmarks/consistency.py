"""The consistency test: straightforward equations 2 and 3, EFAAR's test, and ours (CPU seconds)."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
from registry import Timing, benchmark, timed

NUM_NULL = 10_000


def embeddings(num_wells: list[int], num_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal vectors of conditions with the given numbers of wells."""
    rng = np.random.default_rng(0)
    condition = np.repeat(np.arange(len(num_wells)), num_wells)
    return rng.standard_normal((len(condition), num_features)).astype(np.float32), condition


def ours(x: np.ndarray, condition: np.ndarray) -> Timing:
    from phenoprints.consistency import experiment_consistency

    task = partial(experiment_consistency, x, condition, num_null=NUM_NULL)
    return timed(task, clock=time.process_time)


def straightforward(x: np.ndarray, condition: np.ndarray, *, share: int) -> Timing:
    """Equations 2 and 3 as printed, in numpy, for one condition of every `share`."""
    rng = np.random.default_rng(0)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    first = np.flatnonzero(np.diff(condition, prepend=-1))
    num_wells = np.bincount(condition)
    chosen = range(0, len(num_wells), share)
    start = time.process_time()
    for c in chosen:
        n = num_wells[c]
        own = unit[first[c] : first[c] + n]
        observed = (own @ own.T).mean()
        null = np.empty(NUM_NULL)
        for k in range(NUM_NULL):
            others = rng.choice(len(num_wells), n, replace=False, shuffle=False)
            members = unit[first[others] + rng.integers(0, num_wells[others])]
            null[k] = (members @ members.T).mean()
        max(int((null >= observed).sum()), 1) / NUM_NULL
    seconds = (time.process_time() - start) * len(num_wells) / len(chosen)
    return Timing(seconds, f"({len(chosen)} of {len(num_wells)} conditions, scaled)")


def efaar(x: np.ndarray, condition: np.ndarray) -> Timing:
    """EFAAR 1.0's test: mean off-diagonal cosine, against that of 1,000 control perturbations."""
    import pandas as pd
    from efaar_benchmarking.benchmarking import pert_signal_consistency_benchmark

    controls = np.repeat(np.arange(1000) + 10_000, 13)
    metadata = pd.DataFrame({"pert": [*condition, *controls]})
    rng = np.random.default_rng(2)
    x = np.concatenate([x, x[rng.integers(0, len(x), len(controls))]])
    start = time.process_time()
    pert_signal_consistency_benchmark(x, metadata, "pert", list(set(controls)), n_jobs=1)
    return Timing(time.process_time() - start, "(another statistic, K = 1,000 of any n)")


def thousand_conditions(how: str, num_features: int) -> Timing:
    num_wells = np.random.default_rng(1).integers(6, 21, 1000).tolist()
    x, condition = embeddings(num_wells, num_features)
    if how == "straightforward":
        return straightforward(x, condition, share=200)
    return efaar(x, condition) if how == "EFAAR 1.0" else ours(x, condition)


@benchmark(
    "consistency-1000-conditions-d384", min_ratios={"straightforward": 1000, "EFAAR 1.0": None}
)
def thousand_conditions_384(how: str, _folder: Path) -> Timing:
    """1,000 conditions of 6 to 20 wells, 384 features, K = 10,000."""
    return thousand_conditions(how, 384)


@benchmark(
    "consistency-1000-conditions-d1664", min_ratios={"straightforward": 1000, "EFAAR 1.0": None}
)
def thousand_conditions_1664(how: str, _folder: Path) -> Timing:
    """1,000 conditions of 6 to 20 wells, 1,664 features, K = 10,000."""
    return thousand_conditions(how, 1664)


@benchmark("consistency-experiment-1400-wells", max_seconds=0.1)
def experiment_1400(_how: str, _folder: Path) -> Timing:
    """One experiment of 1,400 wells, 1,024 features, conditions of 2 to 20 wells, K = 10,000."""
    return ours(*embeddings([*range(2, 21)] * 6 + [10] * 15, 1024))


@benchmark("consistency-experiment-18600-wells", max_seconds=0.3)
def experiment_18600(_how: str, _folder: Path) -> Timing:
    """One experiment of 18,600 wells, 1,024 features, conditions of 2 to 20 wells, K = 10,000."""
    return ours(*embeddings([*range(2, 21)] * 89, 1024))
