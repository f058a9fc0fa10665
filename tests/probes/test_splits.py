"""Splits: experiments unseen, classes everywhere, and rare ones refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.errors import DataError
from phenoprints.probes import split_wells


def wells(num_experiments: int = 10) -> pd.DataFrame:
    rows = [
        (label, f"e{experiment}", f"{label}-{experiment % 4}")
        for experiment in range(num_experiments)
        for label in "abc"
        for _ in range(3)
    ]
    return pd.DataFrame(rows, columns=["label", "experiment", "gene"])


def test_experiments_lie_in_one_split_each() -> None:
    table = wells()

    splits = split_wells(table["label"], table["experiment"])

    assert table.assign(s=splits).groupby("experiment")["s"].nunique().eq(1).all()
    counts = table.assign(s=splits).drop_duplicates("experiment")["s"].value_counts()
    assert counts.to_dict() == {"train": 6, "validation": 2, "test": 2}


def test_order_changes_nothing_and_the_seed_does() -> None:
    table = wells()
    order = np.random.default_rng(0).permutation(len(table))
    turned = table.iloc[order]

    splits = split_wells(table["label"], table["experiment"])

    np.testing.assert_array_equal(
        split_wells(turned["label"].to_numpy(), turned["experiment"].to_numpy()), splits[order]
    )
    others = [split_wells(table["label"], table["experiment"], seed=s) for s in range(1, 6)]
    assert any(not np.array_equal(splits, other) for other in others)


def test_draws_are_searched_for_one_that_shows_all_classes() -> None:
    table = wells(12)
    is_rare = (table["label"] == "c") & ~table["experiment"].isin(["e1", "e2", "e3"])
    table = table[~is_rare]

    for seed in range(5):
        splits = split_wells(table["label"], table["experiment"], seed=seed)
        seen = table.assign(s=splits).groupby("label")["s"].nunique()
        assert seen.to_dict() == {"a": 3, "b": 3, "c": 3}


def test_the_paper_has_no_validation() -> None:
    table = wells(4)

    splits = split_wells(table["label"], table["experiment"], validation_fraction=0)

    assert set(splits) == {"train", "test"}


def test_genes_of_a_group_are_unseen() -> None:
    table = wells()
    table.loc[table["label"] == "c", "gene"] = None  # a control: split by experiment

    splits = split_wells(table["label"], table["experiment"], genes=table["gene"].tolist())

    told = table.assign(s=splits)
    assert told[told["label"] != "c"].groupby("gene")["s"].nunique().eq(1).all()
    assert told[told["label"] != "c"].groupby("label")["s"].nunique().eq(3).all()
    assert told[told["label"] == "c"].groupby("experiment")["s"].nunique().eq(1).all()


def test_rare_classes_are_an_error_or_left_out() -> None:
    table = wells()
    table.loc[[0, 1], "label"] = "rare"
    table.loc[2, "label"] = None

    with pytest.raises(DataError, match='class "rare": is in 1 experiments'):
        split_wells(table["label"].tolist(), table["experiment"])
    splits = split_wells(table["label"].tolist(), table["experiment"], rare="leave-out")

    assert splits[:3].tolist() == ["", "", ""]
    assert (splits[3:] != "").all()


@pytest.mark.parametrize("num_experiments", [1, 2])
def test_too_few_experiments_refuse_the_task(num_experiments: int) -> None:
    table = wells(num_experiments)

    with pytest.raises(DataError, match=r"the task has 0 classes, 3 were left out for too few exp"):
        split_wells(table["label"], table["experiment"], rare="leave-out")
    one = table[table["label"] == "a"]
    with pytest.raises(DataError):
        split_wells(one["label"], one["experiment"])
