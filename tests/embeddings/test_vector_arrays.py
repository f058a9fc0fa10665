"""Vectors in arrays: .npy, Zarr of both versions, and stores of other runs, under their wells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from phenoprints.embeddings.precomputed import attributes_of, match_vectors
from phenoprints.embeddings.vector_keys import KeyColumns
from phenoprints.embeddings.vector_tables import read_vectors
from phenoprints.embeddings.writing import write_rows
from phenoprints.foundations.errors import CorruptionError, MissingInputError, TableError
from phenoprints.foundations.randomness import well_ids

NO_COLUMNS = KeyColumns({})
ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.fixture
def wells() -> pd.DataFrame:
    keys = [("e1", "p1", "A01"), ("e1", "p1", "A02"), ("e2", "p2", "A01")]
    frame = pd.DataFrame(keys, columns=["experiment", "plate", "well"])
    ids = well_ids("s", frame["experiment"], frame["plate"], frame["well"])
    return frame.assign(well_id=ids)


def save(path: Path, kind: str) -> Path:
    """The rows, the last one first, in one of the forms that arrays have."""
    values = ROWS[::-1].copy()
    if kind == "npy":
        np.save(path / "x.npy", values)
        return path / "x.npy"
    place = path / "x.zarr"
    zarr.create_array(place, data=values, chunks=(2, 2), zarr_format=int(kind[-1]))
    return place


@pytest.mark.parametrize("kind", ["npy", "zarr2", "zarr3"])
@pytest.mark.parametrize("names", ["ids", "texts", "keys"])
def test_arrays_find_their_wells_through_a_table(
    wells: pd.DataFrame, tmp_path: Path, kind: str, names: str
) -> None:
    backwards = wells.iloc[::-1]
    table = {
        "ids": backwards[["well_id"]],
        "texts": pd.DataFrame({"Metadata_Well_ID": backwards["well_id"].astype(str)}),
        "keys": backwards[["plate", "well"]].rename(columns="Metadata_{}".format).rename(
            columns={"Metadata_plate": "Metadata_Plate", "Metadata_well": "Metadata_Well"}),
    }[names]  # fmt: skip
    table.to_csv(tmp_path / "rows.csv", index=False)
    place = save(tmp_path, kind)

    found = read_vectors([place], NO_COLUMNS, row_tables=[tmp_path / "rows.csv"])
    matched = match_vectors(wells, found)

    np.testing.assert_array_equal(matched.vectors.as_they_are(0, 3), ROWS)
    assert found.features == ["feature_0000", "feature_0001"]
    assert len(matched.failures) == 0
    described = {"npy": place, "zarr2": place / ".zarray", "zarr3": place / "zarr.json"}[kind]
    again = read_vectors([described], NO_COLUMNS, row_tables=[tmp_path / "rows.csv"])
    np.testing.assert_array_equal(again.vectors, found.vectors)
    first = attributes_of(found, [described])["encoder_fingerprint"]
    assert first == attributes_of(found, [place])["encoder_fingerprint"]


def test_a_store_of_another_run_knows_its_wells(wells: pd.DataFrame, tmp_path: Path) -> None:
    stranger = wells.assign(well_id=wells["well_id"].where(wells.index != 1, np.uint64(5)))
    write_rows(tmp_path / "e", stranger, ROWS, attributes={"features": ["a", "b"]})

    matched = match_vectors(wells, read_vectors([tmp_path / "e"], NO_COLUMNS))

    rows = matched.vectors.as_they_are(0, 3)
    np.testing.assert_array_equal(rows[[0, 2]], ROWS[[0, 2]])
    assert matched.failures["reason"].tolist() == ["no_vector"]
    assert "belong to no well of the screen: well_id 5" in matched.warnings[0]


def test_arrays_and_tables_go_together_without_losing_bits(
    wells: pd.DataFrame, tmp_path: Path
) -> None:
    wells[["well_id"]].iloc[:2].to_csv(tmp_path / "rows.csv", index=False)
    np.save(tmp_path / "x.npy", ROWS[:2])
    last = pd.DataFrame({"Metadata_Plate": ["p2"], "Metadata_Well": ["A01"],
                         "feature_0000": [4.0], "feature_0001": [5.0]})  # fmt: skip
    last.to_parquet(tmp_path / "last.parquet")

    found = read_vectors(
        [tmp_path / "x.npy", tmp_path / "last.parquet"], NO_COLUMNS,
        row_tables=[tmp_path / "rows.csv"],
    )  # fmt: skip

    matched = match_vectors(wells, found)
    np.testing.assert_array_equal(matched.vectors.as_they_are(0, 3), ROWS)


def test_what_does_not_fit_is_named(wells: pd.DataFrame, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    wells[["well_id"]].iloc[:2].to_csv(rows, index=False)
    np.save(tmp_path / "x.npy", ROWS)
    with pytest.raises(MissingInputError, match="0 tables for 1 arrays of vectors"):
        read_vectors([tmp_path / "x.npy"], NO_COLUMNS)
    with pytest.raises(TableError, match=r"rows\.csv: 2 rows for the 3 vectors of .*x\.npy"):
        read_vectors([tmp_path / "x.npy"], NO_COLUMNS, row_tables=[rows])
    pd.DataFrame({"well_id": ["A01", "A02", "x"]}).to_csv(rows, index=False)
    with pytest.raises(TableError, match='"well_id" holds no ids of wells'):
        read_vectors([tmp_path / "x.npy"], NO_COLUMNS, row_tables=[rows])

    wells[["well_id"]].iloc[:3].to_csv(rows, index=False)
    np.save(tmp_path / "y.npy", np.zeros((3, 2, 2)))
    with pytest.raises(TableError, match="3 axes of float64; expected numbers"):
        read_vectors([tmp_path / "y.npy"], NO_COLUMNS, row_tables=[rows])
    np.save(tmp_path / "z.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(TableError, match=r"z\.npy: not a readable \.npy file"):
        read_vectors([tmp_path / "z.npy"], NO_COLUMNS, row_tables=[rows])
    zarr.create_group(tmp_path / "g.zarr").create_array("inner", data=ROWS)
    with pytest.raises(TableError, match=r"a group; name one of its arrays below it \(inner\)"):
        read_vectors([tmp_path / "g.zarr"], NO_COLUMNS, row_tables=[rows])
    with pytest.raises(MissingInputError, match=r"no\.npy"):
        read_vectors([tmp_path / "no.npy"], NO_COLUMNS, row_tables=[rows])


def test_a_missing_chunk_is_no_number(wells: pd.DataFrame, tmp_path: Path) -> None:
    wells[["well_id"]].to_csv(tmp_path / "rows.csv", index=False)
    place = save(tmp_path, "zarr3")
    (place / "c/1/0").unlink()

    with pytest.raises(CorruptionError, match=r"x\.zarr: .*missing"):
        read_vectors([place], NO_COLUMNS, row_tables=[tmp_path / "rows.csv"])
