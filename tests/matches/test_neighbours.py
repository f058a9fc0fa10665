from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, kstest

from phenoprints.consistency import Design
from phenoprints.foundations.errors import DataError
from phenoprints.matches import MatchSettings, calibrated_neighbours


def screen(rng, *, num_conditions=40, per_plate=1, num_plates=3, width=16, plate_sd=0.5):
    """Wells without any effect: unit noise, and an offset of every plate."""
    plate = np.tile(np.repeat(np.arange(num_plates), per_plate), num_conditions)
    condition = np.repeat(np.arange(num_conditions), per_plate * num_plates)
    x = (
        rng.normal(size=(len(plate), width))
        + plate_sd * rng.normal(size=(num_plates, width))[plate]
    )
    return x, condition, plate


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_p_values_are_those_of_all_sets_that_exist():
    rng = np.random.default_rng(0)
    x, condition, _ = screen(rng, num_conditions=5, num_plates=2, width=4)
    references = rng.normal(size=(3, 4))
    settings = MatchSettings(null_model="experiment", num_neighbours=3)
    table = calibrated_neighbours(x, condition, references, settings=settings)
    units = unit(x)
    for code in range(5):
        own = table[table["condition"] == code]
        vector = unit(units[condition == code].sum(axis=0))
        cosines = np.sort(unit(references) @ vector)[::-1]
        np.testing.assert_allclose(own["cosine"], cosines, atol=1e-6)
        others = [
            (i, j)
            for i, j in combinations(range(len(x)), 2)
            if condition[i] != condition[j] and code not in (condition[i], condition[j])
        ]
        null = [(unit(references) @ unit(units[i] + units[j])).max() for i, j in others]
        expected = [(np.sum(null >= c - 1e-6) + 1) / (len(null) + 1) for c in cosines]
        np.testing.assert_allclose(own["p_value"], expected)
        assert (own["num_sets"] == len(null)).all()


def test_q_values_at_rank_one_are_benjamini_hochberg_and_never_fall_with_the_rank():
    rng = np.random.default_rng(1)
    x, condition, plate = screen(rng)
    references = rng.normal(size=(20, 16))
    x[condition < 8] += 5 * unit(references[:8])[condition[condition < 8]]
    table = calibrated_neighbours(x, condition, references, Design(plate=plate))
    first = table[table["rank"] == 1]
    np.testing.assert_allclose(first["q_value"], false_discovery_control(first["p_value"]))
    found = first[first["q_value"] < 0.05]
    assert list(found["condition"]) == list(found["reference"]) == list(range(8))
    for _, own in table.groupby("condition"):
        assert own["cosine"].is_monotonic_decreasing
        assert own["p_value"].is_monotonic_increasing
        assert own["q_value"].is_monotonic_increasing
        assert list(own["rank"]) == list(range(1, 11))


@pytest.mark.parametrize("layout", ["one-plate", "many-plates"])
def test_conditions_without_effect_have_uniform_p_values(layout):
    p, called = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        shape = {"per_plate": 3, "num_plates": 1} if layout == "one-plate" else {}
        x, condition, plate = screen(rng, num_conditions=40, **shape)
        if layout == "one-plate":  # conditions on one of two plates with offsets of their own
            plate = (condition % 2).astype(int)
            x += rng.normal(size=(2, 16))[plate]
        references = rng.normal(size=(50, 16))
        settings = MatchSettings(num_null=1000, num_neighbours=1)
        table = calibrated_neighbours(
            x, condition, references, Design(plate=plate), settings=settings
        )
        p.append(table["p_value"].to_numpy())
        called.append((table["q_value"] < 0.05).mean())
    p = np.concatenate(p)
    assert abs((p < 0.05).mean() - 0.05) < 0.025
    assert kstest(p[::7], "uniform").pvalue > 1e-3
    assert np.mean(called) < 0.06


