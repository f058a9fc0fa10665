"""The written tables read back equal, and the same screen gives the same bytes."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from phenoprints.foundations.errors import TableError
from phenoprints.screens import CONDITIONS, SITES, WELLS, read
from phenoprints.screens.storing import problems_written, write_screen

TEXT = "Metadata_Batch,Metadata_Plate,Metadata_Well,Metadata_broad_sample,Metadata_control_type\n"
ROWS = ["b,1,A01,x,NA", "b,1,A02,y,NA", "b,1,A03,DMSO,negcon", "b,1,A04,,empty"]


def screen(folder, rows):
    (folder / "wells.csv").write_text(TEXT + "\n".join(rows) + "\n")
    return read({"source": "profiles-table", "wells": str(folder / "wells.csv")}, name="s")


def test_what_is_written_is_read_back_and_bytes_do_not_depend_on_row_order(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    written = screen(tmp_path, ROWS)
    write_screen(written, first)
    write_screen(screen(tmp_path, ROWS[::-1]), second)
    for name, contract in (("wells", WELLS), ("sites", SITES), ("conditions", CONDITIONS)):
        file = f"{name}.parquet"
        assert (first / file).read_bytes() == (second / file).read_bytes()
        back, table = contract.read(first / file), getattr(written, name)
        assert list(back.columns) == list(contract.schema.names)
        assert len(back) == len(table)
    pd.testing.assert_frame_equal(WELLS.read(first / "wells.parquet"), written.wells)
    notes = json.loads((first / "notes.json").read_text())
    assert notes["counts"]["unperturbed"] == 1
    assert notes["extras"] == []


def test_extra_tables_of_an_earlier_form_are_removed(tmp_path):
    one = screen(tmp_path, ROWS)
    one.extras["truth"] = pd.DataFrame({"a": [1]})
    assert tmp_path / "truth.parquet" in write_screen(one, tmp_path)
    (tmp_path / "other.parquet").write_bytes(b"")
    files = write_screen(screen(tmp_path, ROWS), tmp_path)
    assert not (tmp_path / "truth.parquet").exists()
    assert (tmp_path / "other.parquet").exists()
    assert all(file.is_file() for file in files)


def test_all_problems_go_to_a_file_when_the_message_cannot_show_them(tmp_path):
    place = tmp_path / "problems.txt"
    with (
        pytest.raises(TableError, match=r"All of them stand in .*problems"),
        problems_written(place),
    ):
        screen(tmp_path, [f"b,1,Z{i},x,NA" for i in range(60, 90)])
    assert place.read_text().count("is not a well") == 30
    place.unlink()
    with pytest.raises(TableError, match="Z60"), problems_written(place):
        screen(tmp_path, ["b,1,Z60,x,NA"])
    assert not place.exists()
