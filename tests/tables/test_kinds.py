"""Tables as people really have them: each kind of fault once, with its right outcome."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.tables.small_tables import COLUMNS, FEATURES, good_table, run

from phenoprints.embeddings.precomputed import refuse_missing_features
from phenoprints.foundations.errors import DataError, TableError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    good_table().to_csv(tmp_path / "wells.csv", index=False)
    return tmp_path


def write(folder: Path, table: pd.DataFrame, name: str = "wells.csv") -> None:
    table.to_csv(folder / name, index=False, sep="\t" if name.endswith(".tsv") else ",")


def with_column(folder: Path, **values: object) -> None:
    write(folder, good_table().assign(**values))


# --- A. Features ---------------------------------------------------------------------------------


def test_the_good_table(folder):
    result = run(folder)
    assert result.table.features == FEATURES
    assert result.roles == {"treatment": 24, "negative_control": 12}
    assert len(result.matched.failures) == 0
    assert result.warnings == ""


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("", range(36), "an index without a name"),
        ("Unnamed: 0", range(36), "an index without a name"),
        ("counter", range(100, 136), "counts the rows"),
        ("ImageNumber", np.arange(36) % 5, "named as an identifier"),
        ("Cells_Parent_Nuclei", np.arange(36) % 5, "named as an identifier"),
        ("ObjectNumber", np.arange(36) % 5, "named as an identifier"),
        ("dose_nm", np.arange(36) % 5, "named as a treatment"),
        ("Metadata_passage", np.arange(36) % 5, "Metadata_ and Image_ describe a row"),
        ("f9", [3] * 36, "constant"),
        ("f9", [""] * 36, "no value in any row"),
        ("f9", [f"00{i}" for i in range(36)], "numbers with leading zeros, which are names"),
        ("f9", [bool(i % 2) for i in range(36)], "true and false; name it"),
        ("solvent", ["DMSO", "water"] * 18, "text"),
    ],
)
def test_columns_that_are_no_features_are_listed_with_the_reason(folder, column, values, reason):
    write(folder, good_table().assign(**{column: list(values)}))
    result = run(folder)
    assert result.table.features == FEATURES
    assert reason in result.table.excluded[column]
    assert result.table.excluded["dose"] == "mapped"


def test_controls_without_a_dose_have_their_vectors(folder):
    assert (good_table()["dose"] == "").sum() == 12
    result = run(folder)
    assert "dose" not in result.table.features
    assert len(result.matched.failures) == 0


def test_a_dose_under_another_name_is_doubtful(folder):
    table = good_table()
    amount = table["dose"].replace("", "0").astype(float) + table["compound"].str[-1].map(ord)
    with_column(folder, amount=amount)
    result = run(folder)
    assert result.matched.doubtful == {"amount": "the same in all wells of every condition"}
    assert "1 features have one value in all wells of a condition or a plate" in result.warnings


def test_globs_never_take_mapped_columns_and_presets_have_names(folder):
    table = good_table().rename(columns={"f0": "Nuclei_Granularity_16_ER", "f1": "Cells_area"})
    write(folder, table)
    every = run(folder, encoder={"features": ["*"]})
    assert every.table.features == ["Nuclei_Granularity_16_ER", "Cells_area", "f2"]
    encoder = {
        "features": ["preset:cellprofiler"],
        "exclude_features": ["preset:pycytominer-blocklist"],
    }
    result = run(folder, encoder=encoder)
    assert result.table.features == ["Cells_area"]
    why = result.table.excluded["Nuclei_Granularity_16_ER"]
    assert why == "excluded by 'preset:pycytominer-blocklist'"
    with pytest.raises(TableError, match='"preset:cellprofile" is no preset'):
        run(folder, encoder={"features": ["preset:cellprofile"]})


def test_the_blocklist_is_that_of_pycytominer():
    found = find_spec("pycytominer")  # its import changes options of pandas
    assert found is not None
    from phenoprints.embeddings.feature_selection import PRESETS

    path = Path(str(found.origin)).parent / "data/blocklist_features.txt"
    assert sorted(PRESETS["preset:pycytominer-blocklist"]) == sorted(
        path.read_text().split()[1:]  # its first line is its heading
    )


@pytest.mark.parametrize("word", ["-nan(ind)", "#DIV/0!", "#NUM!", "NA", "inf"])
def test_words_for_no_number_fail_their_well_and_name_the_feature(folder, word):
    table = good_table()
    table.loc[3, "f1"] = word
    write(folder, table)
    result = run(folder)
    assert result.matched.failures["reason"].tolist() == ["not_finite: f1"]
    assert "f1: 1 wells" in result.warnings


def test_a_word_in_a_feature_is_named_with_its_line(folder):
    table = good_table()
    table.loc[3, "f1"] = "broken"
    write(folder, table)
    with pytest.raises(TableError, match=r'feature "f1": 1 cells hold no number \(line 5: "broke'):
        run(folder)
    result = run(folder, screen={"missing_values": ["broken"]})
    assert result.matched.failures["reason"].tolist() == ["not_finite: f1"]


def test_features_without_values_are_refused_dropped_or_imputed_by_setting(folder):
    table = good_table()
    table.loc[::2, "f1"] = ""
    table.loc[0, "f2"] = ""
    write(folder, table)
    refused = run(folder)
    with pytest.raises(DataError, match="feature f1 has no value in 18 of 36 wells"):
        refuse_missing_features(refused.matched, 0.01)
    dropped = run(folder, encoder={"nan_features": "drop"})
    assert dropped.table.features == ["f0", "f2"]
    assert dropped.table.excluded["f1"] == "no value in 18 of 36 rows (max_nan_fraction)"
    assert len(dropped.matched.failures) == 1
    imputed = run(folder, encoder={"nan_features": "impute-plate-median"})
    assert len(imputed.matched.failures) == 0
    plate = pd.to_numeric(table["f2"][:18].replace("", np.nan))
    assert imputed.matched.vectors[:1][0, 1] == np.float32(plate.median())
    assert "1 values were missing and are the median of their plate" in imputed.warnings


def test_features_of_some_tables_are_refused_or_shared_by_choice(folder):
    table = good_table()
    write(folder, table[:18], "p0.csv")
    write(folder, table[18:].rename(columns={"f1": "g1"}), "p1.csv")
    with pytest.raises(TableError, match=r"2 features are in only one of it and .*: f1, g1"):
        run(folder, encoder={"profiles": "p?.csv"})
    shared = run(folder, encoder={"profiles": "p?.csv", "feature_sets": "shared"})
    assert shared.table.features == ["f0", "f2"]
    assert shared.table.excluded["g1"] == "missing in 1 of 2 tables (feature_sets: shared)"
    assert len(shared.matched.failures) == 0


def test_one_well_without_a_list_is_named(folder):
    table = good_table().drop(columns=FEATURES)
    lists = [[float(i), 1.0] for i in range(len(table))]
    table["emb"] = [None if i == 4 else value for i, value in enumerate(lists)]
    table.to_parquet(folder / "wells.parquet")
    result = run(folder, screen={"wells": "wells.parquet"}, encoder={"features": ["emb"]})
    assert result.table.features == ["emb_0", "emb_1"]
    assert result.matched.failures["well"].tolist() == ["A05"]


# --- B. One reader -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plates", [["41000.0", "41010.0"], ["0041000", "0041010"], ["1E00", "1.10"]]
)
def test_plate_names_are_text_in_wells_and_vectors(folder, plates):
    table = good_table()
    table["plate"] = table["plate"].map(dict(zip(("0041000", "0041010"), plates, strict=True)))
    write(folder, table)
    write(folder, table[:18].assign(plate=plates[0]), "p0.csv")
    write(folder, table[18:].assign(plate=plates[1]), "p1.csv")
    for encoder in ({}, {"profiles": "p?.csv"}):
        result = run(folder, encoder=encoder)
        assert len(result.matched.failures) == 0
        assert sorted(set(result.screen.wells["plate"])) == sorted(plates)


@pytest.mark.parametrize(
    ("column", "values", "names"),
    [
        ("plate", [41000.0, 41010.0], ["41000", "41010"]),
        ("batch", [False, True], ["False", "True"]),
        ("batch", pd.to_datetime(["2024-01-05", "2024-02-01"]), ["2024-01-05", "2024-02-01"]),
        ("batch", [1, 2], ["1", "2"]),
    ],
)
def test_typed_names_of_parquet_are_those_of_csv(folder, column, values, names):
    table = good_table().astype(dict.fromkeys(FEATURES, float))
    table[column] = np.repeat(np.asarray(values), 18)
    table.to_parquet(folder / "wells.parquet")
    for name in ("wells.parquet", "again.csv"):
        if name == "again.csv":
            write(folder, pd.read_parquet(folder / "wells.parquet"), name)
            if column == "plate":
                continue  # CSV holds 41000.0, which is another name
        result = run(folder, screen={"wells": name})
        assert (
            sorted(set(result.screen.wells[{"batch": "experiment"}.get(column, column)])) == names
        )
        assert len(result.matched.failures) == 0


def test_pandas_index_is_no_feature_and_may_be_a_key(folder):
    table = good_table().astype(dict.fromkeys(FEATURES, float))
    table.set_index(["plate", "well"]).to_parquet(folder / "wells.parquet")
    result = run(folder, screen={"wells": "wells.parquet"})
    assert result.table.features == FEATURES
    assert len(result.matched.failures) == 0


def test_h5ad_is_a_table_of_profiles(folder):
    import anndata

    table = good_table()
    values = table[FEATURES].to_numpy(np.float64)
    obs = table.drop(columns=FEATURES).set_index(pd.Index([f"w{i}" for i in range(len(table))]))
    anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=FEATURES)).write_h5ad(
        folder / "wells.h5ad"
    )
    result = run(folder, screen={"wells": "wells.h5ad"})
    plain = run(folder)
    assert result.table.features == FEATURES
    pd.testing.assert_frame_equal(result.screen.wells, plain.screen.wells)
    np.testing.assert_array_equal(result.matched.vectors[:], plain.matched.vectors[:])


# --- C. Texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["DMSO ", "\u00a0DMSO", "DMSO\u200b"])
def test_blanks_around_controls_are_removed_and_counted(folder, name):
    table = good_table()
    table.loc[[12, 13], "compound"] = name
    write(folder, table)
    result = run(folder)
    assert result.roles["negative_control"] == 12
    assert f"removed from cells of 'compound' (2, first: {name!r})" in result.warnings


def test_composed_and_decomposed_letters_are_one_name(folder):
    table = good_table()
    table.loc[0, "compound"] = table.loc[18, "compound"] = "é"
    table.loc[18, "compound"] = "e\u0301"
    write(folder, table)
    result = run(folder)
    assert (result.screen.conditions["perturbation"] == "é").sum() == 1


@pytest.mark.parametrize("word", ["#N/A", "NULL", "<NA>", "n/a", "None"])
def test_missing_words_of_pandas_are_missing_in_configured_runs(folder, word):
    table = good_table()
    table.loc[[0, 1], "compound"] = word
    write(folder, table)
    result = run(folder)
    assert result.screen.notes["counts"]["wells_of_unknown_perturbation"] == 2


def test_names_are_no_numbers_in_joins(folder):
    table = good_table()
    table["cid"] = table["compound"].replace({"cpd1": "1.1", "cpd2": "1.10"})
    write(folder, table)
    names = [name for name in table["cid"].unique() if name != "1.1"]
    write(folder, pd.DataFrame({"cid": names, "name": [f"n{x}" for x in names]}), "map.csv")
    join = {"table": "map.csv", "keys": ["cid"], "missing": "error"}
    with pytest.raises(TableError, match=r'"1.1" has no row in .*map.csv'):
        run(folder, screen={"join": [join]})
    kept = run(folder, screen={"join": [{**join, "missing": "keep"}]})
    assert "4 wells have no row in" in kept.warnings


def test_doses_that_differ_by_rounding_are_one_and_counted(folder):
    table = good_table()
    table.loc[18:, "dose"] = table.loc[18:, "dose"].replace({"1": "1.0001", "10": "9.999"})
    write(folder, table)
    result = run(folder)
    assert len(result.screen.conditions) == 13
    assert result.screen.notes["counts"]["doses_merged"] == 12
    kept = run(folder, screen={"dose_tolerance": 0.0})
    assert len(kept.screen.conditions) == 25


# --- D. What matches nothing or collides ---------------------------------------------------------


def platemaps(folder: Path, *, plates=("0041000", "0041010"), name: str = "txt", **extra) -> None:
    table = good_table()
    bare = table[["plate", "well", *FEATURES]].rename(
        columns={"plate": "Metadata_Plate", "well": "Metadata_Well"}
    )
    write(folder, bare.assign(Metadata_Batch=table["batch"]))
    (folder / "platemap").mkdir()
    barcodes = {"Assay_Plate_Barcode": plates, "Plate_Map_Name": ["map0", "map1"], **extra}
    write(folder, pd.DataFrame(barcodes), "barcode_platemap.csv")
    for number, batch in enumerate(("b0", "b1")):
        rows = table[table["batch"] == batch][["well", "compound", "dose"]]
        rows = rows.rename(columns={"well": "well_position", "compound": "broad_sample"})
        sep = "\t" if name == "txt" else ","
        rows.to_csv(folder / f"platemap/map{number}.txt", sep=sep, index=False)


MAPPED = {
    "perturbation": "broad_sample", "concentration_um": "dose", "kind": {"value": "compound"},
    "role": {"column": "broad_sample", "default": "treatment"},
}  # fmt: skip
WITH_MAPS = {"columns": MAPPED, "barcode_platemap": "barcode_platemap.csv"}


def test_columns_of_the_barcode_table_can_be_mapped(folder):
    platemaps(folder, Batch_Number=["7", "8"])
    columns = {**MAPPED, "experiment": "Batch_Number"}
    result = run(folder, screen={**WITH_MAPS, "columns": columns})
    assert sorted(set(result.screen.wells["experiment"])) == ["7", "8"]


def test_platemaps_with_commas_are_read_and_noted(folder):
    platemaps(folder, name="csv")
    result = run(folder, screen=WITH_MAPS)
    assert result.roles == {"treatment": 24, "negative_control": 12}
    assert "separated by a comma (well_position,broad_sample,dose)" in result.warnings


def test_plates_of_one_side_alone_are_counted(folder):
    platemaps(folder, plates=("41000", "41010"))
    with pytest.raises(TableError, match=r"none of 2 plates of the wells \(0041000, 0041010\)"):
        run(folder, screen=WITH_MAPS)
    (folder / "platemap/map0.txt").unlink()
    (folder / "platemap/map1.txt").unlink()
    (folder / "platemap").rmdir()
    platemaps(folder, plates=("0041000", "P9"))
    result = run(folder, screen=WITH_MAPS)
    assert "1 of 2 plates have no platemap" in result.warnings
    assert "1 plates of " in result.warnings
    assert "18 wells have no row in the platemaps" in result.warnings


def test_platemaps_that_contradict_the_wells_are_an_error(folder):
    platemaps(folder)
    table = pd.read_csv(folder / "wells.csv", dtype=str)
    write(folder, table.assign(broad_sample="x"))
    with pytest.raises(
        TableError, match='"broad_sample" is in the wells table already, with other'
    ):
        run(folder, screen=WITH_MAPS)


def test_empty_cells_that_mean_dmso_are_controls(folder):
    table = good_table()
    table.loc[table["compound"] == "DMSO", "compound"] = ""
    write(folder, table)
    columns = {**COLUMNS, "perturbation": {"column": "compound", "default": "DMSO"}}
    result = run(folder, screen={"columns": columns})
    assert result.roles == {"treatment": 24, "negative_control": 12}


def test_words_that_no_cell_has_are_named(folder):
    columns = {**COLUMNS, "cell_type": {"column": "batch", "map": {"b0": "A549", "B1": "U2OS"}}}
    roles = {"DMSO": "negative_control", "cpd_3": "positive_control"}
    result = run(folder, screen={"columns": columns, "roles": roles})
    assert "roles: no cell of the column 'compound' is 'cpd_3'. Did you mean 'cpd3'?" in (
        result.warnings
    )
    assert "columns.cell_type.map: no cell of the column 'batch' is 'B1'" in result.warnings
    assert result.screen.notes["counts"]["words_that_match_nothing"] == 2


def test_pert_type_names_roles_and_is_no_kind(folder):
    table = good_table().rename(
        columns={"batch": "Metadata_Batch", "plate": "Metadata_Plate", "well": "Metadata_Well",
                 "compound": "Metadata_broad_sample"}
    )  # fmt: skip
    is_control = table["Metadata_broad_sample"] == "DMSO"
    table["Metadata_pert_type"] = np.where(is_control, "control", "trt")
    table["Metadata_control_type"] = np.where(is_control, "negcon", "")
    write(folder, table.drop(columns="dose"))
    result = run(folder, screen={"columns": {}, "roles": {}})
    assert result.roles == {"treatment": 24, "negative_control": 12}


def test_gene_names_that_became_dates_are_counted(folder):
    table = good_table()
    table.loc[table["compound"] == "cpd1", "compound"] = "2-Sep"
    write(folder, table)
    assert "1 names of the perturbation are dates (2-Sep)" in run(folder).warnings


def test_wells_of_several_files_and_plates_without_profiles_are_counted(folder):
    table = good_table()
    write(folder, table[:18], "p0.csv")
    write(folder, table[:18], "p1.csv")
    result = run(folder, encoder={"profiles": "p?.csv"})
    assert "18 wells have rows in several files (p0.csv, p1.csv)" in result.warnings
    assert "1 of 2 plates have no row in the profiles (b1/0041010)" in result.warnings


def test_cells_given_as_wells_are_one_problem(folder):
    write(folder, pd.concat([good_table()] * 3))
    with pytest.raises(TableError, match="36 of 36 wells have 3 rows each: a table of cells") as e:
        run(folder)
    assert len(e.value.problems) == 1
    assert "aggregate first" in str(e.value)
