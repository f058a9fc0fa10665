"""Whatever the wells: experiments lie in one split, and kept classes in every one of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprints.foundations.errors import DataError
from phenoprints.probes import split_wells

wells = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 7)), min_size=1, max_size=60
).map(lambda rows: pd.DataFrame(rows, columns=["label", "experiment"]).astype(str))


@settings(max_examples=12)
@given(table=wells, seed=st.integers(0, 5), validation=st.sampled_from([0.0, 0.2, 0.4]))
def test_splits_keep_their_promises(table: pd.DataFrame, seed: int, validation: float) -> None:
    arguments = {"validation_fraction": validation, "rare": "leave-out", "seed": seed}
    try:
        splits = split_wells(table["label"], table["experiment"], **arguments)
    except DataError:
        pairs = table.drop_duplicates()
        is_full = len(pairs) == table["label"].nunique() * table["experiment"].nunique()
        few = table["experiment"].nunique() < 3 or table["label"].nunique() < 2
        assert few or not is_full  # where every class is in every experiment nothing is refused
        return

    told = table.assign(split=splits)
    kept = told[told["split"] != ""]
    assert kept.groupby("experiment")["split"].nunique().eq(1).all()
    expected = {"train", "test"} | ({"validation"} if validation else set())
    assert kept.groupby("label")["split"].agg(set).map(lambda s: s == expected).all()
    assert kept["label"].nunique() >= 2
    order = np.random.default_rng(seed).permutation(len(table))
    again = split_wells(
        table["label"].to_numpy()[order], table["experiment"].to_numpy()[order], **arguments
    )
    np.testing.assert_array_equal(again, splits[order])
