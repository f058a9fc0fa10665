"""Quotas against enumeration, flat samples of unequal clusters, and caps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprints.configuration.models.curation import Balance
from phenoprints.curation.balancing import (
    Hierarchy,
    balance,
    capped_quotas,
    default_levels,
    equal_shares,
    fit_hierarchy,
    flat_quotas,
    gini,
    kept_by_quota,
    sampled_wells,
)
from phenoprints.foundations.errors import DataError

SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=8).map(np.array)


def filled(sizes: np.ndarray, total: int) -> np.ndarray:
    """The same by handing out one well after the other to the cluster with fewest."""
    shares = np.zeros_like(sizes)
    for _ in range(total):
        open_ones = np.flatnonzero(shares < sizes)
        # Of equal ones the largest cluster, of equally large ones the last, as in the function.
        best = max(open_ones, key=lambda c: (-shares[c], sizes[c], c))
        shares[best] += 1
    return shares


@given(SIZES, st.integers(0, 100))
def test_shares_are_those_of_handing_out_one_by_one(sizes, total) -> None:
    total = min(total, int(sizes.sum()))
    assert equal_shares(sizes, total).tolist() == filled(sizes, total).tolist()


@given(SIZES, st.integers(1, 20))
def test_no_cluster_exceeds_its_cap(sizes, percent) -> None:
    kept = capped_quotas(sizes, percent / 20)
    assert (kept <= sizes).all()
    holding = sizes[sizes > 0]
    if len(holding) * percent >= 20:
        assert kept.max(initial=0) <= percent / 20 * kept.sum()
        larger = np.minimum(sizes, kept.max(initial=0) + 1)
        if (larger > kept).any():
            assert larger.max() > percent / 20 * larger.sum()


def test_quotas_are_flat_at_every_level() -> None:
    sizes = np.array([100, 10, 10, 40, 2])
    parents = [np.array([0, 0, 0, 1, 1])]
    assert flat_quotas(sizes, parents, 60).tolist() == [10, 10, 10, 28, 2]
    assert flat_quotas(sizes, parents, 1000).tolist() == sizes.tolist()


def clusters(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wells of 40 appearances, one of which has three quarters of all."""
    rng = np.random.default_rng(seed)
    sizes = np.r_[6000, np.full(39, 50)]
    label = np.repeat(np.arange(40), sizes)
    x = 4 * rng.standard_normal((40, 16))[label] + rng.standard_normal((len(label), 16))
    return x.astype(np.float32), label, rng.permutation(len(label)).astype(np.uint64)


def test_a_dominating_appearance_is_thinned_out_and_rare_ones_stay() -> None:
    x, label, ids = clusters()
    hierarchy = fit_hierarchy(x, [200, 20], seed=0)
    cluster = hierarchy.assign(x)
    done = balance(hierarchy, cluster, ids, Balance(fraction=0.3))
    kept = np.bincount(label[done.is_kept], minlength=40) / np.bincount(label)
    assert done.is_kept.sum() == round(0.3 * len(x))
    assert kept[0] < 0.15
    assert np.median(kept[1:]) > 0.6
    summary = done.summary
    assert summary["gini_after"] < summary["gini_before"]
    assert summary["largest_share_after"] < summary["largest_share_before"]


def test_a_cap_limits_every_cluster() -> None:
    x, _, ids = clusters()
    hierarchy = fit_hierarchy(x, [200, 20], seed=0)
    done = balance(hierarchy, hierarchy.assign(x), ids, Balance(method="cap", max_share=0.1))
    assert done.clusters["kept"].max() <= 0.1 * done.clusters["kept"].sum()
    assert done.is_kept.sum() == done.clusters["kept"].sum()


def test_who_stays_does_not_depend_on_the_order() -> None:
    x, _, ids = clusters()
    hierarchy = fit_hierarchy(x, [100, 10], seed=0)
    cluster = hierarchy.assign(x)
    order = np.random.default_rng(5).permutation(len(x))
    one = balance(hierarchy, cluster, ids, Balance())
    other = balance(hierarchy, cluster[order], ids[order], Balance())
    assert set(ids[one.is_kept]) == set(ids[order][other.is_kept])


def test_wells_without_vectors_stay_and_are_counted() -> None:
    x, _, ids = clusters()
    x[:7] = np.nan
    hierarchy = fit_hierarchy(x, [50], seed=0)
    done = balance(hierarchy, hierarchy.assign(x), ids, Balance(fraction=0.1))
    assert done.is_kept[:7].all()
    assert done.summary["without_vector"] == 7


def test_assignment_is_the_nearest_centre() -> None:
    rng = np.random.default_rng(2)
    hierarchy = Hierarchy(rng.standard_normal((9, 5)).astype(np.float32), ())
    x = rng.standard_normal((100, 5)).astype(np.float32)
    distance = np.linalg.norm(x[:, None] - hierarchy.centres, axis=2)
    assert hierarchy.assign(x).tolist() == distance.argmin(axis=1).tolist()


def test_a_quota_takes_the_smallest_hashes_of_each_cluster() -> None:
    cluster = np.array([0, 1, 0, 1, 0, -1], np.int32)
    ids = np.arange(6, dtype=np.uint64)
    kept = kept_by_quota(cluster, np.array([2, 1]), ids, 0)
    assert np.bincount(cluster[kept & (cluster >= 0)]).tolist() == [2, 1]
    assert kept[5]
    fewer = kept_by_quota(cluster, np.array([1, 0]), ids, 0)
    assert not (fewer & ~kept).any()


@pytest.mark.parametrize(
    ("sizes", "value"), [([3, 3, 3], 0.0), ([0, 0, 0, 1], 0.75), ([1, 3], 0.25)]
)
def test_gini(sizes, value) -> None:
    assert gini(np.array(sizes)) == pytest.approx(value)


def test_levels_and_samples() -> None:
    assert default_levels(100) == [8]
    assert default_levels(10**7) == [4096, 256, 16]
    ids = np.arange(1000, dtype=np.uint64)
    assert sampled_wells(ids, 0, 100).sum() == 100
    assert sampled_wells(ids, 0, 2000).all()


def test_fewer_wells_than_clusters_are_refused() -> None:
    with pytest.raises(DataError, match=r"balance\.levels"):
        fit_hierarchy(np.zeros((3, 2), np.float32), [8])
