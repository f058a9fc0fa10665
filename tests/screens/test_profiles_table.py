"""The source `profiles-table`: mapping, joins, roles, and the real BBBC021 tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from phenoprints.configuration import preset
from phenoprints.foundations.errors import ConfigurationError, MissingInputError, TableError
from phenoprints.screens import read
from phenoprints.screens.assembly import conforms

BBBC021 = {
    "source": "profiles-table",
    "wells": "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz",
    "join": [
        {
            "table": "BBBC021_v1_image.csv.gz",
            "keys": {
                "Image_Metadata_Plate": "Image_Metadata_Plate_DAPI",
                "Image_Metadata_Well": "Image_Metadata_Well_DAPI",
            },
            "columns": ["Image_Metadata_Compound", "Image_Metadata_Concentration"],
            "missing": "error",
        },
        {
            "table": "BBBC021_v1_moa.csv",
            "keys": {
                "Image_Metadata_Compound": "compound",
                "Image_Metadata_Concentration": "concentration",
            },
        },
    ],
    "columns": {
        "experiment": {"column": "Image_Metadata_Plate", "extract": r"^(Week\d+)_"},
        "plate": "Image_Metadata_Plate",
        "well": "Image_Metadata_Well",
        "perturbation": "Image_Metadata_Compound",
        "concentration_um": "Image_Metadata_Concentration",
        "role": {"column": "Image_Metadata_Compound", "default": "treatment"},
        "cell_type": {"value": "MCF7"},
        "annotations": {"mechanism": "moa"},
    },
    "roles": {"DMSO": "negative_control"},
}


@pytest.mark.data
def test_the_real_bbbc021(test_data):
    screen = read({**BBBC021, "root": str(test_data / "profiles" / "bbbc021")}, name="bbbc021")
    conforms(screen)
    wells, conditions = screen.wells, screen.conditions
    assert len(wells) == 632
    assert wells["role"].value_counts().to_dict() == {"negative_control": 330, "treatment": 302}
    assert wells["experiment"].nunique() == 10
    assert wells["plate"].nunique() == 55
    assert len(conditions) == 104
    dmso = conditions[conditions["perturbation"] == "DMSO"]
    assert len(dmso) == 1
    treatments = conditions.drop(index=dmso.index)
    assert treatments["perturbation"].nunique() == 38
    assert treatments["mechanism"].nunique() == 12
    assert treatments["mechanism"].notna().all()
    assert set(conditions["kind"]) == {"compound"}
    assert screen.notes["counts"]["wells_of_unknown_perturbation"] == 0
    of_treatments = wells.loc[wells["role"] == "treatment"]
    by_condition = of_treatments.explode("conditions").groupby("conditions")
    assert by_condition["experiment"].nunique().max() == 1
    assert set(by_condition.size()) == {2, 3}
    limits = preset("bbbc021")["compound"]
    assert (by_condition.size() >= limits["min_wells"]).all()
    assert (by_condition["experiment"].nunique() >= limits["min_experiments"]).all()
    assert (by_condition["plate"].nunique() == by_condition.size()).all()
    assert len(screen.inputs) == 3


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return name


def config(folder: Path, text: str, **changes) -> dict:
    settings = {
        "source": "profiles-table",
        "root": str(folder),
        "wells": write(folder, "wells.csv", text),
        "columns": {
            "experiment": "batch",
            "plate": "plate",
            "well": "well",
            "perturbation": "drug",
            "role": "role",
        },
    }
    return {**settings, **changes}


HEADER = "batch,plate,well,drug,role\n"
GOOD = HEADER + "b1,0012,a1,x,treatment\nb1,0012,A02,DMSO,negative_control\n"


def test_plate_ids_keep_their_zeros_and_wells_are_padded(tmp_path):
    screen = read(config(tmp_path, GOOD))
    assert list(screen.wells["plate"]) == ["0012", "0012"]
    assert list(screen.wells["well"]) == ["A01", "A02"]


def test_all_digit_plate_ids_in_parquet_become_text(tmp_path):
    table = pd.DataFrame(
        {"batch": ["b"] * 2, "plate": [12, 12], "well": ["A1", "A2"], "drug": ["x", "DMSO"]}
    )
    table.assign(role=["treatment", "negative_control"]).to_parquet(tmp_path / "wells.parquet")
    screen = read({**config(tmp_path, GOOD), "wells": "wells.parquet"})
    assert list(screen.wells["plate"]) == ["12", "12"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"absent\.csv: the file is not there"):
        read({**config(tmp_path, GOOD), "wells": "absent.csv"})
    with pytest.raises(MissingInputError, match=r"\*.tsv: no file matches"):
        read({**config(tmp_path, GOOD), "wells": "*.tsv"})


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path):
    text = GOOD.replace("drug", "compound")
    with pytest.raises(TableError, match='column "drug" is missing') as caught:
        read(config(tmp_path, text))
    assert "columns: batch, plate, well, compound, role." in str(caught.value)


def test_a_property_without_a_known_column_is_named(tmp_path):
    with pytest.raises(TableError, match="no column is known to hold the experiment"):
        read(config(tmp_path, GOOD.replace("batch", "week"), columns={"perturbation": "drug"}))


def test_a_duplicated_well_is_named_with_its_lines(tmp_path):
    text = GOOD + "b1,0012,A2,y,treatment\n"
    with pytest.raises(TableError, match=r"plate 0012, well A02 stands in 2 rows \(line 3, line 4"):
        read(config(tmp_path, text))


def test_a_well_of_two_tables_is_named_with_both(tmp_path):
    settings = config(tmp_path, GOOD, wells=["wells.csv", "copy.csv"])
    (tmp_path / "copy.csv").write_text(GOOD)
    expected = r"\(\S+/wells\.csv, line 2, \S+/copy\.csv, line 2\)"
    with pytest.raises(TableError, match=expected):
        read(settings)


def test_an_impossible_well_name_is_named_with_its_line(tmp_path):
    text = GOOD + "b1,0012,A25,y,treatment\nb2,0012,A25,y,treatment\n"
    with pytest.raises(TableError) as caught:
        read(config(tmp_path, text, plate_format=384))
    assert 'wells.csv, line 4: column "well": "A25" is not a well of a 384-well plate' in str(
        caught.value
    )
    assert "2 rows have this error (first: line 4, last: line 5)" in str(caught.value)


def test_an_unknown_role_is_named(tmp_path):
    with pytest.raises(TableError, match='line 4: column "role": "ctrl" is not a role') as caught:
        read(config(tmp_path, GOOD + "b1,1,A01,y,ctrl\n"))
    assert "give its meaning under roles" in str(caught.value)
    screen = read(config(tmp_path, GOOD + "b1,1,A01,y,ctrl\n", roles={"ctrl": "positive_control"}))
    assert screen.notes["counts"]["positive_control"] == 1


def test_an_empty_screen_is_an_error(tmp_path):
    with pytest.raises(TableError, match="the screen has no wells"):
        read(config(tmp_path, HEADER))
    with pytest.raises(TableError, match="the table cannot be read"):
        read(config(tmp_path, ""))


def test_an_unknown_setting_or_source_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="Did you mean columns"):
        read({**config(tmp_path, GOOD), "colums": {}})
    with pytest.raises(ConfigurationError, match="unknown source 'table'"):
        read({"source": "table"})


def test_missing_words_are_missing_perturbations(tmp_path):
    text = GOOD + "b1,0012,A03,Not listed,treatment\nb1,0012,A04,,treatment\n"
    screen = read(config(tmp_path, text + "b1,0012,A05,,unperturbed\n"))
    conditions = screen.wells["conditions"].tolist()
    assert conditions[2] is None
    assert conditions[3] is None
    assert list(conditions[4]) == []


def test_extract_that_does_not_match_is_a_problem_of_its_row(tmp_path):
    columns = {
        **config(tmp_path, GOOD)["columns"],
        "experiment": {"column": "batch", "extract": r"^b(\d)"},
    }
    assert read(config(tmp_path, GOOD, columns=columns)).wells["experiment"].tolist() == ["1", "1"]
    text = GOOD + "week,1,A01,y,treatment\n"
    with pytest.raises(TableError, match='line 4: column "batch": "week" does not match'):
        read(config(tmp_path, text, columns=columns))


def test_map_default_and_scale(tmp_path):
    text = "drug,nm\nx,250\n-,\ny,low\n"
    columns = {
        "experiment": {"value": "e"},
        "plate": {"value": 1},
        "well": {"column": "drug", "map": {"x": "A1", "-": "A2", "y": "A3"}},
        "perturbation": {"column": "drug", "map": {"-": "DMSO"}},
        "role": {"column": "drug", "default": "treatment"},
        "concentration_um": {"column": "nm", "map": {"low": 10}, "default": 0, "scale": 0.001},
    }
    screen = read(config(tmp_path, text, columns=columns, roles={"-": "negative_control"}))
    conditions = screen.conditions
    assert conditions["perturbation"].tolist() == ["DMSO", "x", "y"]
    assert conditions["concentration_um"].tolist() == [0.0, 0.25, 0.01]
    assert screen.notes["counts"]["negative_control"] == 1


def test_a_concentration_that_is_no_number_is_a_problem(tmp_path):
    columns = {**config(tmp_path, GOOD)["columns"], "concentration_um": "batch"}
    with pytest.raises(TableError, match='line 2: concentration_um: "b1" is not a number'):
        read(config(tmp_path, GOOD, columns=columns))


def test_several_perturbations_of_one_well(tmp_path):
    text = "well,drugs,doses\nA1,x+y,1+2\nA2,y+x,2+1\nA3,x,1\nA4,x+,1+\n"
    columns = {
        "experiment": {"value": "e"},
        "plate": {"value": "p"},
        "well": "well",
        "perturbation": {"column": "drugs", "separator": "+"},
        "concentration_um": {"column": "doses", "separator": "+"},
    }
    screen = read(config(tmp_path, text, columns=columns))
    lists = [None if c is None else list(c) for c in screen.wells["conditions"]]
    assert lists == [[0, 1], [0, 1], [0], None]
    assert "No column says which wells are controls" in screen.notes["warnings"][0]
    with pytest.raises(TableError, match='line 2: concentration_um: "1" has not as many parts'):
        read(config(tmp_path, text.replace("1+2", "1"), columns=columns))


def test_joins_compare_numbers_by_value_and_names_as_text(tmp_path):
    text = GOOD.replace("role", "role,dose").replace("treatment", "treatment,3")
    text = text.replace("negative_control", "negative_control,007")
    write(tmp_path, "notes.csv", "dose,effect,other\n3.000000,strong,1\n7,weak,1\n3.0,strong,2\n")
    columns = {**config(tmp_path, GOOD)["columns"], "annotations": {"effect": "effect"}}
    join = [{"table": "notes.csv", "keys": ["dose"], "columns": ["effect"], "numbers": ["dose"]}]
    screen = read(config(tmp_path, text, columns=columns, join=join))
    assert screen.conditions.set_index("perturbation")["effect"].tolist()[1] == "strong"
    assert screen.conditions["effect"].isna().tolist() == [True, False]
    both = [{**join[0], "columns": ["effect", "other"]}]
    with pytest.raises(TableError, match=r"the key 3.0 has 2 different rows \(line 2, line 4\)"):
        read(config(tmp_path, text, columns=columns, join=both))
    strict = [{**join[0], "missing": "error"}]
    with pytest.raises(TableError, match=r'line 3: "007" has no row in .*notes.csv'):
        read(config(tmp_path, text, columns=columns, join=strict))


def test_joins_on_wells_accept_any_spelling(tmp_path):
    write(tmp_path, "map.csv", "well,mechanism\nA1,m1\na02,m2\n")
    columns = {**config(tmp_path, GOOD)["columns"], "annotations": {"mechanism": "mechanism"}}
    join = [{"table": "map.csv", "keys": ["well"]}]
    screen = read(config(tmp_path, GOOD, columns=columns, join=join))
    assert set(screen.conditions["mechanism"]) == {"m1", "m2"}


def test_names_of_pycytominer_are_recognised(tmp_path):
    text = (
        "Metadata_Batch,Metadata_Plate,Metadata_Well,Metadata_broad_sample,Metadata_control_type,"
        "Metadata_mmoles_per_liter,Metadata_cell_line\n"
        "B1,12,A01,BRD-1,NA,5,U2OS\nB1,12,A02,DMSO,negcon,NA,U2OS\nB1,12,A03,BRD-2,poscon_cp,5,U2OS\n"
    )
    screen = read(config(tmp_path, text, columns={}))
    assert list(screen.wells["role"]) == ["treatment", "negative_control", "positive_control"]
    assert screen.conditions["concentration_um"].tolist()[0] == 5.0
    assert set(screen.wells["cell_type"]) == {"U2OS"}


def test_a_name_that_looks_like_markup_stays_what_it_is(tmp_path):
    screen = read(config(tmp_path, GOOD.replace(",x,", ",<img onerror=alert(1)>,")))
    assert "<img onerror=alert(1)>" in set(screen.conditions["perturbation"])


def test_importing_screens_stays_light():
    code = (
        "import sys, phenoprints.screens; "
        "print(len(sys.modules), *(m for m in "
        "('torch', 'zarr', 'tensorstore', 'tifffile', 'imagecodecs', 'dask', 'skimage', 'sklearn', "
        "'numba', 'scipy', 'snakemake') if m in sys.modules))"
    )
    path = str(Path(__file__).parents[2] / "src")
    out = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": path},
    ).stdout.split()
    assert out[1:] == []
    assert int(out[0]) < 900


def test_names_with_a_slash_do_not_share_a_well_id(tmp_path):
    table = tmp_path / "wells.csv"
    table.write_text("experiment,plate,well,compound\na/b,c,A01,x\na,b/c,A01,y\n")
    columns = {"experiment": "experiment", "plate": "plate", "well": "well",
               "perturbation": "compound"}  # fmt: skip
    screen = read({"source": "profiles-table", "wells": str(table), "columns": columns}, name="s")
    assert screen.wells["well_id"].nunique() == 2


def test_a_property_may_be_in_several_columns(tmp_path):
    rows = ["Row,Column,compound,f1", "A,01,x,1", "B,12,y,2", "B,,z,3"]
    (tmp_path / "wells.csv").write_text("\n".join(rows[:3]) + "\n")
    columns = {"experiment": {"value": "e"}, "plate": {"value": "p"}, "perturbation": "compound",
               "well": {"column": ["Row", "Column"]}}  # fmt: skip
    config = {"source": "profiles-table", "root": str(tmp_path), "wells": "wells.csv",
              "columns": columns}  # fmt: skip
    assert read(config).wells["well"].tolist() == ["A01", "B12"]
    (tmp_path / "wells.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(TableError, match="the value is missing"):
        read(config)
