"""Layouts hold what they promise: counts, spread of replicates, fixed and moved positions."""

from __future__ import annotations

import pandas as pd
import pytest

from phenoprints.foundations.errors import ConfigurationError
from phenoprints.foundations.tables import Contract
from phenoprints.simulation import PlateLayout, lay_out
from phenoprints.wells import CONDITIONS, WELLS


def treated(wells: pd.DataFrame) -> pd.DataFrame:
    table = wells[wells["role"] == "treatment"]
    return table.assign(condition=[c[0] for c in table["conditions"]])


@pytest.mark.parametrize("spread", ["one-plate", "mixed", "many-plates"])
@pytest.mark.parametrize("positions", ["fixed", "moved"])
def test_every_condition_has_its_replicates_and_every_plate_its_controls(spread, positions):
    layout = PlateLayout(experiments=2, plates=4, conditions=23, replicates=4, controls=10,
                         spread=spread, positions=positions)  # fmt: skip
    wells, conditions = lay_out(layout, seed=1)
    counts = treated(wells).groupby(["experiment", "condition"]).size()
    assert len(counts) == 2 * 23
    assert (counts == 4).all()
    controls = wells[wells["role"] == "negative_control"]
    assert (controls.groupby(["experiment", "plate"]).size() == 10).all()
    assert not wells.duplicated(["experiment", "plate", "row", "column"]).any()
    assert wells["well_id"].is_unique
    assert wells[["experiment", "plate", "well"]].equals(
        wells.sort_values(["experiment", "plate", "well"])[["experiment", "plate", "well"]]
    )
    assert len(conditions) == 23


@pytest.mark.parametrize(
    ("spread", "numbers"), [("one-plate", {1}), ("mixed", {1, 2, 4}), ("many-plates", {4})]
)
def test_replicates_are_on_as_many_plates_as_the_spread_says(spread, numbers):
    wells, _ = lay_out(PlateLayout(experiments=2, conditions=24, spread=spread))
    plates = treated(wells).groupby(["experiment", "condition"])["plate"].nunique()
    assert set(plates) == numbers


def test_fixed_positions_are_the_same_on_all_plates():
    wells, _ = lay_out(PlateLayout(experiments=3, positions="fixed"))
    table = treated(wells)
    assert (table.groupby("condition")["well"].nunique() == 1).all()
    controls = wells[wells["role"] == "negative_control"]
    assert (controls.groupby(["experiment", "plate"])["well"].agg(frozenset).nunique()) == 1


def test_fixed_replicates_of_one_plate_keep_plate_and_positions_in_all_experiments():
    wells, _ = lay_out(PlateLayout(experiments=3, positions="fixed", spread="one-plate"))
    places = treated(wells).groupby(["condition", "experiment"])[["plate", "well"]].agg(frozenset)
    assert (places.groupby("condition").nunique() == 1).all(axis=None)


def test_moved_positions_change_from_plate_to_plate():
    wells, _ = lay_out(PlateLayout(experiments=1, positions="moved"))
    distinct = treated(wells).groupby("condition")["well"].nunique()
    assert distinct.mean() > 3.5


def test_controls_can_be_in_the_outer_columns():
    wells, _ = lay_out(PlateLayout(control_places="columns", controls=64))
    is_outer = wells["column"].isin([1, 2, 23, 24])
    assert is_outer.equals(wells["role"] == "negative_control")


@pytest.mark.parametrize(("kind", "group"), [("compound", "perturbation"), ("crispr", "gene")])
def test_series_share_a_compound_or_a_gene(kind, group):
    _, conditions = lay_out(PlateLayout(kind=kind, series=4, conditions=8))
    assert conditions[group].nunique() == 2


@pytest.mark.parametrize("contract", [WELLS, CONDITIONS])
def test_tables_fulfil_the_contracts(contract: Contract):
    tables = dict(zip(("wells", "conditions"), lay_out(PlateLayout(experiments=2)), strict=True))
    assert contract.conform(tables[contract.name]).num_rows == len(tables[contract.name])


def test_the_same_seed_gives_the_same_layout_and_another_seed_another():
    first, again, other = (lay_out(PlateLayout(), seed=seed)[0] for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not first["well"].equals(other["well"])


def test_a_plate_that_is_too_small_is_refused():
    with pytest.raises(ConfigurationError, match="96 wells"):
        lay_out(PlateLayout(plate_format=96, conditions=90))


def test_all_wrong_values_are_refused_at_once():
    with pytest.raises(ConfigurationError) as error:
        PlateLayout(spread="heaps", plates=0, plate_format=100)
    assert "heaps" in str(error.value)
    assert "plates" in str(error.value)
    assert "100" in str(error.value)
