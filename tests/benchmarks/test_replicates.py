from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import cramervonmises_2samp, ks_2samp

from phenoprints.benchmarks import replicate_consistency
from phenoprints.benchmarks.replicates import random_pairs
from phenoprints.maps import unit_rows

GROUPS = {"e1": "r", "e2": "r"}


def make_profiles(noise=0.5, num=60, seed=0, experiments=("e1", "e2")):
    rng = np.random.default_rng(seed)
    truth, names = rng.normal(size=(num, 12)), [f"g{k:03d}" for k in range(num)]
    return {e: (names, truth + noise * rng.normal(size=truth.shape)) for e in experiments}


def compared(profiles, seed=0):
    u, v = (unit_rows(profiles[e][1]) for e in ("e1", "e2"))
    first, second = random_pairs(len(u), seed, "e1", "e2")
    assert (first != second).all()
    return (u * v).sum(axis=1), (u[first] * v[second]).sum(axis=1)


def test_the_statistics_are_those_of_scipy():
    profiles = make_profiles()
    row = replicate_consistency(profiles, GROUPS, seed=4).iloc[0]
    q, null = compared(profiles, 4)
    assert row["ks"] == pytest.approx(ks_2samp(q, null).statistic)
    assert row["cvm"] == pytest.approx(cramervonmises_2samp(q, null).statistic)
    assert row["cvm_per_n"] == pytest.approx(row["cvm"] / 60)
    assert row["num"] == 60


def test_cvm_is_equation_5_of_the_paper():
    profiles = make_profiles(num=40)
    row = replicate_consistency(profiles, GROUPS).iloc[0]
    q, null = (np.sort(values) for values in compared(profiles))
    both = np.concatenate([q, null])
    gap = (np.searchsorted(q, both, "right") - np.searchsorted(null, both, "right")) / 40
    assert row["cvm"] == pytest.approx(40 * 40 / 80**2 * (gap**2).sum())


def test_better_replicates_score_higher_and_permuted_ones_score_nothing():
    good, poor = (
        replicate_consistency(make_profiles(noise), GROUPS).iloc[0]["ks"] for noise in (0.3, 1.5)
    )
    profiles = make_profiles(0.3, num=400)
    profiles["e2"] = (profiles["e2"][0][::-1], profiles["e2"][1])
    lost = replicate_consistency(profiles, GROUPS).iloc[0]["ks"]
    assert good > 0.8 > poor > 0.3
    assert lost < 0.15


def test_a_plate_map_turned_around_is_noticed():
    """With one map planted wrong, replicates agree under the turned map."""
    profiles = make_profiles(0.3, num=200)
    names, x = profiles["e2"]
    planted = {"e1": profiles["e1"], "e2": (names, x[::-1])}
    turned = {"e1": profiles["e1"], "e2": (names[::-1], x[::-1])}
    as_labelled, as_turned = (
        replicate_consistency(p, GROUPS).iloc[0]["mean_cosine"] for p in (planted, turned)
    )
    assert as_turned > as_labelled + 0.5


def test_only_shared_perturbations_are_compared_and_order_does_not_matter():
    profiles = make_profiles()
    names, x = profiles["e1"]
    some = {**profiles, "e1": (names[:30], x[:30])}
    turned = {"e2": profiles["e2"], "e1": (names[:30][::-1], x[:30][::-1])}
    expected = replicate_consistency(some, GROUPS)
    assert replicate_consistency(turned, GROUPS).equals(expected)
    assert expected["num"].tolist() == [30]


def test_all_pairs_of_a_group_are_compared_and_a_group_of_one_is_named():
    profiles = make_profiles(experiments=("a", "b", "c", "d", "e"))
    groups = {"a": "r1", "b": "r1", "c": "r1", "d": "r2", "e": ""}
    table = replicate_consistency(profiles, groups)
    assert table["reason"].tolist() == ["", "", "", "group_of_one"]
    assert table.loc[3, "experiment_a"] == "d"
    assert np.isnan(table.loc[3, "ks"])


def test_too_few_shared_perturbations_have_a_reason():
    profiles = make_profiles()
    names, x = profiles["e1"]
    profiles["e1"] = (names, np.where(np.arange(60)[:, None] < 2, x, np.nan))
    row = replicate_consistency(profiles, GROUPS).iloc[0]
    assert row["reason"] == "too_few_shared"
    assert row["num"] == 2
