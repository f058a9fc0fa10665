"""What the strategies generate conforms to the contracts."""

from __future__ import annotations

import pandas as pd
from hypothesis import Phase, find, given, settings

from phenoprints.testing.strategies import wells_tables
from phenoprints.wells.contracts import WELLS


@given(wells_tables())
def test_generated_wells_conform_in_their_order(wells: pd.DataFrame) -> None:
    assert WELLS.conform(wells).to_pandas()["well_id"].tolist() == wells["well_id"].tolist()


def test_awkward_wells_are_generated() -> None:
    for is_awkward in (
        lambda wells: wells["conditions"].isna().any(),
        lambda wells: any(c and len(c) > len(set(c)) for c in wells["conditions"]),
        lambda wells: any(c and len(set(c)) > 3 for c in wells["conditions"]),
    ):
        quick = settings(phases=[Phase.generate], max_examples=200, database=None)
        assert is_awkward(find(wells_tables(), is_awkward, settings=quick))
