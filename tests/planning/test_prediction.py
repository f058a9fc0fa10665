"""Predictions against screens of another generator, through the same real path."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import phenoprints as pp
from phenoprints.alignment import fit_alignment
from phenoprints.cli import main
from phenoprints.consistency import screen_consistency
from phenoprints.curation import Rules, phenoprints_table
from phenoprints.planning import (
    PlanSettings,
    assumed_pilot,
    cautions,
    designs_of,
    fitted_pilot,
    recommended,
)
from phenoprints.planning.prediction import draw_screen, power_curve, smallest_effect
from phenoprints.simulation import Noise, PlateLayout, VectorEffects, draw_vectors, lay_out

SETTINGS = PlanSettings.default()
EFFECTS = VectorEffects(plate=0.3, position=0.2, active=0.3, effect=0.8)


def screened(layout: PlateLayout, seed: int):
    wells, conditions = lay_out(layout, seed)
    vectors = draw_vectors(wells, Noise.of(32, 7), EFFECTS, seed=seed)
    return wells, conditions, fit_alignment(wells, vectors, SETTINGS.alignment).of(vectors)


def share_found(layout: PlateLayout, seed: int) -> float:
    wells, conditions, reader = screened(layout, seed)
    table = screen_consistency(wells, conditions, reader, settings=SETTINGS.consistency, seed=seed)
    rules = Rules(judges=("m",), min_experiments=1, min_wells=1)
    by_screen = {"s": SETTINGS.consistency}
    found = phenoprints_table({"m": {"s": table}}, conditions, rules, settings=by_screen)
    return float(found["has_phenoprint"].mean())


@pytest.fixture(scope="module")
def pilot():
    layout = PlateLayout(experiments=3, plates=4, conditions=300, replicates=2, controls=24)
    wells, _, reader = screened(layout, 1)
    return fitted_pilot(wells, reader.read_all())


@pytest.mark.parametrize(
    "design",
    [
        {"experiments": 2, "plates": 4, "replicates": 2, "controls": 16},
        {"experiments": 1, "plates": 6, "replicates": 4, "controls": 16},
        {"experiments": 4, "plates": 2, "replicates": 2, "controls": 24},
    ],
)
def test_the_predicted_share_is_that_of_new_screens(pilot, design) -> None:
    """At most 5 points from the mean of new screens, which lie inside the interval."""
    table = pp.plan(pilot, [{"conditions": 300, **design}])
    shares = [share_found(PlateLayout(conditions=300, **design), 100 + seed) for seed in range(4)]
    row = table.iloc[0]
    assert row["share"] == pytest.approx(np.mean(shares), abs=0.05)
    assert all(row["share_low"] <= share <= row["share_high"] for share in shares)
    assert row["false_rate"] < 0.04
    assert row["guard"] == 1.0


def test_more_replicates_find_more_and_cost_more(pilot) -> None:
    table = pp.plan(pilot, [{"experiments": 2, "conditions": 150, "replicates": [1, 2, 4]}])
    assert table["expected"].is_monotonic_increasing
    assert table["wells"].is_monotonic_increasing
    assert table["smallest_effect"].iloc[2] < table["smallest_effect"].iloc[1]
    best = recommended(table)
    assert "replicates-4" in best
    assert "replicates-2" in recommended(table, int(table["wells"].iloc[1]))
    assert "No design fits" in recommended(table, 10)


def test_designs_that_call_too_much_are_not_recommended(pilot) -> None:
    designs = [
        {"name": "spread", "experiments": 2, "replicates": 4, "conditions": 100},
        {"name": "together", "experiments": 2, "replicates": 4, "conditions": 100,
         "spread": "one-plate"},
    ]  # fmt: skip
    table = pp.plan(pilot, designs).assign(false_rate=[0.01, 0.2])
    sentence = recommended(table)
    assert sentence.startswith("Choose spread")
    assert "together is left out: it calls 20.0%" in sentence
    none = recommended(table.assign(false_rate=0.2))
    assert none.startswith("No design can be recommended")


def test_power_is_monotone_and_its_length_interpolated() -> None:
    effects = assumed_pilot().effects
    level = np.repeat([0, 10, 20, 30], 100)
    found = np.concatenate([np.arange(100) < k for k in (1, 20, 10, 100)])
    power = power_curve(level, found, effects)
    assert (np.diff(power) >= 0).all()
    assert power[10] == power[20] == pytest.approx(0.15)
    assert effects.lengths[20] < smallest_effect(power, effects.lengths) < effects.lengths[30]
    assert np.isnan(smallest_effect(power * 0.5, effects.lengths))


def test_the_command_writes_table_page_and_platemaps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.chdir(tmp_path)
    Path("designs.yaml").write_text("- {name: small, experiments: 2, conditions: 40}\n")
    Path("assumed.yaml").write_text("{features: 16, plate: 0.2, active: 0.5, effect: 2.0}\n")
    arguments = [
        "plan",
        "assumed.yaml",
        "--designs",
        "designs.yaml",
        "-o",
        "out",
        "--budget",
        "900",
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "With at most 900 wells, choose small" in printed
    table = pd.read_csv("out/designs.csv")
    assert table["design"].tolist() == ["small"]
    assert f"about {table['expected'][0]:.0f} phenoprints" in printed
    assert "90 % interval" in Path("out/plan.html").read_text()
    assert len(pd.read_csv("out/platemap-small.csv")) == table["wells"][0]
    assert json.loads(Path("out/pilot.json").read_text())["active"]["share"] == pytest.approx(0.5)
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pilot", "message"),
    [
        ("absent.yaml", "no such file"),
        ("absent.parquet", "no such file"),
        ("absent", "no run found"),
        ("bad.yaml", "Expected features"),
    ],
)
def test_unusable_pilots_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pilot: str, message: str
) -> None:
    os.chdir(tmp_path)
    Path("designs.yaml").write_text("- {conditions: 40}\n")
    Path("bad.yaml").write_text("{colour: red}\n")
    assert main(["plan", pilot, "--designs", "designs.yaml", "-o", "out"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_designs_are_taken_from_memory_too() -> None:
    assert [design.name for design in designs_of([{"name": "a"}, {"plates": [2, 3]}])] == [
        "a", "design-2-plates-2", "design-3-plates-3",
    ]  # fmt: skip


def test_controls_that_name_a_condition_have_no_effect() -> None:
    wells, conditions = lay_out(PlateLayout(conditions=10, replicates=2, controls=8), 0)
    is_control = (wells["role"] == "negative_control").to_numpy()
    wells.loc[is_control, "conditions"] = pd.Series([(0,)] * len(wells))[is_control]
    drawn = [
        draw_screen(
            assumed_pilot(features=8), wells, np.full(len(conditions), length),
            np.random.default_rng(1),
        ).vectors
        for length in (5.0, 0.0)
    ]  # fmt: skip
    moved = np.abs(drawn[0] - drawn[1]).max(axis=1) > 0
    assert not moved[is_control].any()
    assert moved[~is_control].all()


def test_pilots_with_mostly_active_conditions_get_a_caution() -> None:
    assert cautions(assumed_pilot(features=8, active=0.8)) == []
    [text] = cautions(assumed_pilot(features=8, active=0.95))
    assert "95%" in text
