"""Control wells that copy the designs of conditions: numbers per plate, positions, folds, reuse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprints.consistency.pseudo_conditions import choose_pseudo_conditions


def wells(rows):
    return pd.DataFrame(rows, columns=["experiment", "plate", "well", "condition_id"]).assign(
        perturbation=lambda table: table["condition_id"]
    )


def controls(num_plates=4, positions="ABCDEF", folds=2, experiments=("e",)):
    """Controls at the same positions on every plate; a position has one fold."""
    rows = [
        (experiment, f"p{plate}", position, at % folds)
        for experiment in experiments
        for plate in range(num_plates)
        for at, position in enumerate(positions)
    ]
    return pd.DataFrame(rows, columns=["experiment", "plate", "well", "fold"])


def numbers_per_plate(rows, table):
    return sorted(zip(table.loc[rows, "experiment"], table.loc[rows, "plate"], strict=True))


MOVED = wells([("e", f"p{p}", f"m{p}", 0) for p in range(4)])
FIXED = wells([("e", f"p{p}", "m", 0) for p in range(4)])
ON_ONE_PLATE = wells([("e", "p1", f"m{i}", 0) for i in range(3)])


@pytest.mark.parametrize("tested", [MOVED, FIXED, ON_ONE_PLATE])
def test_a_copy_has_the_design_in_one_fold_and_a_round_uses_no_well_twice(tested):
    table = controls()
    chosen = choose_pseudo_conditions(tested, table, num_tests=30)
    assert chosen.uncopied.empty
    members = chosen.members
    for _, part in members.groupby(["condition_id", "round", "copy"]):
        expected = numbers_per_plate(tested.index, tested)
        assert numbers_per_plate(part["row"].tolist(), table) == expected
        assert part["fold"].nunique() == 1
        assert set(table.loc[part["row"], "fold"]) == set(part["fold"])
    assert not members.duplicated(["round", "row"]).any()
    assert members.groupby(["condition_id", "round", "copy"]).ngroups >= 30


def test_fixed_positions_stay_fixed_and_moved_ones_need_not():
    table = controls()
    fixed = choose_pseudo_conditions(FIXED, table).members
    positions = table.loc[fixed["row"], "well"].groupby([fixed["round"].to_numpy(),
                                                         fixed["copy"].to_numpy()])  # fmt: skip
    assert (positions.nunique() == 1).all()
    moved = choose_pseudo_conditions(MOVED, table).members
    positions = table.loc[moved["row"], "well"].groupby([moved["round"].to_numpy(),
                                                         moved["copy"].to_numpy()])  # fmt: skip
    assert (positions.nunique() > 1).any()


def test_several_fixed_positions_on_every_plate_are_copied_as_such():
    tested = wells([("e", f"p{p}", position, 0) for p in range(4) for position in "mn"])
    table = controls()
    members = choose_pseudo_conditions(tested, table).members
    for _, part in members.groupby(["round", "copy"]):
        assert table.loc[part["row"], "well"].value_counts().tolist() == [4, 4]


def test_a_round_uses_all_controls_that_fit():
    members = choose_pseudo_conditions(MOVED, controls()).members
    sizes = members.drop_duplicates(["condition_id", "round", "copy"]).groupby("round").size()
    assert (sizes == 6).all()  # 6 controls a plate, 1 needed


@pytest.mark.parametrize(
    ("tested", "table", "reason"),
    [
        (MOVED, controls(num_plates=3), "no_controls"),
        (ON_ONE_PLATE, controls(positions="ABCD"), "too_few_controls"),
        (wells([*[("e", "p0", x, 0) for x in "mno"], ("e", "p1", "q", 0)]),
         controls(positions="ABCD"), "too_few_controls"),
        (FIXED, controls().assign(well=lambda t: t["plate"] + t["well"]), "positions_differ"),
    ],
)  # fmt: skip
def test_a_design_that_controls_cannot_copy_has_a_reason(tested, table, reason):
    chosen = choose_pseudo_conditions(tested, table)
    assert chosen.uncopied.to_numpy().tolist() == [[0, reason]]
    assert chosen.members.empty


def test_every_condition_is_copied_as_often_as_others():
    tested = pd.concat(
        [wells([("e", f"p{p}", f"m{c}{p}", c) for p in range(4)]) for c in range(30)],
        ignore_index=True,
    )
    members = choose_pseudo_conditions(tested, controls(), num_tests=200).members
    copies = members.drop_duplicates(["condition_id", "round", "copy"])["condition_id"]
    counts = copies.value_counts()
    assert len(counts) == 30
    assert counts.max() - counts.min() <= 1


def test_conditions_of_one_perturbation_are_copied_in_the_same_round():
    tested = pd.concat(
        [wells([("e", f"p{p}", f"m{c}{p}", c) for p in range(4)]) for c in range(9)],
        ignore_index=True,
    )
    tested["perturbation"] = tested["condition_id"] // 3
    members = choose_pseudo_conditions(tested, controls(), num_tests=90).members
    of_round = members.drop_duplicates(["condition_id", "round"]).assign(
        perturbation=lambda table: table["condition_id"] // 3
    )
    assert (of_round.groupby(["round", "perturbation"]).size() == 3).all()


@given(seed=st.integers(0, 20))
def test_the_order_of_rows_changes_nothing(seed):
    random = np.random.default_rng(seed)
    tested = wells([("e", f"p{p}", f"m{c}{p}", c) for c in range(5) for p in range(4)])
    table = controls()
    plain = choose_pseudo_conditions(tested, table, num_tests=20)
    shuffled = choose_pseudo_conditions(
        tested.iloc[random.permutation(len(tested))],
        table.iloc[random.permutation(len(table))],
        num_tests=20,
    )
    pd.testing.assert_frame_equal(plain.members, shuffled.members)


def test_large_screens_are_sampled(monkeypatch):
    monkeypatch.setattr("phenoprints.consistency.pseudo_conditions.MAX_CONDITIONS", 10)
    tested = wells([("e", f"p{p}", f"m{c}{p}", c) for c in range(50) for p in range(4)])
    members = choose_pseudo_conditions(tested, controls()).members
    assert members["condition_id"].nunique() == 10