def test_a_map_compared_with_itself_leaves_out_own_wells_and_own_entries():
    """Without effect a perturbation resembles no other; its own vector would be nearest to it."""
    p = []
    for seed in range(20):
        rng = np.random.default_rng(100 + seed)
        x, condition, plate = screen(rng, plate_sd=0)
        units = pd.DataFrame(unit(x)).groupby(condition).sum().to_numpy()
        table = calibrated_neighbours(
            x, condition, units, Design(plate=plate), own=condition,
            settings=MatchSettings(num_null=1000, num_neighbours=1),
        )  # fmt: skip
        assert (table["reference"] != table["condition"]).all()
        p.append(table["p_value"].to_numpy())
    p = np.concatenate(p)
    assert abs((p < 0.05).mean() - 0.05) < 0.025
    assert abs(np.median(p) - 0.5) < 0.08


def test_order_of_wells_and_of_references_changes_nothing():
    rng = np.random.default_rng(2)
    x, condition, plate = screen(rng)
    references = rng.normal(size=(30, 16))
    settings = MatchSettings(num_null=500)
    ids = np.arange(len(x))
    first = calibrated_neighbours(
        x, condition, references, Design(well_id=ids, plate=plate), settings=settings
    )
    order, names = rng.permutation(len(x)), rng.permutation(30)
    other = calibrated_neighbours(
        x[order], condition[order], references[names],
        Design(well_id=ids[order], plate=plate[order]), settings=settings,
    )  # fmt: skip
    other["reference"] = names[other["reference"]]
    pd.testing.assert_frame_equal(first, other, rtol=1e-5)


def test_conditions_that_cannot_be_tested_keep_a_row_with_the_reason():
    rng = np.random.default_rng(3)
    x, condition, plate = screen(rng, num_conditions=20)
    x = np.concatenate([x, rng.normal(size=(1, 16)), np.zeros((2, 16)), np.full((2, 16), np.nan)])
    condition = np.concatenate([condition, [100, 101, 101, 102, 102]])
    plate = np.concatenate([plate, np.zeros(5, int)])
    references = np.vstack([rng.normal(size=(4, 16)), np.zeros(16), np.full(16, np.nan)])
    table = calibrated_neighbours(x, condition, references, Design(plate=plate))
    assert set(table["reference"]) == {-1, 0, 1, 2, 3}
    own = table.set_index("condition")
    assert list(own.loc[100, "reason"]) == ["too_few_wells"] * 4
    assert own.loc[100, ["p_value", "q_value", "low"]].isna().all(axis=None)
    assert own.loc[100, "cosine"].notna().all()
    assert own.loc[101, ["rank", "reference", "reason"]].tolist() == [0, -1, "zero_vector"]
    assert own.loc[102, ["rank", "reference", "reason"]].tolist() == [0, -1, "not_finite"]
    few = calibrated_neighbours(x[:9], condition[:9], references, Design(plate=plate[:9]))
    assert set(few["reason"]) == {"too_few_conditions"}
    assert few["p_value"].isna().all()


@pytest.mark.parametrize("num_wells", [3, 20])
def test_the_interval_holds_the_typical_cosine_of_wells_drawn_anew(num_wells):
    rng = np.random.default_rng(4)
    direction = unit(rng.normal(size=16))
    x, condition, plate = screen(rng, num_conditions=150, num_plates=num_wells, plate_sd=0)
    table = calibrated_neighbours(
        x + 4 * direction, condition, direction[None], Design(plate=plate),
        settings=MatchSettings(num_null=100),
    )  # fmt: skip
    typical = np.tanh(np.arctanh(table["cosine"]).mean())
    assert ((table["low"] <= typical) & (typical <= table["high"])).mean() > 0.9
    outside = table["cosine"].quantile([0.01, 0.99]).to_numpy()
    assert (table["high"] - table["low"]).median() < 5 * np.ptp(outside)


def test_arrays_that_do_not_fit_are_named():
    x, condition, plate = screen(np.random.default_rng(5))
    with pytest.raises(DataError, match=r"references: shape \(3, 5\) for wells of 16 components"):
        calibrated_neighbours(x, condition, np.ones((3, 5)), Design(plate=plate))
    with pytest.raises(DataError, match=r"own: shape \(120,\)"):
        calibrated_neighbours(x, condition, np.ones((3, 16)), Design(plate=plate), own=condition)
    with pytest.raises(DataError, match="plate: not given"):
        calibrated_neighbours(x, condition, np.ones((3, 16)))
