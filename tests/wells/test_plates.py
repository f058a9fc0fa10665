"""Well names of every plate format."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.errors import DataError
from phenoprints.wells import plates


def test_every_well_of_every_format_is_parsed_back():
    for size, (rows, columns) in plates.PLATE_FORMATS.items():
        assert rows * columns == size
        names = [plates.well_name(r, c) for r in range(1, rows + 1) for c in range(1, columns + 1)]
        parsed = plates.parse_wells(names, size)
        assert list(parsed.name) == names
        assert not parsed.is_impossible.any()
        assert (parsed.row[0], parsed.column[0]) == (1, 1)
        assert (parsed.row[-1], parsed.column[-1]) == (rows, columns)


@pytest.mark.parametrize("spelling", ["b7", "B7", "b07", "B07", " B07 ", "B007"])
def test_spellings_of_one_well(spelling):
    assert plates.parse_well(spelling, 96) == (2, 7)
    assert plates.parse_wells([spelling], 96).name[0] == "B07"


@pytest.mark.parametrize(
    "name", ["", "A", "7", "A00", "A0", "A25", "Q01", "AAA1", "A-1", "Ä1", "A１"]
)
def test_impossible_names(name):
    assert plates.parse_well(name, 384) is None
    assert plates.parse_wells([name], 384).is_impossible[0]


def test_missing_names_are_impossible_and_others_stay():
    parsed = plates.parse_wells(["A01", None, float("nan"), "P24"], 384)
    assert list(parsed.is_impossible) == [False, True, True, False]
    assert list(parsed.name) == ["A01", "", "", "P24"]
    assert list(parsed.row) == [1, 0, 0, 16]


def test_rows_beyond_the_alphabet():
    assert plates.row_letters(27) == "AA"
    assert plates.row_letters(32) == "AF"
    with pytest.raises(ValueError, match="row 0"):
        plates.row_letters(0)


def test_examples_of_the_docstrings():
    assert doctest.testmod(plates).failed == 0


def test_the_format_is_inferred_per_plate_and_a_stray_well_does_not_raise_it():
    names = [plates.well_name(r, c) for r in range(1, 17) for c in range(1, 25)]
    large = [plates.well_name(r, c) for r in range(1, 33) for c in range(1, 49)]
    few = ["C03", "D06"]
    parsed = plates.parse_wells([*names[:-1], "A25", *large, *few, "??"], 1536)
    plate = np.repeat([0, 1, 2], [384, 1536, 3])
    formats = plates.infer_formats(parsed, plate)
    assert set(formats[:384]) == {384}
    assert set(formats[384:1920]) == {1536}
    assert set(formats[1920:]) == {24}
    assert np.flatnonzero(plates.is_outside(parsed, formats)).tolist() == [383, 1922]


def grid(rows, columns, first_row=1, first_column=1, **more):
    row, column = np.meshgrid(
        np.arange(first_row, first_row + rows), np.arange(first_column, first_column + columns),
        indexing="ij",
    )  # fmt: skip
    return pd.DataFrame({"row": row.ravel(), "column": column.ravel(), **more})


@pytest.mark.parametrize(("size", "shape"), plates.PLATE_FORMATS.items())
def test_edge_distance_of_a_full_plate_of_every_format(size, shape):
    wells = grid(*shape)
    assert set(plates.plate_formats(wells)) == {size}
    distance = plates.edge_distance(wells)
    on_rim = wells["row"].isin([1, shape[0]]) | wells["column"].isin([1, shape[1]])
    np.testing.assert_array_equal(distance == 0, on_rim)
    assert distance.max() == (min(shape) - 1) // 2


def test_edge_distance_of_twelve_wells():
    assert plates.edge_distance(grid(3, 4)).reshape(3, 4).tolist() == [
        [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0],
    ]  # fmt: skip


def test_wells_inside_of_a_declared_format_are_not_on_its_rim():
    wells = grid(6, 10, 3, 3, plate_format=384)
    assert plates.edge_distance(wells).min() == 2
    assert plates.edge_distance(grid(8, 12, plate_format=384)).reshape(8, 12)[7, 11] == 7
    assert plates.edge_distance(wells.drop(columns="plate_format")).min() == 0


def test_plates_of_several_formats_have_rims_of_their_own():
    wells = pd.concat([grid(2, 3, plate_format=6), grid(3, 4, plate_format=12)])
    assert (plates.edge_distance(wells) == 0).sum() == 6 + 10


def test_wells_beyond_every_format_are_refused():
    with pytest.raises(DataError, match="row 33, column 1 is on no plate"):
        plates.plate_formats(grid(33, 1))
