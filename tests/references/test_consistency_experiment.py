"""experiment_consistency against a straightforward form of equations 2 and 3, and enumeration."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import binom, kstest

from phenoprints.consistency import Design, experiment_consistency

NULLS = ["experiment", "plate-matched", "any-wells", "negative-controls", "layout-matched"]


def mean_cosine(x):
    """Equation 2 as it is printed: the mean over all pairs of replicates."""
    n = len(x)
    cosines = [
        x[i] @ x[j] / (np.linalg.norm(x[i]) * np.linalg.norm(x[j]))
        for i in range(n)
        for j in range(n)
    ]
    return sum(cosines) / n**2


def sampled_p(x, condition, label, num_null, rng):
    """Equation 3 as it is printed, with its own draws."""
    own = x[condition == label]
    names = np.unique(condition)
    null = []
    for _ in range(num_null):
        chosen = rng.choice(names, len(own), replace=False)
        rows = [rng.choice(np.flatnonzero(condition == name)) for name in chosen]
        null.append(mean_cosine(x[rows]))
    return max(np.sum(np.array(null) >= mean_cosine(own)), 1) / num_null


def test_statistics_equal_equation_2():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((70, 33)).astype(np.float32)
    condition = rng.integers(0, 12, 70)
    table = experiment_consistency(x, condition, num_null=100, null_model="experiment")
    expected = [mean_cosine(x[condition == c].astype(float)) for c in table["condition"]]
    np.testing.assert_allclose(table["statistic"], expected, rtol=0, atol=1e-6)


def test_p_values_agree_with_equation_3():
    rng = np.random.default_rng(1)
    condition = np.repeat(np.arange(15), 4)
    x = rng.standard_normal((60, 10)) + 0.5 * rng.standard_normal((15, 10))[condition]
    table = experiment_consistency(x, condition, num_null=20_000, null_model="experiment")
    for label in (0, 4, 9):
        expected = sampled_p(x, condition, label, 1500, rng)
        spread = np.sqrt(expected * (1 - expected) / 1500) + 1 / 1500
        assert table["p_value"][label] == pytest.approx(expected, abs=4 * spread)


def possible_sets(null, condition, stratum, is_control, own):
    """Every set that a null may draw, by trying all combinations of rows, with its probability.

    All choices of conditions are equally likely, then all wells of a condition (in a stratum).
    """
    n, composition = own.sum(), sorted(stratum[own])
    rows = np.flatnonzero(is_control if null == "negative-controls" else ~is_control)
    for chosen in combinations(rows, n):
        chosen = np.array(chosen)
        is_distinct = len(set(condition[chosen])) == n
        is_matched = sorted(stratum[chosen]) == composition
        if null in ("any-wells", "negative-controls") or (
            is_distinct and (null == "experiment" or is_matched)
        ):
            is_free = null in ("any-wells", "negative-controls")
            alike = [
                1 if is_free else np.sum((condition == condition[i]) & (stratum == stratum[i]))
                for i in chosen
            ]
            yield chosen, 1 / np.prod(alike)


def mixture_p(x, condition, stratum, own, sets):
    """The matched null: own wells as often as in all sets of as many wells of each stratum.

    `condition` is None outside of the pool. Sets with one pattern of own wells are as likely as
    their pattern in all sets; among themselves by the draw of different other conditions.
    """
    rows = np.flatnonzero([(c is not None) or o for c, o in zip(condition, own, strict=True)])
    composition = sorted(stratum[own])
    patterns, reaching, share = {}, {}, {}
    for chosen in map(np.array, combinations(rows, own.sum())):
        if sorted(stratum[chosen]) != composition:
            continue
        pattern = tuple(sorted(stratum[chosen[own[chosen]]]))
        patterns[pattern] = patterns.get(pattern, 0) + 1
        others = chosen[~own[chosen]]
        names = {condition[i] for i in others} - set(condition[own])
        if len(names) < len(others):
            continue
        is_alike = [(condition == condition[i]) & (stratum == stratum[i]) for i in others]
        weight = 1 / np.prod([np.sum(alike) for alike in is_alike])
        reaches = mean_cosine(x[chosen]) >= mean_cosine(x[own]) - 1e-12
        share[pattern] = share.get(pattern, 0) + weight
        reaching[pattern] = reaching.get(pattern, 0) + weight * reaches
    whole = patterns.pop(tuple(composition)) / sum(patterns.values(), 1)
    rest = sum(count for pattern, count in patterns.items() if pattern in share)
    reach = sum(
        count * reaching[pattern] / share[pattern]
        for pattern, count in patterns.items()
        if pattern in share
    )
    return max(whole + (1 - whole) * reach / rest, 1 / (sets + 1) if sets else 0)


@pytest.mark.parametrize("num_null", [10_000, 60], ids=["enumerated", "drawn"])
@pytest.mark.parametrize("is_in_pool", [True, False])
@pytest.mark.parametrize("sizes", [[3, 3, 3, 3], [4, 2, 4, 3, 2], [2, 2, 2, 2, 2]])
def test_matched_null_sets_hold_own_wells_as_random_sets_do(sizes, is_in_pool, num_null):
    """Against all sets of two plates; seeds average the draws, which are few."""
    rng = np.random.default_rng(4)
    condition = np.repeat(np.arange(len(sizes)), sizes).astype(object)
    stratum = np.concatenate([np.arange(size) % 2 for size in sizes])
    x = rng.standard_normal((len(condition), 3))
    own = condition == 0
    label = np.where(own, 0, None)
    condition[own & (not is_in_pool)] = None
    design = Design(group=condition, plate=stratum)
    rows = [
        experiment_consistency(x, label, design, num_null=num_null, threshold=0.5, seed=seed)
        for seed in range(1 if is_in_pool and num_null > 60 and sizes[0] == 2 else 200)
    ]
    found = np.array([row["p_value"][0] for row in rows])
    num_sets = int(rows[0]["num_sets"][0]) if num_null > 60 else 0
    expected = mixture_p(x, condition, stratum, own, num_sets)
    error = found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else 0
    assert 0.05 < expected < 0.95
    assert found.mean() == pytest.approx(expected, abs=4 * error + 1e-12)


@pytest.mark.parametrize("null", NULLS)
def test_small_experiments_equal_full_enumeration(null):
    rng = np.random.default_rng(3)
    condition = np.array(["a", "a", "a", "b", "b", "c", "c", "c", "d", "e", "e", *["dmso"] * 6])
    is_control = condition == "dmso"
    is_matched = null in ("plate-matched", "layout-matched")
    stratum = np.arange(17) % 3 if is_matched else np.zeros(17, dtype=int)
    x = rng.standard_normal((17, 5)) + (condition == "b")[:, None]
    labels = np.where(is_control, None, condition)
    design = Design(
        group=condition,
        is_control=is_control,
        plate=stratum if null == "plate-matched" else stratum // 2,
        edge=stratum % 2,
    )
    table = experiment_consistency(x, labels, design, null_model=null, threshold=0.5).set_index(
        "condition"
    )
    for label in "abce":
        own = condition == label
        sets = list(possible_sets(null, condition, stratum, is_control, own))
        values = np.array([mean_cosine(x[chosen]) for chosen, _ in sets])
        weights = np.array([weight for _, weight in sets])
        b = len(sets) * weights[values >= mean_cosine(x[own]) - 1e-12].sum() / weights.sum()
        expected = b / len(values) if null == "any-wells" else (b + 1) / (len(values) + 1)
        error = 1e-12
        if is_matched:
            expected = mixture_p(x, labels, stratum, own, len(sets))
            error = 1e-12 if own.sum() == 2 else 0.02  # some sets with two own wells are drawn
        assert table["p_value"][label] == pytest.approx(expected, abs=error), label
        assert table["num_sets"][label] == len(sets)


def test_three_conditions_of_three_wells_have_27_null_sets():
    x = np.vstack([np.eye(3), -np.eye(3), np.ones((3, 3))])
    table = experiment_consistency(x, np.repeat(["a", "b", "c"], 3), null_model="experiment")
    groups = np.split(x, 3)
    null = [mean_cosine(np.array(chosen)) for chosen in product(*groups)]
    expected = (np.sum(np.array(null) >= 1.0 - 1e-12) + 1) / 28
    assert table["p_value"][2] == pytest.approx(expected)


def shuffled_p_values(num_seeds, null, num_conditions, num_wells):
    """One p-value per seed: labels shuffled over wells that differ in nothing but chance.

    With strata (plates, or experiments under "across-experiments") each has its own offset.
    """
    is_across = null == "across-experiments"
    p_values = []
    for seed in range(num_seeds):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((num_conditions * num_wells + 30, 6))
        condition = rng.permutation(np.repeat(np.arange(num_conditions), num_wells))
        condition = np.append(condition, [-1] * 30)
        is_free = null in ("experiment", "any-wells", "negative-controls")
        stratum = None if is_free else rng.integers(0, 2, len(x))
        table = experiment_consistency(
            x if stratum is None else x + 3.0 * stratum[:, None],
            np.where(condition == 0, 0, None),
            Design(
                stratum if is_across else "", group=condition, is_control=condition < 0,
                plate=stratum, edge=np.zeros(len(x)),
            ),
            null_model="experiment" if is_across else null, num_null=1000, seed=seed,
        )  # fmt: skip
        p_values += table["p_value"].tolist()
    return np.array(p_values)


@pytest.mark.parametrize("null", [*NULLS, "across-experiments"])
def test_p_values_are_uniform_without_effect(null):
    p_values = shuffled_p_values(500, null, num_conditions=20, num_wells=3)
    assert not np.isnan(p_values).any()
    assert kstest(p_values, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("num_conditions", [3, 4, 5, 8])
def test_small_experiments_call_no_more_than_they_promise(num_conditions):
    p_values = shuffled_p_values(500, "experiment", num_conditions, num_wells=3)
    assert np.sum(p_values < 0.01) <= binom.ppf(0.999, len(p_values), 0.01)


def test_unequal_numbers_of_wells_stay_calibrated():
    p_values = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        condition = rng.permutation(np.repeat(np.arange(15), rng.integers(2, 7, 15)))
        x = rng.standard_normal((len(condition), 6))
        labels = np.where(condition == seed % 15, 0, None)
        design = Design(group=condition)
        table = experiment_consistency(
            x, labels, design, null_model="experiment", num_null=1000, seed=seed
        )
        p_values += table["p_value"].tolist()
    assert kstest(p_values, "uniform").pvalue > 1e-3
