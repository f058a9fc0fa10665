"""Designs are read with their lines, laid out whole, and spread evenly."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from phenoprints.foundations.errors import ConfigurationError
from phenoprints.planning import designs_of, plate_layout, read_designs
from phenoprints.planning.designs import balance_of_positions


def test_lists_make_all_combinations(tmp_path: Path) -> None:
    file = tmp_path / "designs.yaml"
    file.write_text(
        "- {name: a, experiments: [1, 2], plates: 4, replicates: [2, 4], conditions: 40}\n"
        "- {experiments: 3, conditions: 10}\n"
    )
    designs = read_designs(file)
    assert [design.name for design in designs] == [
        "a-experiments-1-replicates-2", "a-experiments-1-replicates-4",
        "a-experiments-2-replicates-2", "a-experiments-2-replicates-4", "design-5",
    ]  # fmt: skip
    assert designs[0].num_wells == 40 * 2 + 4 * 16
    assert designs[3].num_plates == 8


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("- {conditions: 500, plates: 1, replicates: 2}", "1016 positions needed"),
        ("- {replikates: 2}", 'unknown key "replikates"'),
        ("- {spread: everywhere}", '"everywhere"'),
        ("- {controls: -1}", "at least 0"),
    ],
)
def test_impossible_designs_are_named_with_their_line(
    tmp_path: Path, line: str, message: str
) -> None:
    file = tmp_path / "designs.yaml"
    file.write_text(f"- {{conditions: 10}}\n\n{line}\n")
    with pytest.raises(ConfigurationError, match=message) as error:
        read_designs(file)
    assert f"{file}:3" in str(error.value)


@pytest.mark.parametrize("text", ["", "a: 1", "- 3", "[]", "- {a: "])
def test_files_that_hold_no_designs_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "designs.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"designs\.yaml"):
        read_designs(file)


def test_platemaps_spread_conditions_and_controls() -> None:
    [design] = designs_of([{"experiments": 3, "plates": 8, "replicates": 6, "conditions": 200,
                            "controls": 32}])  # fmt: skip
    platemap = plate_layout(design, seed=3)
    assert len(platemap) == design.num_wells
    assert not platemap.duplicated(["experiment", "plate", "well"]).any()
    treated = platemap[platemap["condition"] != ""]
    per_plate = treated.groupby(["experiment", "plate", "condition"]).size()
    assert per_plate.max() == 1
    assert max(balance_of_positions(platemap).values()) < 0.05
    rows = treated["well"].str[0].map(ord).groupby(treated["condition"]).mean()
    # 18 wells of 16 rows: the mean of rows of a condition has a standard deviation of 1.1.
    assert rows.std() < 1.5
    assert not plate_layout(design, seed=4)["well"].equals(platemap["well"])


def test_controls_at_the_last_column_are_out_of_balance() -> None:
    wells = [f"{row}{column:02}" for row in "ABCDEFGH" for column in range(1, 13)]
    control = ["negcon" if well.endswith("12") else "" for well in wells]
    balance = balance_of_positions(pd.DataFrame({"well": wells, "control_type": control}))
    assert balance["edge"] > 0.3
    assert balance["column"] > 0.3
    assert balance["row"] < 1e-9
