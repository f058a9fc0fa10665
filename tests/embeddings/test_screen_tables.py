"""Tables of a screen by rows: the same plan and the same wells as from whole tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoprints.embeddings import screen_tables
from phenoprints.embeddings.planning import plan_screen, plan_selection
from phenoprints.embeddings.screen_tables import ScreenTables, site_frame
from phenoprints.embeddings.selection import Selection
from phenoprints.embeddings.units import batch_of, plan_table, unit_groups, unit_tasks
from phenoprints.foundations.errors import MissingInputError, TableError
from phenoprints.wells import failed_sites

COUNTS = {"e1": 11, "e2": 1, "e3": 6, "e4": 9}
GROUP_ROWS = 5


def write(path: Path, table: pd.DataFrame) -> Path:
    """A Parquet file of several row groups."""
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path,
                   row_group_size=GROUP_ROWS)  # fmt: skip
    return path


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    """Wells without sites, sites without quality, channels that differ."""
    rows = [(e, f"A{i:02d}") for e, n in COUNTS.items() for i in range(n)]
    wells = pd.DataFrame(rows, columns=["experiment", "well"]).assign(plate="p")
    wells["well_id"] = np.random.default_rng(0).permutation(len(wells)).astype(np.uint64) + 2**63
    imaged = wells.drop(index=[0, 12, 26])
    sites = imaged.loc[imaged.index.repeat(2), ["well_id"]].reset_index(drop=True)
    sites = sites.assign(
        site=np.tile([2, 5], len(imaged)).astype(np.int32), height=64, width=[64, 48] * len(imaged)
    )
    sites["locator"] = [f"memory:{i}" for i in range(len(sites))]
    sites["channels"] = [["DNA", "ER"]] * (len(sites) - 1) + [["DNA", "ER", "RNA"]]
    quality = sites[["well_id", "site"]].assign(verdict="pass")
    quality.loc[[3, 8, 9], "verdict"] = "fail"
    return {"wells": wells, "sites": sites, "quality": quality}


@pytest.fixture
def tables(frames: dict[str, pd.DataFrame], tmp_path: Path) -> ScreenTables:
    return ScreenTables(*(write(tmp_path / f"{name}.parquet", t) for name, t in frames.items()))


def whole(frames: dict[str, pd.DataFrame]) -> Selection:
    bad = failed_sites(frames["quality"])
    return Selection(frames["wells"], frames["sites"], bad_sites=bad)


@pytest.mark.parametrize("portion_wells", [1, 7, 1000])
@pytest.mark.parametrize("blocks", [None, "some", "all"])
def test_the_plan_is_that_of_whole_tables(
    frames, tables: ScreenTables, monkeypatch, portion_wells: int, blocks: str | None
) -> None:
    monkeypatch.setattr(screen_tables.Layout.portions, "__defaults__", (portion_wells,))
    kept = frames["wells"]["well_id"].to_numpy()[[1, 2, 14]] if blocks == "some" else blocks
    options = {"content": {"version": 1}, "unit_wells": 4, "block_wells": kept}

    planned = plan_screen(tables, **options)
    expected = plan_selection(whole(frames), **options)

    assert [(w.unit, w.key, w.block_rows) for w in planned.tasks] == [
        (w.unit, w.key, w.block_rows) for w in expected.tasks
    ]
    assert planned.num_wells == sum(COUNTS.values())
    assert (planned.channels, planned.site_numbers) == (("DNA", "ER"), [2, 5])
    assert unit_tasks(plan_table(planned.tasks)) == planned.tasks


def test_a_job_reads_the_sites_of_its_own_units(frames, tables: ScreenTables) -> None:
    plan = plan_screen(tables, content={}, unit_wells=4)
    expected = whole(frames)

    for batch in range(3):
        tasks = [task for [(_, task)] in batch_of(unit_groups([plan.tasks]), batch, 3)]
        selection = tables.selection_of(tasks, plan.site_numbers)
        assert len(selection.wells) == sum(task.num_wells for task in tasks)
        for task in tasks:
            assert selection.sites_of(task.unit) == expected.sites_of(task.unit)
            own, all_rows = selection.rows(task.unit), expected.rows(task.unit)
            pd.testing.assert_frame_equal(
                selection.wells.iloc[own].reset_index(drop=True),
                expected.wells.iloc[all_rows][list(selection.wells)].reset_index(drop=True),
            )
            np.testing.assert_array_equal(selection.has_image[own], expected.has_image[all_rows])


@pytest.mark.parametrize("name", ["locator", "height", "site", "channels", "quality"])
def test_a_key_depends_on_all_that_is_known_of_a_site(frames, name: str) -> None:
    before = plan_selection(whole(frames), content={}, unit_wells=4).tasks
    last = frames["sites"].index[-1]
    if name == "quality":
        frames["quality"].loc[last, "verdict"] = "fail"
    else:
        changed = {"locator": "x", "height": 65, "site": 9, "channels": ["DNA"]}[name]
        frames["sites"].at[last, name] = changed

    after = plan_selection(whole(frames), content={}, unit_wells=4).tasks

    differ = [a.unit for a, b in zip(before, after, strict=True) if a.key != b.key]
    assert differ == [before[-1].unit]


def test_tables_out_of_order_are_refused(frames, tmp_path: Path) -> None:
    def opened(**changed: pd.DataFrame) -> ScreenTables:
        there = {**frames, **changed}
        return ScreenTables(*(write(tmp_path / f"{n}.parquet", t) for n, t in there.items()))

    with pytest.raises(TableError, match="do not stand in the order of the wells"):
        opened(sites=frames["sites"].iloc[::-1]).layout()
    with pytest.raises(TableError, match='the wells of experiment "e1" do not stand'):
        opened(wells=frames["wells"].iloc[[0, 12, 1]]).layout()
    with pytest.raises(MissingInputError, match=r"no\.parquet"):
        ScreenTables(tmp_path / "no.parquet", tmp_path / "sites.parquet", None)


def test_a_screen_without_sites_has_a_plan(frames, tmp_path: Path) -> None:
    none = frames["sites"].iloc[:0].astype({"well_id": np.uint64})
    schema = pa.schema([("well_id", pa.uint64()), ("site", pa.int32()), ("locator", pa.string()),
                        ("height", pa.int32()), ("width", pa.int32()),
                        ("channels", pa.list_(pa.string()))])  # fmt: skip
    empty = pa.Table.from_pandas(none[schema.names], schema=schema, preserve_index=False)
    pq.write_table(empty, tmp_path / "sites.parquet")
    wells = write(tmp_path / "wells.parquet", frames["wells"])
    tables = ScreenTables(wells, tmp_path / "sites.parquet", None)

    plan = plan_screen(tables, content={}, unit_wells=4)

    assert (plan.num_wells, plan.channels, plan.site_numbers) == (27, (), [])
    assert not tables.selection_of(plan.tasks[:2]).has_image.any()
    assert tables.most_frequent_size() is None


def test_the_size_of_most_sites(tables: ScreenTables) -> None:
    assert tables.most_frequent_size() == (64, 48)


def test_channels_are_shared_tuples() -> None:
    lists = [["a", "b"], ["a", "b"], ["b", "a"]]
    table = pa.table({"site": [1, 2, 3], "channels": lists})

    shared = site_frame(table)["channels"].tolist()
    assert shared == [tuple(names) for names in lists]
    assert shared[0] is shared[1]
    assert site_frame(table.slice(2))["channels"].tolist() == [("b", "a")]


def test_spans_join_units_that_share_wells(tables: ScreenTables, frames) -> None:
    fine = plan_screen(tables, content={}, unit_wells=4).tasks
    kept = frames["wells"]["well_id"].to_numpy()[:1]
    coarse = plan_screen(tables, content={}, unit_wells=4, block_wells=kept).tasks

    groups = unit_groups([fine, coarse])

    assert [len(group) for group in groups] == [4, 2, 3, 4]
    assert all(group[0] == (1, coarse[i]) for i, group in enumerate(groups[:1]))
    assert [task for group in groups for number, task in group if number == 0] == fine
    assert unit_groups([fine, [replace(task, key="") for task in fine]])[0][1][0] == 1
    assert [group for i in range(7) for group in batch_of(groups, i, 7)] == groups
