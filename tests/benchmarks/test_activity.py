from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from phenoprints.benchmarks import phenotypic_activity
from phenoprints.benchmarks.activity import mean_average_precisions
from phenoprints.benchmarks.compound_gene import average_precision as reference
from phenoprints.foundations.errors import DataError
from phenoprints.maps.control_sets import compare


def make_wells(seed=0, strength=2.0):
    """Twenty groups of four wells on two plates; groups 10 to 19 do nothing."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(-1, 20), 4)
    effect = rng.normal(size=(21, 16))
    effect[11:] = 0
    x = rng.normal(size=(84, 16)) + strength * effect[group + 1]
    controls, plate = rng.normal(size=(60, 16)), np.tile([0, 0, 1, 1], 21)
    return compare(x, group, controls, stratum=plate, control_stratum=np.repeat([0, 1], 30))


@pytest.mark.parametrize("negatives", ["same-plate", "pooled"])
def test_precisions_are_those_of_copairs(negatives):
    pytest.importorskip("copairs")
    from copairs.map import average_precision

    wells = make_wells(strength=0.7)
    result = phenotypic_activity(wells, negatives=negatives, num_null=200)
    used = wells.is_control | (wells.group >= 0)
    meta = pd.DataFrame({"group": np.where(wells.is_control, 99, wells.group)[used]})
    meta["plate"], meta["is_control"] = wells.stratum[used], wells.is_control[used]
    scores = average_precision(
        meta,
        wells.vectors[used],
        pos_sameby=["group"],
        pos_diffby=[],
        neg_sameby=["plate"] if negatives == "same-plate" else [],
        neg_diffby=["is_control"],
        progress_bar=False,
    )
    expected = scores[~scores["is_control"]].groupby("group")["average_precision"].mean()
    np.testing.assert_allclose(result["mean_average_precision"], expected, atol=1e-6)


@pytest.mark.parametrize("negatives", ["same-plate", "pooled"])
def test_planted_effects_are_active_and_the_others_are_not(negatives):
    result = phenotypic_activity(make_wells(), negatives=negatives, num_null=2000)
    assert result["is_active"].tolist() == [True] * 10 + [False] * 10
    assert (result["corrected_p_value"] >= result["p_value"]).all()


def brute_force(x, members, mates):
    """The mean average precision of a set: each member ranks the others among its own mates."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = (unit @ unit.T).round(12)
    values = []
    for i in members:
        positive = [j for j in members if j != i]
        negative = [j for j in mates[i] if j not in members]
        values.append(reference(cosines[i, positive][None], cosines[i, negative][None]).item())
    return np.mean(values)


