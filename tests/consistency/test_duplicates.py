"""Vectors that stand under several wells are found, over experiments too."""

from __future__ import annotations

import numpy as np

from phenoprints.consistency import repeated_vectors
from phenoprints.testing.simulation.embeddings import simulate_embeddings


class Reader:
    def __init__(self, screen, vectors):
        self.screen, self.vectors, self.experiments = screen, vectors, screen.experiments

    def read(self, experiment):
        return self.vectors[(self.screen.wells["experiment"] == experiment).to_numpy()]


def test_copies_are_listed_with_their_original():
    screen = simulate_embeddings(num_conditions=5, num_experiments=2, dimensions=4)
    ids = screen.wells["well_id"].to_numpy()
    assert repeated_vectors(screen.wells, screen).empty
    vectors = screen.vectors.copy()
    vectors[[7, len(ids) - 1]] = vectors[2]
    vectors[[3, 4]] = 0.0
    vectors[[5, 6]] = np.nan
    copies = repeated_vectors(screen.wells, Reader(screen, vectors))
    assert copies["well_id"].tolist() == [ids[7], ids[-1]]
    assert copies["same_as"].tolist() == [ids[2]] * 2
    assert copies["experiment"].tolist() == [screen.experiments[0], screen.experiments[1]]
