"""The quality table of a screen without images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.errors import TableError
from phenoprints.quality import QUALITY, not_assessed

WELLS = pd.DataFrame({"well_id": np.array([2**63 + 5, 3, 9], np.uint64)})
NO_SITES = pd.DataFrame({"well_id": np.array([], np.uint64), "site": np.array([], np.int32)})


def test_each_well_without_images_has_one_row_that_conforms() -> None:
    table = QUALITY.conform(not_assessed(WELLS, NO_SITES)).to_pandas()

    assert table["well_id"].tolist() == WELLS["well_id"].tolist()
    assert set(table["site"]) == {-1}
    assert set(table["verdict"]) == {"not assessed"}
    assert [list(codes) for codes in table["reasons"]] == [["QC000"]] * 3


def test_sites_follow_their_well_in_order_of_their_number() -> None:
    sites = pd.DataFrame({"well_id": np.array([3, 2**63 + 5, 3], np.uint64), "site": [2, 1, 1]})

    table = not_assessed(WELLS, sites)

    keys = list(zip(table["well_id"].tolist(), table["site"].tolist(), strict=True))
    assert keys == [(2**63 + 5, -1), (2**63 + 5, 1), (3, -1), (3, 1), (3, 2), (9, -1)]


def test_a_site_without_a_well_is_named() -> None:
    sites = pd.DataFrame({"well_id": np.array([77], np.uint64), "site": [1]})

    with pytest.raises(TableError, match="well_id 77 is in no row of the wells table"):
        not_assessed(WELLS, sites)


def test_an_empty_screen_gives_an_empty_table() -> None:
    assert len(QUALITY.conform(not_assessed(WELLS.iloc[:0], NO_SITES))) == 0