@pytest.mark.parametrize("negatives", ["same-plate", "pooled"])
@pytest.mark.parametrize("decimals", [9, 0])
def test_the_p_value_is_that_of_exact_enumeration(negatives, decimals):
    """Rounded vectors have many ties."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(12, 3)).round(decimals)
    x[(x == 0).all(axis=1)] = 1
    own_plate, control_plate = np.array([0, 0, 1]), np.repeat([0, 1, 2], 3)
    wells = compare(
        x[:3], np.zeros(3, int), x[3:], stratum=own_plate, control_stratum=control_plate
    )
    plate = np.concatenate([own_plate, control_plate])
    mates = [
        [j for j in range(12) if j != i and (negatives == "pooled" or plate[j] == plate[i])]
        for i in range(12)
    ]
    sets = [
        (*a, b)
        for a in combinations(np.flatnonzero(plate == 0), 2)
        for b in np.flatnonzero(plate == 1)
    ]
    values = np.array([brute_force(x, members, mates) for members in sets])
    own = brute_force(x, (0, 1, 2), mates)
    result = phenotypic_activity(wells, negatives=negatives, num_null=100, p_value=0.5)
    assert result["mean_average_precision"].item() == pytest.approx(own)
    assert result["random"].item() == pytest.approx(values.mean())
    assert result["p_value"].item() == pytest.approx((values >= own - 1e-9).mean())
    assert result["num_sets"].item() == len(sets) == 40
    assert mean_average_precisions(wells, negatives).item() == pytest.approx(own)


def make_screen(seed, offset, is_one_plate):
    """No effects; 20 conditions of four wells for each of 12 plates of 16 controls."""
    rng = np.random.default_rng(seed)
    shift = offset * rng.normal(size=(12, 64))
    group = np.repeat(np.arange(240), 4)
    plate = np.repeat(rng.permutation(240) % 12, 4)
    if not is_one_plate:
        plate = np.concatenate([rng.choice(12, 4, replace=False) for _ in range(240)])
    control_plate = np.repeat(np.arange(12), 16)
    x, controls = rng.normal(size=(960, 64)), rng.normal(size=(192, 64))
    return compare(
        x + shift[plate], group, controls + shift[control_plate],
        stratum=plate, control_stratum=control_plate,
    )  # fmt: skip


@pytest.mark.parametrize("negatives", ["same-plate", "pooled"])
@pytest.mark.parametrize("is_one_plate", [True, False])
@pytest.mark.parametrize("offset", [0.0, 0.4, 0.6])
def test_without_effects_one_in_twenty_has_p_below_5_percent_whatever_plates_add(
    offset, is_one_plate, negatives
):
    tables = [
        phenotypic_activity(
            make_screen(seed, offset, is_one_plate), negatives=negatives, num_null=500, seed=seed
        )
        for seed in range(4)
    ]
    p = np.concatenate([table["p_value"] for table in tables])
    assert 0.033 <= (p <= 0.05).mean() <= 0.069  # 960 conditions: 2.4 standard deviations
    assert (p <= 0.01).mean() <= 0.02
    assert np.mean([table["is_active"].mean() for table in tables]) <= 0.002


def test_replicates_on_many_plates_with_offsets_are_found():
    wells = make_screen(0, 0.6, False)
    wells.vectors[wells.group >= 0] += 0.7 * np.random.default_rng(9).normal(size=64)
    assert phenotypic_activity(wells, num_null=1000)["is_active"].mean() > 0.9


@pytest.mark.parametrize(("control", "value", "p"), [((1, 0), 0.75, 1), ((0, 1), 1.0, 1 / 3)])
def test_a_tie_counts(control, value, p):
    """copairs 0.5.5 counts only null values above: a group of ties would get 1/(K + 1)."""
    x = np.array([[1.0, 0], [1, 0]])
    wells = compare(x, np.zeros(2, int), np.array([control], float))
    result = phenotypic_activity(wells, num_null=1000, p_value=0.99)
    assert result["mean_average_precision"].item() == pytest.approx(value)
    smallest = 1 - 1 / 3 if p == 1 else p
    assert result["p_value"].item() == pytest.approx(smallest)


def test_wells_without_partners_or_controls_have_a_reason_and_no_controls_are_an_error():
    wells = make_wells()
    wells.vectors[wells.group == 3] = np.nan
    wells.stratum[wells.group == 5] = 7
    result = phenotypic_activity(wells, num_null=200).set_index("group")
    assert result.loc[3, "reason"] == "too_few_wells"
    assert result.loc[5, "reason"] == "no_controls"
    assert result["p_value"].isna().sum() == 2
    wells.vectors[wells.is_control] = np.nan
    with pytest.raises(DataError, match="no control well"):
        phenotypic_activity(wells)


def test_values_are_means_over_folds():
    folds = [make_wells(seed) for seed in range(2)]
    single = [phenotypic_activity(fold, num_null=100) for fold in folds]
    both = phenotypic_activity(iter(folds), num_null=100)
    expected = (single[0]["mean_average_precision"] + single[1]["mean_average_precision"]) / 2
    np.testing.assert_allclose(both["mean_average_precision"], expected)
