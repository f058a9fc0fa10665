"""Random vectors: the floor that every encoder has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from phenoprints.foundations.randomness import hash_uint64

UNIFORM_BITS = 53
"""Bits of a double between 0 and 1."""


def random_vectors(
    well_ids: NDArray[np.uint64], num_features: int, *, seed: int
) -> NDArray[np.float32]:
    """Independent standard normal vectors (n, D) that depend on the seed and each well's id alone.

    Each value is the normal quantile of a hash of (seed, well, feature), so that neither the
    order nor the choice of wells changes the vector of a well.
    """
    lanes = hash_uint64(seed + 1, np.arange(num_features, dtype=np.uint64))
    hashes = hash_uint64(seed, well_ids[:, None] ^ lanes[None, :])
    uniform = ((hashes >> np.uint64(64 - UNIFORM_BITS)).astype(np.float64) + 0.5) * 2.0**-53
    return ndtri(uniform).astype(np.float32)
