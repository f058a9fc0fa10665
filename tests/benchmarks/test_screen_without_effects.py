"""A map of a screen without any effect recalls pathways at the nominal rate."""

from __future__ import annotations

import numpy as np
import pandas as pd

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.benchmarks import relationship_recall
from phenoprints.testing.simulation import simulate_embeddings

NUM_SCREENS = 5
NUM_GENES = 60
NUM_PAIRS = 180
NOMINAL = 0.1


def recall_of_screen(seed):
    screen = simulate_embeddings(num_conditions=NUM_GENES, dimensions=16, seed=seed)
    alignment = fit_alignment(screen.wells, screen, AlignmentSettings())
    reader = alignment.of(screen)
    parts = []
    for experiment in reader.experiments:
        wells = screen.wells[screen.wells["experiment"] == experiment]
        rows = (wells["role"] == "treatment").to_numpy()
        x = reader.read(experiment)[rows]
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        condition = [conditions[0] for conditions in wells.loc[rows, "conditions"]]
        parts.append(pd.DataFrame(unit).assign(condition=condition))
    vectors = pd.concat(parts).groupby("condition").mean()
    names = [f"G{i}" for i in range(len(vectors))]
    rng = np.random.default_rng(seed)
    pairs = pd.DataFrame(
        [sorted(rng.choice(names, 2, replace=False)) for _ in range(NUM_PAIRS)],
        columns=["entity1", "entity2"],
    )
    table = relationship_recall(vectors.to_numpy(), names, pairs, thresholds=(0.05, 0.95))
    row = table[(table["tails"] == "both") & (table["pairs"] == "all")].iloc[0]
    return float(row["recall"]), int(row["num_pairs"])


def test_pathways_are_recalled_at_the_nominal_rate():
    recalls, counts = zip(*(recall_of_screen(seed) for seed in range(NUM_SCREENS)), strict=True)
    pooled = np.average(recalls, weights=counts)
    sd = np.sqrt(NOMINAL * (1 - NOMINAL) / sum(counts))
    assert abs(pooled - NOMINAL) <= 3 * sd
