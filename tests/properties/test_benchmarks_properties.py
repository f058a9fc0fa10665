from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from phenoprints.benchmarks import energy_distance, mechanism_accuracy, relationship_recall
from phenoprints.benchmarks.compound_gene import auc, average_precision
from phenoprints.maps import aggregate

SEEDS = st.integers(0, 2**32 - 1)
SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=8)


@given(seed=SEEDS, shift=st.floats(-50, 50), scale=st.floats(0.1, 10))
def test_energy_distance_is_symmetric_not_negative_moves_along_and_scales(seed, shift, scale):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(9, 4)) + 1
    distance = energy_distance(x, y)
    assert distance >= 0
    np.testing.assert_allclose(energy_distance(y, x), distance, atol=1e-10)
    np.testing.assert_allclose(energy_distance(x + shift, y + shift), distance, atol=1e-7)
    np.testing.assert_allclose(energy_distance(scale * x, scale * y), scale * distance, rtol=1e-7)


@given(seed=SEEDS, angle=st.floats(0, 6))
def test_recall_does_not_change_with_a_rotation_or_with_lengths(seed, angle):
    rng = np.random.default_rng(seed)
    x, names = rng.normal(size=(30, 2)), [f"g{k}" for k in range(30)]
    pairs = pd.DataFrame(rng.choice(names, (100, 2)), columns=["entity1", "entity2"])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    longer = (x @ turn) * rng.uniform(0.5, 2, 30)[:, None]
    expected = relationship_recall(x, names, pairs)["recall"]
    np.testing.assert_allclose(relationship_recall(longer, names, pairs)["recall"], expected)


@given(positive=SCORES, negative=SCORES)
def test_precision_lies_between_0_and_1_and_only_order_counts(positive, negative):
    p, n = np.array([positive], float), np.array([negative], float)
    value, area = average_precision(p, n).item(), auc(p, n).item()
    assert 0 < value <= 1
    assert 0 <= area <= 1
    np.testing.assert_allclose(average_precision(np.exp(p), np.exp(n)), value)
    np.testing.assert_allclose(auc(-p, -n), 1 - area)


@given(seed=SEEDS, repeats=st.integers(2, 4))
def test_copies_of_wells_do_not_move_a_mean(seed, repeats):
    rng = np.random.default_rng(seed)
    x, code = rng.normal(size=(20, 3)), rng.integers(-1, 4, 20)
    for how in ("spherical-mean", "mean", "median"):
        once = aggregate(x, code, 4, how=how)
        again = aggregate(np.tile(x, (repeats, 1)), np.tile(code, repeats), 4, how=how)
        np.testing.assert_allclose(again, once, atol=1e-12)


@given(seed=SEEDS)
def test_mechanism_accuracy_does_not_depend_on_row_order(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(25, 4))
    labels, compounds = rng.choice(list("mno"), 25), rng.choice([f"c{k}" for k in range(9)], 25)
    order = rng.permutation(25)
    one = mechanism_accuracy(x, labels.tolist(), compounds.tolist())
    two = mechanism_accuracy(x[order], labels[order].tolist(), compounds[order].tolist())
    assert (one.accuracy, one.num_tested) == (two.accuracy, two.num_tested)
