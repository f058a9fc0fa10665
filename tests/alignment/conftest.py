"""Small screens without any effect, and embeddings in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.randomness import well_ids


class Embeddings:
    """Embeddings in memory; counts how often each experiment is read."""

    def __init__(self, wells, x):
        indices = wells.groupby("experiment").indices
        self.arrays = {name: x[index] for name, index in indices.items()}
        self.attributes = {"encoder": "test"}
        self.num_reads = dict.fromkeys(self.arrays, 0)

    @property
    def experiments(self):
        return sorted(self.arrays)

    def read(self, experiment):
        self.num_reads[experiment] += 1
        return self.arrays[experiment]


def screen_without_effect(
    num_experiments=3, num_controls=16, num_features=12, *, num_plates=2, seed=0
):
    """Controls in the first columns of 96-well plates, an offset per experiment, no effect."""
    rng = np.random.default_rng(seed)
    wells = pd.DataFrame(
        [
            (f"e{e}", f"p{p}", f"{'ABCDEFGH'[k % 8]}{k // 8 + 1:02d}", k % 8 + 1, k // 8 + 1)
            for e in range(num_experiments)
            for p in range(num_plates)
            for k in range(96)
        ],
        columns=["experiment", "plate", "well", "row", "column"],
    )
    wells["well_id"] = well_ids("s", wells["experiment"], wells["plate"], wells["well"])
    is_control = np.arange(len(wells)) % 96 < num_controls
    wells["role"] = np.where(is_control, "negative_control", "treatment")
    x = rng.normal(size=(len(wells), num_features)) @ rng.normal(size=(num_features,) * 2)
    x += rng.normal(size=(num_experiments, num_features))[wells["experiment"].str[1:].astype(int)]
    return wells, x.astype(np.float32)


@pytest.fixture
def make_screen():
    return screen_without_effect


@pytest.fixture
def embeddings():
    return Embeddings
