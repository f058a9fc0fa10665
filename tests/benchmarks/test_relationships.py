from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.benchmarks import NullSettings, order_statistics, relationship_recall
from phenoprints.benchmarks.order_statistics import BLOCK_ROWS, scan_pairs
from phenoprints.benchmarks.relationships import clean_pairs
from phenoprints.foundations.errors import DataError
from phenoprints.maps import unit_rows


def make_map(num=120, num_components=16, seed=0):
    x = np.random.default_rng(seed).normal(size=(num, num_components))
    return x, [f"g{k:04d}" for k in range(num)]


def make_pairs(names, num=400, seed=1, source="known"):
    rng = np.random.default_rng(seed)
    first, second = rng.choice(names, (2, num))
    return pd.DataFrame({"entity1": first, "entity2": second, "source": source})


def sorted_cosines(unit):
    return np.sort(np.concatenate([(unit @ unit.T)[i, i + 1 :] for i in range(len(unit))]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_statistics_are_those_of_all_sorted_pairs(dtype):
    x, _ = make_map(BLOCK_ROWS + 30, 5)
    unit = unit_rows(x.astype(dtype))
    values = sorted_cosines(unit)
    ranks = [0, 1, 17, len(values) // 2, len(values) - 1]
    found, _ = scan_pairs(unit, ranks, np.empty((0, 2), int))
    np.testing.assert_allclose(found, values[ranks], atol=1e-6)


def test_a_wrong_forecast_costs_a_second_pass_and_no_digit(monkeypatch):
    x, _ = make_map(300, 5)
    unit = unit_rows(x)
    expected, _ = scan_pairs(unit, [40, 30_000], np.empty((0, 2), int))
    nothing = np.zeros(order_statistics.NUM_BINS, bool)
    monkeypatch.setattr(order_statistics, "_foretold_bins", lambda *_: nothing.copy())
    found, _ = scan_pairs(unit, [40, 30_000], np.empty((0, 2), int))
    np.testing.assert_array_equal(found, expected)


def test_a_pair_has_the_very_cosine_that_it_has_in_the_null():
    x, _ = make_map(BLOCK_ROWS + 30, 5)
    unit = unit_rows(x.astype(np.float32))
    pairs = np.stack(np.triu_indices(len(unit), 1), axis=1)[:, ::-1]
    extremes, cosines = scan_pairs(unit, [0, len(pairs) - 1], pairs)
    assert [cosines.min(), cosines.max()] == extremes.tolist()


def test_pairs_are_undirected_once_and_never_with_oneself():
    pairs = pd.DataFrame({"entity1": list("ABABC"), "entity2": list("BAACX")})
    assert clean_pairs(pairs, ["C", "B", "A"]).tolist() == [[0, 1], [1, 2]]


def test_a_planted_relation_is_recalled_and_the_rest_at_chance():
    x, names = make_map(200)
    x[1::2] = x[::2] + 0.1 * x[1::2]
    planted = pd.DataFrame({"entity1": names[::2], "entity2": names[1::2], "source": "planted"})
    known = pd.concat([planted, make_pairs(names, 4000)])
    result = relationship_recall(x, names, known)
    result = result[result["tails"] == "both"].set_index("source")["recall"]
    assert result["planted"] == 1.0
    assert 0.07 < result["known"] < 0.14


def test_permuted_names_give_the_nominal_recall_within_3_sd():
    """Without any relation between names and vectors recall is 0.10."""
    x, names = make_map(300, 24)
    recalls = []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(names))
        result = relationship_recall(x[order], names, make_pairs(names, 1500))
        recalls.append(result.loc[result["tails"] == "both", "recall"].item())
    standard_error = np.std(recalls) / np.sqrt(len(recalls))
    assert abs(np.mean(recalls) - 0.10) < 3 * standard_error
    null = NullSettings(num_random=20)
    result = relationship_recall(x, names, make_pairs(names, 1500), null=null).set_index("tails")
    for tails, nominal in (("both", 0.10), ("right", 0.05)):
        row = result.loc[tails]
        assert abs(row["random"] - nominal) < 3 * row["random_sd"]


def test_a_tie_with_the_null_is_not_beyond_it():
    """With all cosines equal no pair stands out: `<=` on the left, `<` on the right."""
    x = np.ones((30, 4))
    names = [str(k) for k in range(30)]
    result = relationship_recall(x, names, make_pairs(names))
    assert (result["recall"] == 0).all()


def test_row_order_and_direction_do_not_matter():
    x, names = make_map()
    pairs = make_pairs(names)
    expected = relationship_recall(x, names, pairs)
    order = np.random.default_rng(5).permutation(len(names))
    swapped = pairs.rename(columns={"entity1": "entity2", "entity2": "entity1"})
    twice = pd.concat([swapped, pairs]).sample(frac=1, random_state=0)
    actual = relationship_recall(x[order], [names[k] for k in order], twice)
    pd.testing.assert_frame_equal(actual, expected)


def test_the_sampled_null_is_near_the_exact_one_and_has_a_spread():
    x, names = make_map(300)
    pairs = make_pairs(names, 3000)
    exact = relationship_recall(x, names, pairs)
    null = NullSettings(null_model="sampled", sample_size=400, seed=3)
    sampled = relationship_recall(x, names, pairs, null=null)
    np.testing.assert_allclose(sampled["recall"], exact["recall"], atol=0.02)
    assert (sampled["sd"] > 0).all()
    assert exact["sd"].isna().all()
    again = relationship_recall(x, names, pairs, null=null)
    pd.testing.assert_frame_equal(again, sampled)


def test_arms_divide_the_pairs():
    x, names = make_map()
    arms = {name: "1p" if k % 2 else "2q" for k, name in enumerate(names[:100])}
    result = relationship_recall(x, names, make_pairs(names), arms=arms)
    counts = result[result["tails"] == "both"].set_index("pairs")["num_pairs"]
    assert counts["within-arm"] > 0
    assert 0 < counts["across-arms"] < counts["all"] - counts["within-arm"]


def test_a_source_without_a_usable_pair_has_no_recall_and_is_named():
    x, names = make_map()
    known = pd.concat([make_pairs(names), make_pairs(["x", "y"], source="foreign")])
    result = relationship_recall(x, names, known).set_index("source")
    assert result.loc["foreign", "recall"].isna().all()
    assert (result.loc["foreign", "num_pairs"] == 0).all()


def test_rows_without_direction_are_left_out():
    x, names = make_map()
    pairs = make_pairs(names)
    x[3], x[7] = np.nan, 0
    result = relationship_recall(x, names, pairs)
    assert (result["num_perturbations"] == len(names) - 2).all()
    kept = [k for k in range(len(names)) if k not in (3, 7)]
    expected = relationship_recall(x[kept], [names[k] for k in kept], pairs)
    pd.testing.assert_frame_equal(result, expected)


def test_bad_maps_and_thresholds_are_told():
    x, names = make_map()
    with pytest.raises(DataError, match="19 perturbations with a vector"):
        relationship_recall(x[:19], names[:19], make_pairs(names))
    with pytest.raises(DataError, match='such as "g0000"'):
        relationship_recall(x, ["g0000", *names[:-1]], make_pairs(names))
    with pytest.raises(DataError, match="thresholds"):
        relationship_recall(x, names, make_pairs(names), (0.05, 1.5))


def test_the_size_of_blocks_does_not_matter(monkeypatch):
    x, names = make_map(400)
    pairs = make_pairs(names, 2000)
    expected = relationship_recall(x, names, pairs)
    for rows in (7, 150):
        monkeypatch.setattr(order_statistics, "BLOCK_ROWS", rows)
        pd.testing.assert_frame_equal(relationship_recall(x, names, pairs), expected)
