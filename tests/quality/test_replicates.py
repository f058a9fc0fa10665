"""Replicates against random sets of wells, by the metrics alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.quality import percent_replicating, replicate_correlations
from phenoprints.testing.simulation import simulate_embeddings

NAMES = [f"mean_{c}" for c in "abcdefgh"]


def screen(effect: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    simulated = simulate_embeddings(
        num_conditions=40, full_share=1.0, num_experiments=2, num_controls=20, dimensions=8,
        effect=effect, seed=3,
    )  # fmt: skip
    wells = simulated.wells
    table = pd.DataFrame(simulated.vectors, columns=NAMES).assign(
        well_id=wells["well_id"], site=-1, verdict="pass", reasons=[[]] * len(wells)
    )
    return table, wells


def test_strong_conditions_replicate_and_absent_ones_as_often_as_chance_says() -> None:
    above, total, limit = percent_replicating(replicate_correlations(*screen(8.0)))
    assert total == 40
    assert above >= 36
    assert limit < 0.5
    above, total, _ = percent_replicating(replicate_correlations(*screen(0.0)))
    assert above <= 6


def test_correlations_are_those_of_numpy_and_do_not_depend_on_order() -> None:
    quality, wells = screen(2.0)
    table = replicate_correlations(quality, wells, num_random=20)
    mixed = quality.sample(frac=1, random_state=1), wells.sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(table, replicate_correlations(*mixed, num_random=20))
    row = table[table["kind"] == "replicates"].iloc[0]
    joined = wells.merge(quality, on="well_id")
    profiles = (
        joined[NAMES]
        .groupby([joined["experiment"], joined["plate"]])
        .transform(
            lambda x: ((x - x.median()) / (1.4826 * (x - x.median()).abs().median())).clip(-10, 10)
        )
    )
    own = [list(ids) == [row["condition_id"]] for ids in joined["conditions"]]
    matrix = np.corrcoef(profiles[own].to_numpy())
    assert row["correlation"] == pytest.approx(np.median(matrix[np.triu_indices(len(matrix), 1)]))
    assert row["num_wells"] == sum(own)


def test_failed_wells_and_lone_ones_are_left_out() -> None:
    quality, wells = screen(2.0)
    treated = [list(ids) == [0] for ids in wells["conditions"]]
    lone = wells.loc[treated, "well_id"].iloc[1:]
    quality.loc[quality["well_id"].isin(lone), "verdict"] = "fail"
    table = replicate_correlations(quality, wells, num_random=5)
    assert 0 not in set(table["condition_id"])
    assert set(table["kind"]) == {"replicates", "different conditions"}


def test_nothing_to_compare_gives_no_row() -> None:
    quality, wells = screen(2.0)
    assert replicate_correlations(quality.assign(verdict="fail"), wells).empty
    assert replicate_correlations(quality, wells.assign(role="negative_control")).empty
    above, total, limit = percent_replicating(replicate_correlations(quality[:0], wells))
    assert (above, total) == (0, 0)
    assert np.isnan(limit)
