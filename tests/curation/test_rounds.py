"""Two rounds of curation: an encoder that learns from one manifest judges the next."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t
from sklearn.decomposition import PCA

from phenoprints.consistency import ConsistencySettings, screen_consistency
from phenoprints.curation import Rules, curate, phenoprints_table
from phenoprints.testing.simulation.embeddings import simulate_embeddings

NUM_SIGNAL, NUM_NOISE = 20, 80


def images_of(screen, seed):
    """What an encoder sees: a few directions with effects, hidden among many without."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((len(screen.vectors), NUM_NOISE))
    rotation = np.linalg.qr(rng.standard_normal((NUM_SIGNAL + NUM_NOISE,) * 2))[0]
    return np.hstack([screen.vectors, noise]) @ rotation


class Encoded:
    """Vectors as a reader."""

    def __init__(self, screen, vectors):
        self.wells, self.vectors, self.experiments = screen.wells, vectors, screen.experiments

    def read(self, experiment):
        return self.vectors[(self.wells["experiment"] == experiment).to_numpy()]


def one_round(screen, reader, rules, seed):
    """Phenoprints and funnel as this encoder judges."""
    tests = screen_consistency(
        screen.wells, screen.conditions, reader,
        settings=ConsistencySettings(num_null=1000, control_guard=False), seed=seed,
    )  # fmt: skip
    table = phenoprints_table({"judge": {"screen": tests}}, screen.conditions, rules)
    return table, curate(screen.wells, table, rules, seed=seed)


def precision_and_recall(table, truth):
    """Of the conditions called, how many are true; of those that are, how many are called."""
    called = table.set_index("condition_id")["has_phenoprint"].astype(bool)
    truth = truth.set_index("condition_id")["truth"]
    counted = truth.index[truth != "partial"]
    full, called = truth[counted] == "full", called[counted]
    return (called & full).sum() / max(called.sum(), 1), (called & full).sum() / full.sum()


@pytest.fixture(scope="module")
def rounds():
    """Precision and recall of both rounds for five seeds."""
    rules = Rules(judges=("judge",), min_experiments=3, min_wells=6)
    results = []
    for seed in range(5):
        screen = simulate_embeddings(
            num_conditions=400, full_share=0.4, partial_share=0.05, num_experiments=3,
            num_plates=4, dimensions=NUM_SIGNAL, batch=0.0, effect=3.2, seed=seed,
        )  # fmt: skip
        images = images_of(screen, seed)
        first, funnel = one_round(screen, Encoded(screen, images), rules, seed)
        # The next encoder learns without labels, from the wells that the first manifest keeps.
        encoder = PCA(NUM_SIGNAL, svd_solver="full").fit(images[funnel.is_kept])
        second, _ = one_round(screen, Encoded(screen, encoder.transform(images)), rules, seed)
        results.append([precision_and_recall(table, screen.truth) for table in (first, second)])
    return np.array(results)  # seed, round, (precision, recall)


def test_the_second_round_is_as_precise_as_the_first(rounds):
    difference = rounds[:, 1, 0] - rounds[:, 0, 0]
    margin = t.ppf(0.95, 4) * difference.std(ddof=1) / np.sqrt(5)
    assert difference.mean() - margin > -0.02


def test_the_second_round_finds_more(rounds):
    precision, recall = rounds.mean(axis=0).T
    assert precision.min() > 0.9
    assert recall[1] > recall[0] > 0.4
