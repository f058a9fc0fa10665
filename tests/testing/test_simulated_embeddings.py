"""Embeddings drawn from a statistical model."""

from __future__ import annotations

import numpy as np
import pytest

from phenoprints.foundations.errors import DataError
from phenoprints.testing.simulation import SimulatedEmbeddings, simulate_embeddings
from phenoprints.wells.contracts import CONDITIONS, WELLS


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def mean_cosine(simulated: SimulatedEmbeddings, condition: int, experiment: str) -> float:
    wells = simulated.wells
    own = [listed == [condition] for listed in wells["conditions"]]
    vectors = unit(simulated.vectors[own & (wells["experiment"] == experiment).to_numpy()])
    return float(np.mean((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]))


def test_tables_conform_and_rows_follow_the_wells() -> None:
    simulated = simulate_embeddings(num_conditions=30, num_experiments=2, dimensions=8)
    assert WELLS.conform(simulated.wells).num_rows == len(simulated.vectors) == 2 * 4 * 46
    assert CONDITIONS.conform(simulated.conditions).num_rows == 31
    wells = simulated.wells.sort_values(["experiment", "plate", "well"])
    assert wells["well_id"].tolist() == simulated.wells["well_id"].tolist()


def test_each_experiment_reads_its_own_rows() -> None:
    simulated = simulate_embeddings(num_conditions=10, num_experiments=3, dimensions=4)
    parts = [simulated.read(name) for name in simulated.experiments]
    assert np.array_equal(np.concatenate(parts), simulated.vectors)


def test_effects_show_where_the_truth_says() -> None:
    simulated = simulate_embeddings(
        num_conditions=9, full_share=1 / 3, partial_share=1 / 3, num_experiments=3, effect=30.0,
        batch=0.0, dimensions=32,
    )  # fmt: skip
    for row in simulated.truth.itertuples():
        for experiment in simulated.experiments:
            is_on = row.truth == "full" or row.only_in == experiment
            cosine = mean_cosine(simulated, row.condition_id, experiment)
            assert (cosine > 0.8) if is_on else (cosine < 0.4)


def test_position_is_shared_by_wells_of_one_place() -> None:
    simulated = simulate_embeddings(
        num_conditions=5, position=30.0, positions="fixed", batch=0.0, num_experiments=1
    )
    assert mean_cosine(simulated, 2, "experiment-01") > 0.8
    moving = simulate_embeddings(
        num_conditions=40, position=30.0, positions="moving", batch=0.0, num_experiments=1
    )
    assert np.median([mean_cosine(moving, c, "experiment-01") for c in range(40)]) < 0.3


def test_batches_differ_and_the_seed_decides() -> None:
    one = simulate_embeddings(num_conditions=20, seed=1)
    again = simulate_embeddings(num_conditions=20, seed=1)
    other = simulate_embeddings(num_conditions=20, seed=2)
    assert np.array_equal(one.vectors, again.vectors)
    assert not np.array_equal(one.vectors, other.vectors)
    means = np.stack([one.read(name).mean(axis=0) for name in one.experiments])
    assert means.std(axis=0).mean() > 1.0


def test_too_many_wells_are_refused() -> None:
    with pytest.raises(DataError, match="1600 wells on a plate"):
        simulate_embeddings(num_conditions=1584)
