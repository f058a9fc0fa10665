"""The tables of a screen as parts: what files give is what memory gives, a part at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoprints.curation.parts import JoinedParts, TableParts, split_by_experiment
from phenoprints.curation.screen_files import ScreenFiles, Tables
from phenoprints.curation.wells_with_quality import screen_parts
from phenoprints.foundations.errors import CorruptionError, MissingInputError, TableError
from phenoprints.quality import QUALITY
from phenoprints.quality.verdicts import site_rows
from phenoprints.wells.contracts import SITES, WELLS

NEW_IDS = np.arange(40, dtype=np.int32)[::-1].copy()


def make_images(wells, seed=0):
    """Up to three sites a well: some wells have none, some sites are odd or fail."""
    rng = np.random.default_rng(seed)
    row = np.repeat(np.arange(len(wells)), rng.integers(0, 4, len(wells)))
    sites = pd.DataFrame(
        {
            "well_id": wells["well_id"].to_numpy()[row],
            "site": pd.Series(row).groupby(row).cumcount().astype(np.int32),
            "locator": [f"zarr:{i}" for i in range(len(row))],
            "height": np.where(rng.random(len(row)) < 0.02, 512, 1080).astype(np.int32),
            "width": np.int32(1080),
            "channels": [["DNA", "ER"][: 1 + (i % 50 > 0)] for i in range(len(row))],
        }
    )
    rows = site_rows(wells, sites)
    fails = rng.random(len(rows)) < 0.1
    quality = rows.assign(verdict=np.where(fails, "fail", "pass"), reasons=[[]] * len(rows))
    return sites, quality


def written(folder, wells, sites, quality, row_group_size=170):
    """The tables as files whose row groups end inside of experiments."""
    tables = {"wells": (WELLS, wells), "sites": (SITES, sites), "quality": (QUALITY, quality)}
    for name, (contract, table) in tables.items():
        content = pa.Table.from_pandas(
            contract.completed(table), contract.schema, preserve_index=False
        )
        pq.write_table(content, folder / f"{name}.parquet", row_group_size=row_group_size)
    return Tables(*(folder / f"{name}.parquet" for name in tables))


@pytest.fixture
def tables(tmp_path, wells):
    return written(tmp_path, wells, *make_images(wells))


@pytest.mark.parametrize("wells_per_part", [1, 201, 399, 10_000])
def test_files_give_what_memory_gives(tables, wells, wells_per_part):
    sites, quality = make_images(wells)
    [whole] = screen_parts(wells, NEW_IDS, quality=quality, sites=sites)
    expected = list(split_by_experiment(whole, wells_per_part))
    parts = ScreenFiles(tables, NEW_IDS, wells_per_part=wells_per_part)
    assert len(parts) == len(expected) == {1: 6, 201: 3, 399: 3, 10_000: 1}[wells_per_part]
    for number, table in enumerate(expected):
        got = parts.read(number, deciding_only=False)
        columns = [
            *WELLS.schema.names,
            "is_failing",
            "is_unusual",
            "has_no_images",
            "locators",
            "sites",
        ]
        assert got.column_names == columns
        for name in columns:
            assert got[name].to_pylist() == table[name].to_pylist(), name
        deciding = parts.read(number, deciding_only=True)
        assert not {"locators", "sites", "plate"} & set(deciding.column_names)
        for name in ("conditions", "is_failing", "is_unusual", "has_no_images"):
            assert deciding[name].to_pylist() == table[name].to_pylist(), name


def test_the_screen_holds_all_that_is_compared(tables):
    part = ScreenFiles(tables, NEW_IDS).read(0, deciding_only=False)
    for name in ("is_failing", "is_unusual", "has_no_images"):
        assert 0 < sum(part[name].to_pylist()) < len(part), name


def test_the_usual_image_is_that_of_the_whole_screen(tmp_path, wells):
    """In one experiment most images are odd; a declared size decides for all."""
    sites, quality = make_images(wells)
    odd = sites["well_id"].isin(wells.loc[wells["experiment"] == "e2", "well_id"])
    tables = written(tmp_path, wells, sites.assign(height=np.where(odd, 512, 1080)), quality)

    def share_unusual(**options):
        parts = ScreenFiles(tables, NEW_IDS, wells_per_part=1, **options)
        flags = parts.read(2, deciding_only=True)
        return np.mean(flags["is_unusual"].to_numpy()[~flags["has_no_images"].to_numpy()])

    assert share_unusual() == 1.0
    assert share_unusual(geometry={"height_px": 512, "width_px": None}) < 0.1


def test_a_screen_without_images(tmp_path, wells, quality):
    tables = written(tmp_path, wells, make_images(wells)[0].iloc[:0], quality)
    part = ScreenFiles(tables, NEW_IDS).read(0, deciding_only=False)
    assert "has_no_images" not in part.column_names
    assert part["locators"].to_pylist() == [[]] * len(wells)


def test_a_screen_without_wells(tmp_path, wells):
    sites, quality = make_images(wells)
    tables = written(tmp_path, wells.iloc[:0], sites.iloc[:0], quality.iloc[:0])
    parts = ScreenFiles(tables, NEW_IDS)
    assert len(parts) == 1
    assert len(parts.read(0, deciding_only=False)) == 0


def test_rows_that_do_not_follow_the_wells_are_refused(tmp_path, wells):
    sites, quality = make_images(wells)
    late = pd.concat([sites.iloc[5:], sites.iloc[:5]])
    with pytest.raises(TableError, match=r"sites\.parquet: row \d+ belongs to no well, or to one"):
        ScreenFiles(written(tmp_path, wells, late, quality), NEW_IDS, wells_per_part=1)
    other = quality.assign(well_id=quality["well_id"].replace(quality["well_id"][40], 7))
    with pytest.raises(TableError, match=r"quality\.parquet: row 40 belongs to no well, or"):
        ScreenFiles(written(tmp_path, wells, sites, other), NEW_IDS)


def test_tables_that_cannot_be_read_are_named(tables):
    with pytest.raises(MissingInputError, match=r"none: the table is not there"):
        ScreenFiles(Tables(tables.wells, tables.sites, "none"), NEW_IDS)
    table = pq.read_table(tables.sites)
    pq.write_table(table.drop_columns(["channels"]), tables.sites)
    with pytest.raises(TableError, match=r"sites\.parquet: column \"channels\" is missing"):
        ScreenFiles(tables, NEW_IDS)
    tables.sites.write_bytes(tables.sites.read_bytes()[:2000])
    with pytest.raises(CorruptionError, match=r"sites\.parquet: this table cannot be read"):
        ScreenFiles(tables, NEW_IDS)


def test_screens_one_after_the_other(wells):
    tables = [screen_parts(each, NEW_IDS) for each in (wells, wells.assign(screen="t"))]
    parts = JoinedParts([TableParts([]), *map(TableParts, tables), TableParts(tables[0])])
    assert len(parts) == 3
    names = [parts.read(i, deciding_only=True)["screen"][0].as_py() for i in range(3)]
    assert names == ["s", "t", "s"]
