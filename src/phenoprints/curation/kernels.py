"""The compiled loops of the funnel: dense arrays over conditions, one pass over the wells."""

# W wells of a part · C conditions · conditions of well w: values[offsets[w]:offsets[w + 1]]

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled


@compiled()
def count_conditions(
    offsets: NDArray[np.int32],
    values: NDArray[np.int32],
    experiment: NDArray[np.int32],
    stays: NDArray[np.bool_],
    num_conditions: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Distinct wells and distinct experiments of every condition, among the wells that stay.

    Wells of an experiment must follow each other. A well that names a condition twice counts once.
    """
    wells = np.zeros(num_conditions, np.int32)
    experiments = np.zeros(num_conditions, np.int32)
    last_well = np.full(num_conditions, -1, np.int32)
    last_experiment = np.full(num_conditions, -1, np.int32)
    for w in range(stays.shape[0]):
        if not stays[w]:
            continue
        for i in range(offsets[w], offsets[w + 1]):
            c = values[i]
            if last_well[c] != w:
                last_well[c] = w
                wells[c] += 1
            if last_experiment[c] != experiment[w]:
                last_experiment[c] = experiment[w]
                experiments[c] += 1
    return wells, experiments


@compiled()
def fold_flags(
    offsets: NDArray[np.int32], values: NDArray[np.int32], flags: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Per well the bits that any, and that all, of its conditions have (none: no bit, all bits)."""
    of_any = np.zeros(offsets.shape[0] - 1, np.uint8)
    of_all = np.full(offsets.shape[0] - 1, 255, np.uint8)
    for w in range(of_any.shape[0]):
        for i in range(offsets[w], offsets[w + 1]):
            of_any[w] |= flags[values[i]]
            of_all[w] &= flags[values[i]]
    return of_any, of_all


@compiled()
def farthest(
    offsets: NDArray[np.int32],
    values: NDArray[np.int32],
    reason: NDArray[np.int8],
    num_conditions: int,
) -> NDArray[np.int8]:
    """Per condition: the highest reason among its wells, -1 without wells."""
    result = np.full(num_conditions, -1, np.int8)
    for w in range(reason.shape[0]):
        for i in range(offsets[w], offsets[w + 1]):
            if reason[w] > result[values[i]]:
                result[values[i]] = reason[w]
    return result
