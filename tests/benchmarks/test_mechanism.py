from __future__ import annotations

import numpy as np
import pytest

from phenoprints.benchmarks import mechanism_accuracy
from phenoprints.foundations.errors import DataError

VECTORS = np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 1, 0.1], [0.9, 0, 0.1]])
COMPOUNDS = ("a", "b", "c", "d", "a")


def test_the_neighbour_is_of_another_compound():
    found = mechanism_accuracy(VECTORS, ["m", "n", "o", "o", "m"], COMPOUNDS)
    assert found.num_tested == 5
    assert found.accuracy == 2 / 5  # only the two of mechanism o find each other


def test_the_neighbour_shares_no_batch():
    batches = [["1"], ["1", "2"], ["1"], ["2"], ["2"]]
    found = mechanism_accuracy(VECTORS, ["m", "m", "o", "o", "m"], COMPOUNDS, batches=batches)
    assert found.num_tested == 4  # b shares a batch with everyone
    assert found.accuracy == 2 / 4  # c and d; the two of a may only ask d and c


def test_treatments_without_mechanism_neither_ask_nor_answer():
    found = mechanism_accuracy(VECTORS, ["m", "", "o", "o", "m"], COMPOUNDS)
    assert found.num_tested == 4


def test_random_mechanisms_belong_to_whole_compounds():
    x = np.random.default_rng(0).normal(size=(200, 8))
    labels = [f"m{k // 40}" for k in range(200)]
    compounds = [f"c{k // 4}" for k in range(200)]
    found = mechanism_accuracy(x, labels, compounds, num_random=100)
    assert found.random == pytest.approx(0.2, abs=0.03)
    assert found.accuracy == pytest.approx(found.random, abs=4 * found.random_sd)


def test_nobody_to_ask_is_an_error():
    with pytest.raises(DataError, match="no treatment has a neighbour"):
        mechanism_accuracy(VECTORS, ["m"] * 5, ["a"] * 5)
