"""Designs that no null model can separate are named before a run; all others give nothing."""

from __future__ import annotations

import numpy as np
import pytest

from phenoprints.consistency import ConsistencySettings
from phenoprints.consistency.separation import design_warnings
from phenoprints.simulation import PlateLayout, lay_out


def warned(settings=None, *, folds=3, **layout):
    wells, conditions = lay_out(PlateLayout(**layout))
    is_fitted = (wells["role"] == "negative_control").to_numpy()
    return design_warnings(
        wells,
        conditions,
        settings or ConsistencySettings(),
        is_fitted=is_fitted,
        folds=folds,
    )


@pytest.mark.parametrize("null_model", ["plate-matched", "experiment"])
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"spread": "one-plate"},
        {"spread": "mixed"},
        {"experiments": 1, "plates": 1, "replicates": 2},
        {"spread": "one-plate", "positions": "fixed", "experiments": 8},
        {"controls": 8, "conditions": 24},
        {"kind": "crispr", "controls": 48},
        {"experiments": 1, "plates": 4, "replicates": 2, "conditions": 30},
    ],
    ids=str,
)
def test_designs_that_can_be_separated_give_nothing(layout, null_model):
    assert warned(ConsistencySettings(null_model=null_model), **layout) == []


def test_conditions_that_are_alone_on_their_plate():
    (text,) = warned(plates=4, conditions=4, spread="one-plate")
    assert text.startswith("4 of 4 conditions have all their replicates on a plate that holds no")
    texts = warned(plates=4, conditions=5, spread="one-plate", positions="fixed")
    assert texts[0].startswith("3 of 5 conditions")
    assert texts[1].startswith("2 of 2 conditions have fewer than 100 distinct null sets")


def test_fixed_positions_are_a_caution():
    (text,) = warned(positions="fixed")
    assert text.startswith("100% of the conditions keep their positions on all plates")


@pytest.mark.parametrize(("conditions", "is_few"), [(3, True), (4, True), (12, False)])
def test_fewer_null_sets_than_the_threshold_needs(conditions, is_few):
    texts = warned(experiments=4, plates=3, replicates=3, conditions=conditions)
    few = [text for text in texts if "distinct null sets" in text]
    assert len(few) == is_few
    if is_few:
        assert few[0].startswith(f"{conditions} of {conditions} conditions have fewer than 100")


def test_controls_that_cannot_copy_the_designs():
    (text,) = warned(spread="one-plate", controls=8)
    assert "NOT RUN: control wells cannot copy the design of 60 of 60" in text
    assert "fewer control wells of one fold" in text
    assert warned(spread="one-plate", controls=8, folds=2) == []
    (text,) = warned(controls=0)
    assert "their plates hold no control wells" in text
    assert warned(ConsistencySettings(control_guard=False), controls=0) == []


def test_a_screen_without_treatments_gives_nothing():
    wells, conditions = lay_out(PlateLayout())
    controls = wells[wells["role"] == "negative_control"].reset_index(drop=True)
    fitted = np.ones(len(controls), dtype=bool)
    settings = ConsistencySettings()
    assert design_warnings(controls, conditions, settings, is_fitted=fitted, folds=3) == []


def test_folds_that_hold_fewer_controls_than_a_condition_has_wells():
    settings = ConsistencySettings(null_model="negative-controls", control_guard=False)
    assert warned(settings) == []
    assert warned(settings, controls=48, plates=1, experiments=1, replicates=2) == []
    (text,) = warned(settings, controls=16, plates=1, experiments=1, replicates=2)
    assert "fewer than 100 distinct null sets" in text
