from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import brunnermunzel, hypergeom

from phenoprints.benchmarks import (
    cluster_separation,
    enrichment,
    neighbour_enrichment,
    proximity_bias,
)
from phenoprints.benchmarks.proximity_bias import superiority


def make_clusters(seed=0, num_clusters=8, size=12, noise=1.0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(num_clusters, 20)).repeat(size, axis=0)
    vectors = vectors + noise * rng.normal(size=vectors.shape)
    names = [f"g{k:03d}" for k in range(len(vectors))]
    clusters = {f"c{c}": frozenset(names[c * size : (c + 1) * size]) for c in range(num_clusters)}
    return vectors, names, clusters


def test_separation_is_that_of_brute_force():
    vectors, names, clusters = make_clusters()
    row = cluster_separation(vectors, names, clusters).set_index("cluster").loc["c3"]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    inside = np.array([name in clusters["c3"] for name in names])
    within = (unit[inside] @ unit[inside].T)[np.triu_indices(12, 1)]
    between = (unit[inside] @ unit[~inside].T).ravel()
    assert row["within_mean"] == pytest.approx(within.mean())
    assert row["between_mean"] == pytest.approx(between.mean())
    both = np.sort(np.concatenate([within, between]))
    steps = [np.searchsorted(np.sort(x), both, "right") / len(x) for x in (within, between)]
    assert row["ks"] == pytest.approx(np.abs(steps[0] - steps[1]).max())


def test_small_clusters_and_the_whole_map_are_left_out():
    vectors, names, clusters = make_clusters()
    clusters = {**clusters, "small": frozenset(names[:9]), "all": frozenset(names)}
    found = cluster_separation(vectors, names, clusters)["cluster"]
    assert set(found) == {f"c{k}" for k in range(8)}
    assert cluster_separation(vectors, names, {}).empty


def test_enrichment_is_hypergeometric():
    _, names, clusters = make_clusters()
    table = enrichment(names[:6] + names[20:30], names, clusters).set_index("cluster")
    expected = hypergeom.sf(5, 96, 12, 16)  # 6 of c0's 12 among 16 of 96
    assert table.loc["c0", "overlap"] == 6
    assert table.loc["c0", "p_value"] == pytest.approx(expected)
    assert table.loc["c0", "corrected_p_value"] == pytest.approx(min(8 * expected, 1))
    assert table["p_value"].is_monotonic_increasing


def test_neighbours_are_enriched_where_clusters_are_real_and_not_by_chance():
    vectors, names, clusters = make_clusters()
    table, random, random_sd = neighbour_enrichment(vectors, names, clusters)
    assert table["is_enriched"].mean() > 0.95
    assert random < 0.1
    assert random_sd < 0.1
    row = table.set_index("name").loc["g005"]
    others = hypergeom.sf(row["overlap"] - 1, 95, 20, 11)
    assert row["p_value"] == pytest.approx(others)


def test_a_map_without_known_groups_gives_an_empty_table():
    vectors, names, _ = make_clusters()
    table, _, _ = neighbour_enrichment(vectors, names, {"x": frozenset({"y"})})
    assert table.empty


def test_the_effect_is_that_of_brunner_and_munzel():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 40) / 2, rng.integers(0, 5, 70) / 2
    brute = np.mean([(a > b) + 0.5 * (a == b) for a in x for b in y])
    assert superiority(x, y) == pytest.approx(brute)
    assert np.sign(brunnermunzel(y, x).statistic) == np.sign(brute - 0.5)


def test_a_biased_arm_is_found_and_the_others_are_near_a_half():
    rng = np.random.default_rng(1)
    names = [f"g{k}" for k in range(120)]
    arms = {name: ("1p", "2q", "3p", "4q")[k // 30] for k, name in enumerate(names)}
    x = rng.normal(size=(120, 30))
    x[:30] += 2 * rng.normal(size=30)
    table = proximity_bias(x, names, arms).set_index("arm")
    assert table.loc["1p", "effect"] > 0.9
    assert table.loc[["2q", "3p", "4q"], "effect"].between(0.35, 0.65).all()
    sampled = proximity_bias(x, names, arms, num_samples=300).set_index("arm")
    assert sampled.loc["1p", "effect"] == pytest.approx(table.loc["1p", "effect"], abs=0.05)


def test_small_arms_are_left_out():
    names = [f"g{k}" for k in range(30)]
    arms = {name: ("1p" if k < 19 else "2q") for k, name in enumerate(names)}
    assert proximity_bias(np.eye(30), names, arms).empty
