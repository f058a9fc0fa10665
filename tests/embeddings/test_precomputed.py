"""Vectors of others under the wells of a screen: matched, averaged, and nothing lost unsaid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from phenoprints.embeddings import precomputed
from phenoprints.embeddings.failures import refuse_too_many
from phenoprints.embeddings.feature_selection import FeatureRules
from phenoprints.embeddings.precomputed import match_vectors
from phenoprints.embeddings.random_vectors import random_vectors
from phenoprints.embeddings.store import open_embeddings
from phenoprints.embeddings.vector_keys import KeyColumns
from phenoprints.embeddings.vector_tables import VectorTable, read_vectors
from phenoprints.embeddings.writing import write_rows
from phenoprints.foundations.errors import DataError, MissingInputError, TableError
from phenoprints.foundations.randomness import well_ids

ID_PATTERN = (
    r"^(?P<experiment>.+?)_(?P<plate>[^_]+)_(?P<well>[A-Za-z]{1,2}[0-9]{1,2})"
    r"(?:_(?P<site>[0-9]+))?$"
)
PLATE_AND_WELL = KeyColumns({"plate": "Image_Plate", "well": "Image_Well"})


def wells_of(*keys: tuple[str, str, str]) -> pd.DataFrame:
    wells = pd.DataFrame(keys, columns=["experiment", "plate", "well"])
    ids = well_ids("s", wells["experiment"], wells["plate"], wells["well"])
    return wells.assign(well_id=ids).sort_values(["experiment", "plate", "well"], ignore_index=True)


def table_of(keys: list[tuple[str | None, str, str]], vectors: list[list[float]]) -> VectorTable:
    frame = pd.DataFrame(keys, columns=["experiment", "plate", "well"], dtype=object)
    names = [f"f{i}" for i in range(len(vectors[0]))]
    return VectorTable(frame.assign(file="p.csv"), np.array(vectors, np.float32), names)


WELLS = wells_of(("e1", "p1", "A01"), ("e1", "p1", "A02"), ("e2", "p2", "A01"))


def test_rows_find_their_wells_in_any_order_and_spelling() -> None:
    table = table_of(
        [(None, "p2", "a1"), ("e1", "p1", "A2"), (None, "p1", "A01")], [[3, 3], [2, 2], [1, 1]]
    )

    matched = match_vectors(WELLS, table)

    np.testing.assert_array_equal(matched.vectors[:], [[1, 1], [2, 2], [3, 3]])
    assert len(matched.failures) == 0
    assert matched.warnings == []


def test_several_rows_of_a_well_are_averaged_whatever_their_order() -> None:
    keys = [(None, "p1", "A01")] * 3 + [(None, "p1", "A02"), (None, "p2", "A01")]
    vectors = [[1.0], [2.0], [6.0], [5.0], [7.0]]

    forward = match_vectors(WELLS, table_of(keys, vectors))
    backward = match_vectors(WELLS, table_of(keys[::-1], vectors[::-1]))

    np.testing.assert_array_equal(forward.vectors[:], [[3], [5], [7]])
    np.testing.assert_array_equal(forward.vectors[:], backward.vectors[:])
    assert forward.counts["wells_of_several_rows"] == 1


def test_wells_are_averaged_in_any_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of wells in any order, some without rows, in blocks of two wells."""
    rng = np.random.default_rng(0)
    wells = wells_of(*((f"e{i % 3}", "p", f"A{i:02}") for i in range(1, 13)))
    at = rng.integers(0, 10, 40)  # the last two wells have no row
    vectors = rng.standard_normal((40, 3))
    vectors[7, 1] = np.inf
    keys = [tuple(row) for row in wells[["experiment", "plate", "well"]].iloc[at].to_numpy()]
    monkeypatch.setattr(precomputed, "WELLS_AT_ONCE", 2)

    matched = match_vectors(wells, table_of(keys, vectors.tolist()))

    expected = np.full((12, 3), np.nan, np.float32)
    for well in set(at.tolist()) - {at[7]}:
        expected[well] = vectors.astype(np.float32)[at == well].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(matched.vectors[:], expected, rtol=1e-6)
    np.testing.assert_array_equal(matched.vectors[3:8], matched.vectors[:][3:8])
    found = matched.failures.set_index("well_id")["reason"]
    assert found[wells["well_id"][at[7]]] == "not_finite: f1"
    assert found[wells["well_id"][[10, 11]]].tolist() == ["no_vector"] * 2


def test_what_does_not_match_is_counted_and_named() -> None:
    table = table_of(
        [(None, "p1", "A01"), (None, "p1", "B09"), ("e9", "p2", "A01")], [[1], [2], [3]]
    )

    matched = match_vectors(WELLS, table)

    assert np.isnan(matched.vectors[1:]).all()
    assert matched.failures[["plate", "well"]].to_numpy().tolist() == [["p1", "A02"], ["p2", "A01"]]
    assert matched.failures["reason"].tolist() == ["no_vector"] * 2
    assert matched.counts["rows_without_well"] == 2
    assert matched.warnings == [
        "2 rows of the profiles belong to no well of the screen: p1/B09, e9/p2/A01",
        "2 wells have no vector (e1: 1, e2: 1): e1/p1/A02, e2/p2/A01",
        "1 of 2 plates have no row in the profiles (e2/p2)",
    ]
    with pytest.raises(DataError, match=r"2 of 3 wells have no vector \(66.7 %\)") as caught:
        refuse_too_many(matched.failures, 3, max_failed_fraction=0.5, where="cellprofiler")
    assert "e1/p1/A02: no_vector (p.csv)" in str(caught.value)
    refuse_too_many(matched.failures, 3, max_failed_fraction=0.7, where="cellprofiler")


