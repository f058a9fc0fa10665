"""From a raw listing to tables that conform, and every problem of a listing in one message."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.errors import TableError
from phenoprints.screens.assembly import assemble, conforms
from phenoprints.screens.listing import Listing, Notes
from phenoprints.wells import WELLS, edge_distance, plate_formats


def listing(num_wells: int = 6, **changes) -> Listing:
    wells = pd.DataFrame(
        {
            "experiment": ["e2", "e1"] * (num_wells // 2),
            "plate": "007",
            "well": [f"b{i // 2 + 1}" for i in range(num_wells)],
            "role": ["treatment"] * (num_wells - 2) + ["negative_control", "unperturbed"],
        }
    )
    perturbations = pd.DataFrame(
        {
            "well_row": np.arange(num_wells - 1),
            "perturbation": [f"p{i // 2}" for i in range(num_wells - 2)] + ["DMSO"],
            "kind": "compound",
            "gene": None,
            "guide": None,
            "concentration_um": 1.0,
        }
    )
    sites = pd.DataFrame(
        {
            "well_row": np.repeat(np.arange(num_wells), 2)[::-1],
            "site": [1, 0] * num_wells,
            "locator": "files:[]",
            "height": 8,
            "width": 9,
            "channels": [["DNA", "ER"]] * (2 * num_wells),
        }
    )
    fields = {"wells": wells, "perturbations": perturbations, "sites": sites, "origin": "w.csv"}
    return Listing(**{**fields, **changes})


def changed(table: pd.DataFrame, position: int, **values) -> pd.DataFrame:
    for column, value in values.items():
        table.loc[position, column] = value
    return table


def test_a_screen_is_sorted_conforms_and_keeps_what_belongs_together():
    screen = assemble("s", listing(), plate_format=96)
    conforms(screen)
    assert list(screen.wells["experiment"]) == ["e1"] * 3 + ["e2"] * 3
    assert list(screen.wells["well"]) == ["B01", "B02", "B03"] * 2
    assert list(screen.wells["plate"].unique()) == ["007"]
    names = screen.conditions.set_index("condition_id")["perturbation"]
    of_well = [None if c is None else [names[i] for i in c] for c in screen.wells["conditions"]]
    assert of_well == [["p0"], ["p1"], [], ["p0"], ["p1"], ["DMSO"]]
    assert list(screen.sites["well_id"]) == list(np.repeat(screen.wells["well_id"], 2))
    assert list(screen.sites["site"]) == [0, 1] * 6


def test_row_order_does_not_matter():
    first = assemble("s", listing())
    raw = listing()
    order = np.array([3, 1, 5, 0, 2, 4])
    where = np.argsort(order)
    wells = raw.wells.iloc[order].reset_index(drop=True)
    moved = {
        name: table.assign(well_row=where[table["well_row"]]).iloc[::-1].reset_index(drop=True)
        for name, table in (("perturbations", raw.perturbations), ("sites", raw.sites))
    }
    second = assemble("s", listing(wells=wells, **moved))
    for name in ("wells", "sites", "conditions"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name))


def test_well_ids_depend_on_the_screen():
    one, other = assemble("one", listing()), assemble("other", listing())
    assert not set(one.wells["well_id"]) & set(other.wells["well_id"])


def test_counts_and_warnings():
    notes = Notes()
    notes.count("plates_missing", 2)
    notes.warn("Two plates are missing.")
    raw = listing(notes=notes)
    perturbations = raw.perturbations.drop(index=[0])
    screen = assemble("s", listing(notes=notes, perturbations=perturbations))
    counts = screen.notes["counts"]
    assert counts["wells"] == 6
    assert counts["plates"] == 2
    assert counts["sites"] == 12
    assert counts["unperturbed"] == 1
    assert counts["wells_of_unknown_perturbation"] == 1
    assert counts["plates_missing"] == 2
    assert screen.notes["warnings"][0] == "Two plates are missing."
    assert screen.notes["warnings"][1].startswith("1 wells have no known perturbation")


def test_all_problems_stand_in_one_message():
    wells = listing(8).wells
    wells = changed(wells, 0, well="A25")
    wells = changed(wells, 2, well="A25")
    wells = changed(wells, 1, role="trt")
    wells = changed(wells, 3, plate=None)
    wells = changed(wells, 6, well="b3")  # e2 has a B03 already, in row 5
    with pytest.raises(TableError) as caught:
        assemble("s", listing(8, wells=wells.assign(line=np.arange(2, 10))), plate_format=384)
    message = str(caught.value)
    assert (
        'w.csv, line 2: column "well": "A25" is not a well of a 384-well plate. '
        "2 rows have this error (first: line 2, last: line 4)\n"
        "  Expected A01 to P24.\n"
        "  To fix: correct the sheet, or set plate_format: 1536.\n"
    ) in message
    assert 'w.csv, line 3: column "role": "trt" is not a role' in message
    assert 'w.csv, line 5: column "plate": the value is missing' in message
    assert "w.csv: plate 007, well B03 stands in 2 rows (line 6, line 8)" in message
    assert len(caught.value.problems) == 4


def test_a_well_of_no_plate_format_is_told_so():
    raw = listing(60).wells
    wells = raw.assign(well="A99", plate=[f"p{i}" for i in range(60)], experiment="e1")
    wells = changed(wells, 58, well=None)
    with pytest.raises(TableError) as caught:
        assemble("s", listing(60, wells=wells))
    assert [str(problem) for problem in caught.value.problems] == [
        'w.csv, row 1: column "well": "A99" is not a well of any plate format. '
        "59 rows have this error (first: row 1, last: row 60)\n"
        "  Expected A01 to AF48, the last of 1536 wells.\n"
        "  To fix: correct the sheet.",
        'w.csv, row 59: column "well": the value is missing\n'
        "  Expected A01 to AF48, the last of 1536 wells.\n"
        "  To fix: correct the sheet.",
    ]


def test_only_plate_formats_that_have_the_well_are_proposed():
    wells = changed(listing().wells, 0, well="C13")
    with pytest.raises(TableError, match="set plate_format: 384 or 1536") as caught:
        assemble("s", listing(wells=wells), plate_format=24)
    assert len(caught.value.problems) == 1


def test_more_than_twenty_problems_are_counted_and_carried():
    wells = listing(60).wells.assign(well=[f"Z{i}" for i in range(1, 61)])
    with pytest.raises(TableError, match="and 40 more problems of 60 in all") as caught:
        assemble("s", listing(60, wells=wells), plate_format=384)
    assert len(caught.value.problems) == 60


def test_an_empty_screen_is_an_error():
    with pytest.raises(TableError, match=r"w\.csv: the screen has no wells"):
        assemble("s", listing(wells=listing().wells.iloc[:0]))


def test_an_unknown_kind_is_an_error():
    raw = listing()
    table = raw.perturbations.assign(kind="shRNA")
    with pytest.raises(TableError, match='"shRNA" in 5 rows is not a kind of perturbation'):
        assemble("s", listing(perturbations=table))


def test_a_shared_well_id_is_an_error(monkeypatch):
    import phenoprints.screens.assembly as module

    monkeypatch.setattr(module, "well_ids", lambda *_: np.ones(6, dtype=np.uint64))
    with pytest.raises(TableError, match="two wells share a well_id"):
        assemble("s", listing())


def test_only_the_wanted_experiments_are_read():
    whole, part = assemble("s", listing()), assemble("s", listing(), include_experiments=["e2"])
    expected = whole.wells[whole.wells["experiment"] == "e2"]["well_id"].tolist()
    assert part.wells["well_id"].tolist() == expected
    assert set(part.sites["well_id"]) == set(expected)
    with pytest.raises(TableError, match='"e9" is not an experiment'):
        assemble("s", listing(), include_experiments=["e9"])


def test_wells_with_too_many_perturbations_are_unknown_and_counted():
    raw = listing()
    more = raw.perturbations.iloc[:3].assign(well_row=0, perturbation=["a", "b", "c"])
    crowded = listing(perturbations=pd.concat([raw.perturbations, more], ignore_index=True))
    assert len(assemble("s", crowded, max_perturbations=4).wells["conditions"][3]) == 4
    crowded = listing(perturbations=pd.concat([raw.perturbations, more], ignore_index=True))
    screen = assemble("s", crowded, max_perturbations=3)
    assert screen.wells["conditions"][3] is None
    assert screen.notes["counts"]["wells_with_too_many_perturbations"] == 1


def stored_formats(screen):
    return dict(zip(screen.wells["plate"] + screen.wells["well"], screen.wells["plate_format"],
                    strict=True))  # fmt: skip


def test_a_declared_format_is_stored_for_every_well():
    wells = pd.DataFrame({"experiment": "e", "plate": "p", "well": ["C03", "H12"],
                          "role": "treatment"})  # fmt: skip
    screen = assemble("s", listing(2, wells=wells), plate_format=384)
    assert set(screen.wells["plate_format"]) == {384}
    assert edge_distance(screen.wells).min() == 2


def test_a_partly_filled_plate_has_the_format_of_the_largest_plate_of_its_screen():
    full = [f"{row}{column:02d}" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]
    names = [*full, "A01", "H12"]
    wells = pd.DataFrame({"experiment": "e", "plate": ["full"] * 384 + ["part"] * 2, "well": names,
                          "role": "treatment"})  # fmt: skip
    formats = stored_formats(assemble("s", listing(386, wells=wells)))
    assert formats["partH12"] == formats["fullP24"] == 384


def test_a_source_can_give_each_plate_its_format():
    wells = pd.DataFrame({"experiment": "e", "plate": ["a", "b"], "well": "A01",
                          "role": "treatment", "plate_format": [384, 1536]})  # fmt: skip
    formats = stored_formats(assemble("s", listing(2, wells=wells)))
    assert formats == {"aA01": 384, "bA01": 1536}


def test_tables_of_0_1_get_their_plate_format_on_reading(tmp_path):
    wells = assemble("s", listing(), plate_format=96).wells
    new, old = tmp_path / "new.parquet", tmp_path / "old.parquet"
    WELLS.write(new, wells)
    wells.drop(columns="plate_format").to_parquet(old)
    assert set(WELLS.read(new, ["plate_format"])["plate_format"]) == {96}
    inferred = plate_formats(wells.drop(columns="plate_format"))
    assert WELLS.read(old)["plate_format"].tolist() == inferred.tolist()
    assert list(WELLS.read(old, ["well", "plate_format"])) == ["well", "plate_format"]
    assert list(WELLS.read(old, ["well"])) == ["well"]


@pytest.mark.parametrize(("column", "other"), [("experiment", "E1"), ("plate", "Platte Ä")])
def test_names_that_some_file_systems_take_for_one_are_refused(column, other):
    raw = listing()
    raw.wells["plate"] = "platte ä"
    assemble("s", raw)
    raw.wells.loc[1, column] = other
    with pytest.raises(TableError, match=f"the {column}s .* differ only in case"):
        assemble("s", raw)
