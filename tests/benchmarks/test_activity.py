from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.benchmarks import phenotypic_activity
from phenoprints.benchmarks.activity import null_precisions
from phenoprints.foundations.errors import DataError


def make_wells(seed=0, strength=2.0):
    """Twenty groups of four wells; groups 10 to 19 do nothing."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(-1, 20), 4)
    effect = rng.normal(size=(21, 16))
    effect[11:] = 0
    x = rng.normal(size=(84, 16)) + strength * effect[group + 1]
    return x, group, rng.normal(size=(60, 16))


def test_precisions_are_those_of_copairs():
    pytest.importorskip("copairs")
    from copairs.map import average_precision

    x, group, controls = make_wells(strength=0.7)
    result = phenotypic_activity(x, group, controls, num_null=200)
    meta = pd.DataFrame({"group": np.append(group[group >= 0], np.full(60, 99))})
    meta["is_control"] = meta["group"] == 99
    scores = average_precision(
        meta,
        np.concatenate([x[group >= 0], controls]),
        pos_sameby=["group"],
        pos_diffby=[],
        neg_sameby=[],
        neg_diffby=["is_control"],
        progress_bar=False,
    )
    expected = scores[~scores["is_control"]].groupby("group")["average_precision"].mean()
    np.testing.assert_allclose(result["mean_average_precision"], expected, atol=1e-6)


def test_planted_effects_are_active_and_the_others_are_not():
    result = phenotypic_activity(*make_wells(), num_null=2000)
    assert result["is_active"].tolist() == [True] * 10 + [False] * 10
    assert (result["corrected_p_value"] >= result["p_value"]).all()


@pytest.mark.parametrize(("control", "value", "p"), [((1, 0), 0.75, 0.5), ((0, 1), 1.0, 0.5)])
def test_a_tie_with_the_null_counts(control, value, p):
    """copairs 0.5.5 counts only null values above: the perfect group would get 1/(K + 1).

    With one positive and one negative the null is 1 or 0.5, each half of the time.
    """
    x = np.array([[1.0, 0], [1, 0]])
    result = phenotypic_activity(x, np.zeros(2, int), np.array([control], float), num_null=1000)
    assert result["mean_average_precision"].item() == pytest.approx(value)
    assert result["p_value"].item() == pytest.approx(p, abs=0.06)


def test_the_null_is_that_of_exact_enumeration():
    drawn = null_precisions(2, 3, 20_000, 0)
    ranks = [(i, j) for i in range(1, 6) for j in range(i + 1, 6)]
    exact = np.array([(1 / i + 2 / j) / 2 for i, j in ranks])
    values, counts = np.unique(drawn.round(12), return_counts=True)
    expected, times = np.unique(exact.round(12), return_counts=True)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_allclose(counts / 20_000, times / len(ranks), atol=0.01)


def test_single_wells_have_a_reason_and_missing_controls_are_an_error():
    x, group, controls = make_wells()
    x[group == 3] = np.nan
    result = phenotypic_activity(x, group, controls, num_null=200).set_index("group")
    assert result.loc[3, "reason"] == "too_few_wells"
    assert result["p_value"].isna().sum() == 1
    with pytest.raises(DataError, match="no control well"):
        phenotypic_activity(x, group, np.full((3, 16), np.nan))
