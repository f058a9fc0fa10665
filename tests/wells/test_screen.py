"""A stored screen by experiment, and the rows of its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoprints.foundations.errors import DataError, MissingInputError, TableError
from phenoprints.wells import CONDITIONS, SITES, WELLS, Screen
from phenoprints.wells.rows import experiment_ranges, ranges_of_wells

COUNTS = {"a": 5, "b": 1, "c": 6}


@pytest.fixture
def folder(tmp_path):
    """Three experiments with two sites a well, in row groups that end inside of experiments."""
    place = tmp_path / "run" / "screens" / "s"
    place.mkdir(parents=True)
    names = np.repeat(list(COUNTS), list(COUNTS.values()))
    number = np.concatenate([np.arange(n) for n in COUNTS.values()])
    wells = pd.DataFrame(
        {
            "well_id": np.random.default_rng(0).permutation(len(names)).astype("u8"),
            "screen": "s", "experiment": names, "plate": "p",
            "well": [f"A{i + 1:02d}" for i in number], "row": 1, "column": number + 1,
            "plate_format": 96, "cell_type": "", "background": "", "modality": "cell-painting",
            "role": "treatment", "conditions": [[0]] * len(names), "replicate_group": "",
        }
    )  # fmt: skip
    sites = wells.loc[wells.index.repeat(2), ["well_id"]].reset_index(drop=True)
    sites = sites[2:].reset_index(drop=True)  # the first well has no image
    sites = sites.assign(site=np.tile([1, 2], len(sites) // 2), locator="x", height=8, width=8)
    sites["channels"] = [["DNA"]] * len(sites)
    conditions = pd.DataFrame({name: [None] for name in CONDITIONS.schema.names}).assign(
        condition_id=0, perturbation="x", kind="compound", concentration_um=1.0
    )
    whole = wells[["well_id"]].assign(site=-1, verdict="pass", order=np.arange(len(wells)))
    own = sites[["well_id", "site"]].merge(whole[["well_id", "order"]]).assign(verdict="pass")
    quality = pd.concat([whole, own]).sort_values(["order", "site"], ignore_index=True)
    is_failing = (quality["order"] == 1) & (quality["site"] == 2)
    is_failing |= (quality["order"] == 7) & (quality["site"] == -1)
    quality.loc[is_failing, "verdict"] = "fail"
    for contract, table in ((WELLS, wells), (SITES, sites), (CONDITIONS, conditions)):
        content = pa.Table.from_pandas(table, contract.schema, preserve_index=False)
        pq.write_table(content, place / f"{contract.name}.parquet", row_group_size=4)
    (tmp_path / "run" / "quality").mkdir()
    path = tmp_path / "run" / "quality" / "s.parquet"
    pq.write_table(pa.Table.from_pandas(quality.drop(columns="order")), path, row_group_size=4)
    return place


def test_experiments_together_are_the_whole_tables(folder):
    screen = Screen.open(folder)
    assert screen.experiments == ["a", "b", "c"]
    for whole, part in (
        (screen.wells(), screen.wells),
        (screen.sites(), screen.sites),
        (screen.sites(usable=True), lambda e: screen.sites(e, usable=True)),
        (screen.verdicts(), screen.verdicts),
    ):
        parts = pd.concat([part(e) for e in screen.experiments], ignore_index=True)
        pd.testing.assert_frame_equal(parts, whole)
    assert screen.wells("b", ["well"]).columns.tolist() == ["well"]
    assert screen.conditions["perturbation"].tolist() == ["x"]


def test_usable_wells_and_sites_are_those_that_quality_passes(folder):
    screen = Screen.open(folder)
    assert np.flatnonzero(~screen.usable()).tolist() == [7]
    assert np.flatnonzero(~screen.usable("c")).tolist() == [1]
    sites, usable = screen.sites(), screen.sites(usable=True)
    assert len(sites) - len(usable) == 1 + 2
    ids = screen.wells()["well_id"]
    assert ids[7] not in set(usable["well_id"])
    assert usable.loc[usable["well_id"] == ids[1], "site"].tolist() == [1]
    unknown = Screen(folder)
    assert unknown.usable().all()
    assert len(unknown.sites(usable=True)) == len(sites)


def test_a_table_of_0_1_has_its_plate_format_by_experiment_too(folder):
    wells = Screen.open(folder).wells()
    pq.write_table(
        pa.Table.from_pandas(wells.drop(columns="plate_format")), folder / "wells.parquet"
    )
    assert set(Screen.open(folder).wells("b")["plate_format"]) == {24}


def test_what_is_not_there_is_named(folder, tmp_path):
    with pytest.raises(DataError, match='no experiment is called "d"'):
        Screen.open(folder).wells("d")
    with pytest.raises(MissingInputError, match=r"no wells\.parquet"):
        Screen.open(tmp_path)


def test_ranges_of_wells_follow_each_other(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"well_id": np.arange(50, dtype=np.uint64)}), path, row_group_size=7)
    groups = [np.array(ids, dtype=np.uint64) for ids in ([2, 1, 0], [], [77], range(3, 50))]
    found = ranges_of_wells(path, groups)
    assert found == [slice(0, 3), slice(3, 3), slice(3, 3), slice(3, 50)]
    with pytest.raises(TableError, match="row 4 belongs to no well"):
        ranges_of_wells(path, groups[:1])


def test_experiments_whose_wells_are_apart_are_refused(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"experiment": ["a", "a", "b", "a"]}), path, row_group_size=1)
    with pytest.raises(TableError, match='experiment "a" do not stand together'):
        experiment_ranges(path)
    pq.write_table(pa.table({"experiment": ["a", "a", "b"]}), path, row_group_size=1)
    assert experiment_ranges(path) == {"a": slice(0, 2), "b": slice(2, 3)}


def test_designs_count_the_wells_of_each_condition(folder):
    designs = Screen.open(folder).designs
    assert designs.columns.tolist() == ["condition_id", "experiment", "plate", "well", "num_wells"]
    assert designs.groupby("experiment")["num_wells"].sum().to_dict() == COUNTS
