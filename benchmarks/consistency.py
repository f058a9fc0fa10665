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


def ours(x: np.ndarray, condition: np.ndarray, plate: np.ndarray | None = None) -> Timing:
    """The null of the experiment, or with plates the plate-matched one."""
    from phenoprints.consistency import Design, experiment_consistency

    null_model = "experiment" if plate is None else "plate-matched"
    task = partial(
        experiment_consistency, x, condition, Design(plate=plate), null_model=null_model,
        num_null=NUM_NULL,
    )  # fmt: skip
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


def spread(
    num_plates: int, replicates: list[int], *, on_plate: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Conditions on random plates, up to `on_plate` wells on a plate, and the plates."""
    rng = np.random.default_rng(3)
    slots = np.repeat(np.arange(num_plates), on_plate)
    plates = [rng.choice(slots, n, replace=False) for n in replicates]
    return np.repeat(np.arange(len(replicates)), replicates), np.concatenate(plates)


def plate_matched(num_plates: int, replicates: list[int], *, on_plate: int = 1) -> Timing:
    condition, plate = spread(num_plates, replicates, on_plate=on_plate)
    x = np.random.default_rng(0).standard_normal((len(condition), 1024)).astype(np.float32)
    return ours(x, condition, plate)


def straightforward_matched(num_plates: int, replicates: list[int], *, share: int) -> Timing:
    """Random sets with a condition's plates, drawn again on a conflict, in numpy."""
    condition, plate = spread(num_plates, replicates)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((len(condition), 1024)).astype(np.float32)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    on_plate = [np.flatnonzero(plate == p) for p in range(num_plates)]
    chosen = range(0, len(replicates), share)
    start = time.process_time()
    for c in chosen:
        own = np.flatnonzero(condition == c)
        observed = (unit[own] @ unit[own].T).mean()
        null = np.empty(NUM_NULL)
        for k in range(NUM_NULL):
            while True:
                rows = np.array([rng.choice(on_plate[p]) for p in plate[own]])
                if len(np.unique(condition[rows])) == len(rows):
                    break
            null[k] = (unit[rows] @ unit[rows].T).mean()
        max(int((null >= observed).sum()), 1) / NUM_NULL
    seconds = (time.process_time() - start) * len(replicates) / len(chosen)
    return Timing(seconds, f"({len(chosen)} of {len(replicates)} conditions, scaled)")


SMALL = [4] * 200 + [6] * 100


@benchmark(
    "consistency-plate-matched-1400-wells-16-plates",
    max_seconds=0.3,
    min_ratios={"straightforward": 1000},
)
def plate_matched_1400(how: str, _folder: Path) -> Timing:
    """1,400 wells on 16 plates, 300 conditions of 4 or 6 wells, 1,024 features, K = 10,000."""
    if how == "straightforward":
        return straightforward_matched(16, SMALL, share=100)
    return plate_matched(16, SMALL)


@benchmark("consistency-plate-matched-1400-wells-two-per-plate", max_seconds=0.3)
def plate_matched_1400_two(_how: str, _folder: Path) -> Timing:
    """The same with up to two wells of a condition on a plate."""
    return plate_matched(16, SMALL, on_plate=2)


@benchmark("consistency-plate-matched-18600-wells-50-plates", max_seconds=5.0)
def plate_matched_50(_how: str, _folder: Path) -> Timing:
    """18,600 wells on 50 plates, 4,650 conditions of four wells, 1,024 features, K = 10,000."""
    return plate_matched(50, [4] * 4650)


@benchmark("consistency-plate-matched-18600-wells-16-plates", max_seconds=1.0)
def plate_matched_16(_how: str, _folder: Path) -> Timing:
    """18,600 wells on 16 plates, 4,650 conditions of four wells, 1,024 features, K = 10,000."""
    return plate_matched(16, [4] * 4650)
