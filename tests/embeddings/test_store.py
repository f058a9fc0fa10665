"""The store of embeddings: written whole, read strictly, readable by others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from phenoprints.embeddings import open_embeddings
from phenoprints.embeddings.store import (
    Unit,
    chunk_files,
    create_store,
    damage,
    plan_units,
    rows_per_unit,
    write_unit,
)
from phenoprints.foundations.errors import (
    CorruptionError,
    DataError,
    MissingInputError,
)
from phenoprints.foundations.fingerprints import tree_sha256
from phenoprints.foundations.names import file_name

NUM_WELLS = {"Week 1": 10, "../up": 7}
ATTRIBUTES = {"screen": "s", "encoder": "e", "precision": "float32"}


def ids(num: int, first: int = 0) -> np.ndarray:
    return np.arange(first, first + num, dtype=np.uint64) + np.uint64(2**63)


def written(path: Path, *, unit_wells: int = 4, row_shape: tuple[int, ...] = (3,)) -> dict:
    """Write a small store with a failed row and a wholly failed unit; return what was written."""
    well_ids = {e: ids(n, 100 * i) for i, (e, n) in enumerate(NUM_WELLS.items())}
    create_store(path, well_ids, row_shape, attributes=ATTRIBUTES, unit_wells=unit_wells)
    rng = np.random.default_rng(7)
    rows = {e: rng.normal(size=(n, *row_shape)).astype(np.float32) for e, n in NUM_WELLS.items()}
    rows["Week 1"][2] = np.nan
    rows["../up"][:4] = np.nan
    for unit in plan_units(NUM_WELLS, unit_wells):
        write_unit(path, unit, rows[unit.experiment][unit.rows])
    return rows


@pytest.mark.parametrize("row_shape", [(3,), (2, 3)])
def test_what_is_written_is_read(tmp_path: Path, row_shape: tuple[int, ...]) -> None:
    rows = written(tmp_path / "e", row_shape=row_shape)

    reader = open_embeddings(tmp_path / "e")

    assert reader.experiments == list(NUM_WELLS)
    assert reader.row_shape == row_shape
    assert reader.attributes["encoder"] == "e"
    for experiment in reader.experiments:
        got = reader.read(experiment)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, rows[experiment])
    np.testing.assert_array_equal(reader.read("Week 1", slice(3, 9)), rows["Week 1"][3:9])
    np.testing.assert_array_equal(reader.well_ids("../up"), ids(7, 100))


def test_plain_zarr_reads_the_same(tmp_path: Path) -> None:
    rows = written(tmp_path / "e")

    group = zarr.open_group(tmp_path / "e", mode="r")

    for experiment, listed in group.attrs["experiments"].items():
        np.testing.assert_array_equal(group[listed["array"]][:], rows[experiment])
    assert dict(group.attrs)["screen"] == "s"


def test_the_group_holds_nothing_but_zarr(tmp_path: Path) -> None:
    written(tmp_path / "e")

    names = [entry.name for entry in (tmp_path / "e").rglob("*") if entry.is_file()]

    assert sorted(names) == ["0"] * 7 + ["zarr.json"] * 7
    assert [entry.name for entry in tmp_path.iterdir()] == ["e"]


def test_the_same_rows_give_the_same_bytes_in_any_order_of_units(tmp_path: Path) -> None:
    rows = written(tmp_path / "a")
    well_ids = {e: ids(n, 100 * i) for i, (e, n) in enumerate(NUM_WELLS.items())}
    create_store(tmp_path / "b", well_ids, (3,), attributes=ATTRIBUTES, unit_wells=4)
    for unit in reversed(plan_units(NUM_WELLS, 4)):
        write_unit(tmp_path / "b", unit, rows[unit.experiment][unit.rows])

    assert tree_sha256(tmp_path / "a") == tree_sha256(tmp_path / "b")


def test_a_flipped_bit_is_named_with_file_and_cure(tmp_path: Path) -> None:
    written(tmp_path / "e")
    chunk = chunk_files(tmp_path / "e", Unit("Week 1", 4, 8))[0]
    content = bytearray(chunk.read_bytes())
    content[5] ^= 1
    chunk.write_bytes(content)
    reader = open_embeddings(tmp_path / "e")

    with pytest.raises(CorruptionError) as caught:
        reader.read("Week 1")

    assert str(chunk) in str(caught.value)
    assert "its bytes do not match their crc32c" in str(caught.value)
    assert f"delete {tmp_path / 'e.provenance.json'} and run the same command" in str(caught.value)
    assert [str(chunk) in str(error) for error in damage(tmp_path / "e")] == [True]
    assert len(reader.read("../up")) == 7


@pytest.mark.parametrize("harm", ["missing", "emptied", "truncated", "description"])
def test_missing_and_cut_chunks_are_no_numbers(tmp_path: Path, harm: str) -> None:
    written(tmp_path / "e")
    chunk = chunk_files(tmp_path / "e", Unit("../up", 4, 7))[0]
    if harm == "missing":
        chunk.unlink()
    elif harm == "emptied":
        chunk.write_bytes(b"")
    elif harm == "truncated":
        chunk.write_bytes(chunk.read_bytes()[:-8])
    else:
        (tmp_path / "e/wells" / file_name("../up") / "zarr.json").write_text("{")

    with pytest.raises(CorruptionError, match=r"\.\./up"):
        open_embeddings(tmp_path / "e").read("../up")
    assert len(list(damage(tmp_path / "e"))) == 1


def test_units_cover_each_well_once_and_are_even() -> None:
    units = plan_units({"a": 2050, "b": 1, "c": 1024}, 1024)

    assert [(u.experiment, u.start, u.stop) for u in units] == [
        ("a", 0, 684), ("a", 684, 1368), ("a", 1368, 2050), ("b", 0, 1), ("c", 0, 1024),
    ]  # fmt: skip
    assert rows_per_unit(1025) == 513


@pytest.mark.parametrize(
    ("unit", "shape"),
    [
        (Unit("Week 1", 1, 5), (4, 3)),
        (Unit("Week 1", 0, 7), (7, 3)),
        (Unit("Week 1", 8, 12), (4, 3)),
        (Unit("Week 1", 0, 4), (3, 3)),
        (Unit("Week 1", 0, 4), (4, 2)),
    ],
)
def test_part_of_a_unit_is_refused(tmp_path: Path, unit: Unit, shape: tuple[int, ...]) -> None:
    written(tmp_path / "e")

    with pytest.raises(DataError, match="are not whole chunks"):
        write_unit(tmp_path / "e", unit, np.zeros(shape, np.float32))


def test_a_unit_may_be_several_chunks(tmp_path: Path) -> None:
    rows = written(tmp_path / "e")
    write_unit(tmp_path / "e", Unit("Week 1", 4, 10), rows["Week 1"][4:] + 1)

    np.testing.assert_array_equal(
        open_embeddings(tmp_path / "e").read("Week 1")[4:], rows["Week 1"][4:] + 1
    )
    assert len(chunk_files(tmp_path / "e", Unit("Week 1", 4, 10))) == 2


def test_making_the_store_again_keeps_what_fits_and_removes_what_does_not(tmp_path: Path) -> None:
    rows = written(tmp_path / "e")
    (tmp_path / "e.provenance.json").write_text("{}")

    well_ids = {"Week 1": ids(10), "new": ids(5, 500)}
    create_store(tmp_path / "e", well_ids, (3,), attributes=ATTRIBUTES, unit_wells=4)

    reader = open_embeddings(tmp_path / "e")
    assert reader.experiments == ["Week 1", "new"]
    np.testing.assert_array_equal(reader.read("Week 1"), rows["Week 1"])
    with pytest.raises(CorruptionError, match="is missing"):
        reader.read("new")
    assert not (tmp_path / "e/wells" / file_name("../up")).exists()
    assert not (tmp_path / "e.provenance.json").exists()


def test_float16_is_stored_when_asked_and_read_as_float32(tmp_path: Path) -> None:
    create_store(tmp_path / "e", {"a": ids(2)}, (2,), attributes={}, dtype="float16")
    values = np.array([[1.0, np.nan], [0.1, 2.0]], np.float32)
    write_unit(tmp_path / "e", Unit("a", 0, 2), values)

    got = open_embeddings(tmp_path / "e").read("a")

    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, values.astype(np.float16).astype(np.float32))


def test_absent_foreign_and_newer_stores_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="there are no embeddings"):
        open_embeddings(tmp_path / "none")
    written(tmp_path / "e")
    with pytest.raises(MissingInputError, match='no experiment "Week 9"'):
        open_embeddings(tmp_path / "e").read("Week 9")
    description = tmp_path / "e/zarr.json"
    content = json.loads(description.read_text())
    content["attributes"]["format"] = 99
    description.write_text(json.dumps(content))
    with pytest.raises(DataError, match="format 99"):
        open_embeddings(tmp_path / "e")
    description.write_text("{}")
    with pytest.raises(CorruptionError, match="not the description of a store"):
        open_embeddings(tmp_path / "e")


def test_swapped_wells_are_noticed(tmp_path: Path) -> None:
    written(tmp_path / "e")
    group = zarr.open_group(tmp_path / "e", mode="r+")
    group["well_ids/Week%201"][0] = 1

    with pytest.raises(CorruptionError, match="not the wells that were written"):
        open_embeddings(tmp_path / "e").well_ids("Week 1")
