"""What the demo finds of the truth of its screen, and what it does not invent."""

from __future__ import annotations

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def truth(demo):
    return pd.read_parquet(demo / "screens/demo/truth.parquet").set_index("condition_id")["truth"]


def found(demo):
    table = pd.read_parquet(demo / "curation/phenoprints/phenoprints.parquet")
    return table.set_index("condition_id")["has_phenoprint"]


def test_nine_of_ten_planted_phenoprints_are_found(demo, truth):
    full = truth.index[truth == "full"]
    assert found(demo)[full].mean() >= 0.9


def test_false_calls_stay_near_what_two_judges_give_by_chance(demo, truth):
    none = truth.index[truth == "none"]
    # 1 - (1 - 0.01)^2 of some 20 conditions: four or more happen in one of a thousand runs.
    assert found(demo)[none].sum() <= 3


def test_bad_wells_are_found_and_good_ones_are_left_alone(demo):
    quality = pd.read_parquet(demo / "quality/demo.parquet")
    wells = quality[quality["site"] == -1].set_index("well_id")["verdict"]
    planted = pd.read_parquet(demo / "screens/demo/bad_wells.parquet")["well_id"]
    is_planted = wells.index.isin(planted)
    assert (wells[is_planted] == "fail").mean() >= 0.98
    assert (wells[~is_planted] == "fail").mean() <= 0.01


def recall_of_pathways(demo, encoder):
    table = pd.read_parquet(demo / f"benchmarks/demo/{encoder}.parquet")
    rows = table[(table["benchmark"] == "relationships") & (table["source"] == "screen")]
    return rows.set_index("metric")


def test_pathways_are_recalled_better_than_random(demo):
    rows = recall_of_pathways(demo, "phenoprints-mae")
    assert rows.loc["recall_0.05_0.95", "z"] > 5


def test_the_random_encoder_knows_nothing(demo):
    rows = recall_of_pathways(demo, "random")
    assert abs(rows.loc["recall_0.05_0.95", "z"]) < 3