def test_equal_vectors_of_different_wells_are_reported_and_kept() -> None:
    table = table_of(
        [(None, "p1", "A01"), (None, "p1", "A02"), (None, "p2", "A01")], [[1, 2], [5, 5], [1, 2]]
    )

    matched = match_vectors(WELLS, table)

    assert matched.counts["wells_with_a_vector_of_another_well"] == 2
    assert matched.warnings == [
        "2 wells share a vector with another well, in 1 groups; the first: e1/p1/A01, e2/p2/A01"
    ]
    assert np.isfinite(matched.vectors[:]).all()


def test_features_that_are_not_finite_fail_their_well_by_name() -> None:
    nan, inf = float("nan"), float("inf")
    table = table_of(
        [(None, "p1", "A01"), (None, "p1", "A02"), (None, "p2", "A01")],
        [[1, nan], [inf, 5], [1, 2]],
    )

    matched = match_vectors(WELLS, table)

    assert matched.failures["reason"].tolist() == ["not_finite: f1", "not_finite: f0"]
    assert np.isnan(matched.vectors[:2]).all()
    np.testing.assert_array_equal(matched.vectors[:][2], [1, 2])


def test_no_match_at_all_shows_both_spellings() -> None:
    with pytest.raises(DataError, match="none of 1 rows belongs") as caught:
        match_vectors(WELLS, table_of([("x", "y", "A01")], [[1]]))
    assert "Expected wells such as e1/p1/A01, e1/p1/A02; got x/y/A01" in str(caught.value)


def test_names_that_only_some_wells_have_are_not_mixed() -> None:
    """Experiment, plate and well are each known, but no well has them together."""
    wells = wells_of(*((f"e{i % 3}", f"p{i % 4}", f"A{i % 5 + 1:02}") for i in range(60)))[::2]
    keys = [
        (f"e{i}", f"p{j}", f"A{k + 1:02}") for k in range(5) for j in range(4) for i in range(3)
    ]

    matched = match_vectors(wells.reset_index(drop=True), table_of(keys, [[i] for i in range(60)]))

    at = {key: i for i, key in enumerate(keys)}
    expected = [at[row] for row in wells[["experiment", "plate", "well"]].itertuples(index=False)]
    assert matched.vectors[:][:, 0].tolist() == expected
    assert matched.counts["rows_without_well"] == 30


