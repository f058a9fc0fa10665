"""Arms of a study on a screen whose truth is known."""

from __future__ import annotations

from typing import get_args

import pytest

from phenoprints.configuration.models.studies import Arm, Margins
from phenoprints.studies.arms import ARMS, Pool, truth_of_wells
from phenoprints.studies.comparing import MEASURES
from phenoprints.testing.simulation import design

SMALL = {"experiments": 2, "plates": 2, "rows": 8, "columns": 8, "genes_per_pathway": 1,
         "inactive_genes": 12, "compounds": 0, "bad_wells": 0.1}  # fmt: skip


@pytest.fixture
def pool() -> Pool:
    screen = design(SMALL, 3, screen="study")
    names = screen.conditions.set_index("condition_id")["perturbation"]
    wells = screen.wells.assign(
        perturbation=[names[c[0]] if len(c) else "" for c in screen.wells["conditions"]]
    )
    return Pool(wells, wells.iloc[::3], screen, seed=5)


def test_the_configuration_names_every_arm_and_every_measure() -> None:
    assert set(get_args(Arm)) == set(ARMS)
    assert set(Margins.model_fields) == set(MEASURES)


def test_everything_has_dead_wells_and_the_random_arm_the_curated_size(pool: Pool) -> None:
    assert len(ARMS["everything"](pool)) == len(pool.wells)
    drawn = ARMS["random"](pool)
    assert len(drawn) == len(pool.curated)
    assert drawn["well_id"].is_unique
    assert drawn["well_id"].isin(pool.wells["well_id"]).all()
    assert set(drawn["well_id"]) != set(pool.curated["well_id"])
    assert drawn.equals(ARMS["random"](pool))


def test_the_oracle_has_effects_and_controls_without_accidents(pool: Pool) -> None:
    chosen = ARMS["oracle"](pool)
    assert not chosen["well_id"].isin(pool.screen.bad_wells["well_id"]).any()
    truth = pool.screen.truth.set_index("perturbation")["truth"]
    treated = chosen[chosen["role"] == "treatment"]
    assert set(treated["perturbation"].map(truth)) == {"full", "partial"}
    assert {"unperturbed", "negative_control"} <= set(chosen["role"])


def test_kinds_of_wells_follow_the_truth(pool: Pool) -> None:
    kinds = truth_of_wells(pool.screen, pool.wells)
    is_control = pool.wells["role"] != "treatment"
    assert set(kinds[is_control]) == {"control"}
    assert set(kinds[~is_control]) == {"active", "inactive"}
