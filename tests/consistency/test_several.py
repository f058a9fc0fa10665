"""One call for several experiments equals the test of each, combined."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.consistency import (
    Design,
    combine_cauchy,
    condition_consistency,
    experiment_consistency,
)
from phenoprints.foundations.errors import DataError


def wells() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    condition = np.tile(np.repeat([f"c{i:02}" for i in range(20)], 3), 3)
    experiment = np.repeat(["e1", "e2", "e3"], 60)
    plate = np.tile(["p1", "p2", "p3"], 60)
    return rng.normal(size=(180, 8)), condition, experiment, plate


def test_it_equals_the_tests_of_each_experiment() -> None:
    x, condition, experiment, plate = wells()
    got = condition_consistency(x, condition, experiment, plate=plate, num_null=500, seed=3)
    apart = {}
    for name in ("e1", "e2", "e3"):
        own = experiment == name
        table = experiment_consistency(
            x[own], condition[own], Design(name, plate=plate[own]), num_null=500, seed=3
        )
        apart[name] = table.set_index("condition")["p_value"]
    p = pd.DataFrame(apart)
    expected = combine_cauchy(p.to_numpy(), clip=(1 / 500, 1 - 1 / 500))
    np.testing.assert_allclose(got.set_index("condition")["p_value"], expected, rtol=1e-12)
    np.testing.assert_array_equal(got["smallest_p_value"], p.min(axis=1))
    assert (got["num_wells"] == 9).all()


def test_arrays_of_different_lengths_are_refused() -> None:
    x, condition, experiment, _ = wells()
    with pytest.raises(DataError, match="one condition and one experiment per well"):
        condition_consistency(x[:5], condition, experiment)