def test_a_plate_in_two_experiments_needs_the_experiment() -> None:
    wells = wells_of(("e1", "p1", "A01"), ("e2", "p1", "A01"))

    rows = [(None, "p9", "A02"), ("e2", "p1", "A01"), (None, "p1", "a1"), (None, "p1", "A01")]
    what = "profiles: 2 rows could belong to several wells, such as plate p1, well A01,"
    with pytest.raises(DataError, match=what):
        match_vectors(wells, table_of(rows, [[1]] * 4))
    matched = match_vectors(wells, table_of([("e2", "p1", "A01")], [[1]]))
    assert np.isnan(matched.vectors[:1]).all()
    assert matched.vectors[1:2] == 1


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Image_Plate": ["007", "008"],
            "Image_Well": ["A01", "b2"],
            "Image_Count": [1, 2],
            "Metadata_x": [1.0, 2.0],
            "area": [1, 2],
            "shape": [0.5, 1e300],
            "comment": ["x", "y"],
        }
    )


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_tables_are_read_with_their_zeros(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    if suffix == ".parquet":
        frame().to_parquet(path)
    else:
        frame().to_csv(path, index=False)

    with np.errstate(over="ignore"):
        table = read_vectors([path], PLATE_AND_WELL)

    assert table.features == ["area", "shape"]
    assert table.keys["plate"].tolist() == ["007", "008"]
    assert table.keys["well"].tolist() == ["A01", "b2"]
    assert table.keys["experiment"].tolist() == [None, None]
    np.testing.assert_array_equal(table.vectors, np.array([[1, 0.5], [2, np.inf]], np.float32))


def test_lists_patterns_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pd.DataFrame(
        {"well_id": ["gene-001_2_AA03", "x_y_3_B04_1"], "all_emb": [[1.0, 2.0], [3.0, 4.0]], "z": 1}
    ).to_parquet(path)

    table = read_vectors(
        [path], KeyColumns({}, "well_id", ID_PATTERN), rules=FeatureRules(features=["*_emb"])
    )

    assert table.features == ["all_emb_0", "all_emb_1"]
    np.testing.assert_array_equal(table.vectors, [[1, 2], [3, 4]])
    keys = table.keys[["experiment", "plate", "well"]].to_numpy().tolist()
    assert keys == [["gene-001", "2", "AA03"], ["x_y", "3", "B04"]]


def test_the_experiment_may_be_extracted_and_plates_differ_in_column_order(tmp_path: Path) -> None:
    frame().iloc[:1].to_csv(tmp_path / "1.csv", index=False)
    frame()[list(frame())[::-1]].iloc[1:].assign(shape=3.0).to_csv(tmp_path / "2.csv", index=False)
    columns = {"experiment": {"column": "Image_Plate", "extract": "(0+)"}, **PLATE_AND_WELL.columns}

    table = read_vectors([tmp_path / "1.csv", tmp_path / "2.csv"], KeyColumns(columns))

    np.testing.assert_array_equal(table.vectors, [[1, 0.5], [2, 3]])
    assert table.keys["experiment"].tolist() == ["00", "00"]
    assert table.keys["file"].tolist() == ["1.csv", "2.csv"]


def test_bad_tables_are_told_all_at_once(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "1.csv", index=False)
    frame().rename(columns={"area": "size"}).to_csv(tmp_path / "2.csv", index=False)
    (tmp_path / "3.parquet").write_text("no parquet")
    paths = [tmp_path / "1.csv", tmp_path / "2.csv"]

    with pytest.raises(TableError, match=r"2 features are in only one of it and .*area, size"):
        read_vectors(paths, PLATE_AND_WELL)
    with pytest.raises(TableError, match="the table cannot be read"):
        read_vectors([tmp_path / "3.parquet"], PLATE_AND_WELL)
    with pytest.raises(TableError, match=r'no column names the plate .*(\n.*)*the column "Plate"'):
        read_vectors(paths[:1], KeyColumns({"plate": "Plate", "well": "Image_Well"}))
    with pytest.raises(TableError, match='no column is called "emb'):
        read_vectors(paths[:1], PLATE_AND_WELL, rules=FeatureRules(features=["emb*"]))
    with pytest.raises(TableError, match='feature "comment": 2 cells hold no number'):
        read_vectors(paths[:1], PLATE_AND_WELL, rules=FeatureRules(features=["area", "comment"]))
    with pytest.raises(TableError, match='2 values of "comment" do not match, such as "x"'):
        read_vectors(paths[:1], KeyColumns({}, "comment", ID_PATTERN))
    with pytest.raises(MissingInputError, match="the file is not there"):
        read_vectors([tmp_path / "none.csv"], PLATE_AND_WELL)
    with pytest.raises(MissingInputError, match="no file matches"):
        read_vectors([], PLATE_AND_WELL)


def test_rows_are_stored_by_experiment(tmp_path: Path) -> None:
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)

    write_rows(tmp_path / "e", WELLS, rows, attributes={"screen": "s"}, unit_wells=1)

    reader = open_embeddings(tmp_path / "e")
    assert reader.experiments == ["e1", "e2"]
    np.testing.assert_array_equal(reader.read("e1"), rows[:2])
    np.testing.assert_array_equal(reader.read("e2"), rows[2:])
    np.testing.assert_array_equal(reader.well_ids("e1"), WELLS["well_id"][:2])
    with pytest.raises(DataError, match="2 rows for 3 wells"):
        write_rows(tmp_path / "e", WELLS, rows[:2], attributes={})


def test_random_vectors_belong_to_the_well_and_are_normal() -> None:
    ids = np.arange(4000, dtype=np.uint64) * np.uint64(2**50 + 12345)

    drawn = random_vectors(ids, 24, seed=3)

    np.testing.assert_array_equal(random_vectors(ids[::-1], 24, seed=3)[::-1], drawn)
    np.testing.assert_array_equal(random_vectors(ids[5:9], 12, seed=3), drawn[5:9, :12])
    assert not np.array_equal(random_vectors(ids, 24, seed=4), drawn)
    assert len(np.unique(drawn)) > 0.99 * drawn.size
    covariance = np.cov(drawn.T)
    np.testing.assert_allclose(covariance, np.eye(24), atol=0.12)
    assert abs(drawn.mean()) < 0.02


@pytest.mark.data
def test_bbbc021_matches_whole(test_data: Path) -> None:
    path = test_data / "profiles/bbbc021/ljosa_jbiomolscreen_2013_per_well_mean.csv.gz"
    columns = {
        "experiment": {"column": "Image_Metadata_Plate", "extract": r"^(Week\d+)_"},
        "plate": "Image_Metadata_Plate",
        "well": "Image_Metadata_Well",
    }
    rules = FeatureRules(features=["preset:cellprofiler"])
    table = read_vectors([path], KeyColumns(columns), rules=rules)
    keys = table.keys[["experiment", "plate", "well"]].itertuples(index=False)
    wells = wells_of(*map(tuple, keys))

    matched = match_vectors(wells, table)

    assert matched.vectors.shape == (632, 516)
    assert np.isfinite(matched.vectors[:]).all()
    assert matched.warnings == []
    assert wells["experiment"].nunique() == 10
