"""Assay conditions of plates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.quality import QualitySettings, assay_conditions
from phenoprints.quality.plates import separation
from phenoprints.testing.simulation import simulate_embeddings

NAMES = [f"mean_{c}" for c in "abcdefgh"]


def screen(seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Wells with strong conditions, and a quality table whose metrics are their vectors."""
    simulated = simulate_embeddings(
        num_conditions=60, full_share=1.0, num_experiments=1, num_controls=30, dimensions=8,
        effect=8.0, seed=seed,
    )  # fmt: skip
    wells = simulated.wells
    table = pd.DataFrame(simulated.vectors, columns=NAMES).assign(
        well_id=wells["well_id"], site=-1, verdict="pass", reasons=[[]] * len(wells)
    )
    return table, wells


def check(plates: pd.DataFrame, code: str, plate: str = "02") -> pd.Series:
    return plates[(plates["code"] == code) & (plates["plate"] == plate)].iloc[0]


def moved(table: pd.DataFrame, wells: pd.DataFrame, way: str) -> pd.DataFrame:
    """The quality table when plate 02 was read in another way."""
    own = wells["plate"] == "02"
    row, column = wells["row"][own], wells["column"][own]
    height, width = row.max(), column.max()
    row, column = {
        "rotated by half a turn": (height + 1 - row, width + 1 - column),
        "mirrored left to right": (row, width + 1 - column),
        "mirrored top to bottom": (height + 1 - row, column),
        "shifted one column right": (row, column + 1),
    }[way]
    seen = pd.DataFrame({"at": wells.index[own], "row": row, "column": column})
    there = wells[own][["row", "column"]].assign(source=wells.index[own])
    pairs = seen.merge(there, on=["row", "column"])
    result = table.copy()
    result.loc[pairs["source"], NAMES] = table.loc[pairs["at"], NAMES].to_numpy()
    return result


def test_a_good_plate_passes_every_check_that_can_be_made() -> None:
    plates = assay_conditions(*screen())
    assert set(plates["code"]) == {"QC030", "QC031", "QC032", "QC033", "QC034"}
    assert len(plates) == 4 * 5
    for code in ("QC030", "QC034"):
        assert set(plates.loc[plates["code"] == code, "verdict"]) == {"pass"}
    assert set(plates.loc[plates["code"] == "QC032", "verdict"]) == {"not assessed"}


@pytest.mark.parametrize(
    "way",
    [
        "rotated by half a turn", "mirrored left to right", "mirrored top to bottom",
        "shifted one column right",
    ],
)  # fmt: skip
def test_a_plate_put_in_the_wrong_way_round_is_found_and_named(way: str) -> None:
    table, wells = screen()
    plates = assay_conditions(moved(table, wells, way), wells)
    found = check(plates, "QC034")
    assert found["verdict"] == "fail"
    assert found["detail"] == way
    assert check(plates, "QC034", "01")["verdict"] == "pass"


def test_too_few_controls_are_counted_among_good_wells() -> None:
    table, wells = screen()
    is_control = wells["role"].isin(["unperturbed", "negative_control"])
    lost = is_control & (wells["plate"] == "02")
    table.loc[lost[lost].index[:-2], "verdict"] = "fail"
    found = check(assay_conditions(table, wells), "QC030")
    assert found["verdict"] == "fail"
    assert found["value"] == 2


def test_an_edge_effect_is_found_and_its_metric_named() -> None:
    table, wells = screen()
    edge = wells["row"].isin([1, wells["row"].max()]) & (wells["plate"] == "02")
    edge |= wells["column"].isin([1, wells["column"].max()]) & (wells["plate"] == "02")
    table.loc[edge, "mean_c"] += 20 * table["mean_c"].std()
    found = check(assay_conditions(table, wells), "QC033")
    assert found["verdict"] == "fail"
    assert found["detail"] == "mean_c"


def test_controls_that_resemble_nothing_fail_where_it_is_asked_for() -> None:
    table, wells = screen()
    strict = assay_conditions(table, wells, QualitySettings(min_control_correlation=0.9))
    assert check(strict, "QC031")["verdict"] == "fail"


def test_separation_is_the_ratio_of_median_distances() -> None:
    controls = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert separation(np.array([[3.0, 4.0]]), controls) == pytest.approx(5.0)
    assert np.isnan(separation(controls[:0], controls))
    assert np.isnan(separation(controls, controls[:2]))


def test_a_metric_that_is_unknown_on_a_plate_is_left_out() -> None:
    table, wells = screen()
    table.loc[(wells["plate"] == "02").to_numpy(), "mean_a"] = np.nan
    assert check(assay_conditions(table, wells), "QC034")["verdict"] == "pass"


def test_plates_without_a_good_well_have_too_few_controls_and_nothing_else() -> None:
    table, wells = screen()
    found = assay_conditions(table.assign(verdict="fail"), wells)
    assert len(found) == 5 * len(wells[["experiment", "plate"]].drop_duplicates())
    verdicts = found.groupby("code")["verdict"].unique().map(list).to_dict()
    assert verdicts.pop("QC030") == ["fail"]
    assert set(map(tuple, verdicts.values())) == {("not assessed",)}
