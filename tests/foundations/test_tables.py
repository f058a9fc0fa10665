"""A contract finds every breach and says all of them at once."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from phenoprints.foundations.errors import CorruptionError, MissingInputError, TableError
from phenoprints.foundations.tables import Contract

FRUIT = Contract(
    name="fruit",
    schema=pa.schema([("name", pa.string()), ("weight_g", pa.int32()), ("colour", pa.string())]),
    unique=("name",),
    sorted_by=("name",),
    words={"colour": ("green", "red")},
)


def table(**changes):
    columns = {"colour": ["red", "green"], "name": ["pear", "apple"], "weight_g": [90, 80]}
    return pd.DataFrame(columns | changes)


def test_a_good_table_is_ordered_and_typed():
    got = FRUIT.conform(table())
    assert got.schema == FRUIT.schema
    assert got["name"].to_pylist() == ["apple", "pear"]


def test_every_missing_column_is_named():
    with pytest.raises(TableError) as error:
        FRUIT.conform(table().drop(columns=["name", "colour"]))
    assert 'column "name" is missing' in str(error.value)
    assert 'column "colour" is missing' in str(error.value)


def test_duplicates_and_strange_words_come_in_one_message():
    with pytest.raises(TableError) as error:
        FRUIT.conform(table(name=["fig", "fig"], colour=["blue", "red"]), where="fruit.csv")
    assert 'fruit.csv: name "fig" stands in 2 rows' in str(error.value)
    assert 'column "colour": "blue" in 1 rows' in str(error.value)


def test_a_value_of_the_wrong_type_is_an_error():
    with pytest.raises(TableError, match="cannot hold its values"):
        FRUIT.conform(table(weight_g=["heavy", 3]))


def test_reading_checks_file_and_columns(tmp_path):
    FRUIT.write(tmp_path / "fruit.parquet", table())
    assert FRUIT.read(tmp_path / "fruit.parquet", ["weight_g"])["weight_g"].tolist() == [80, 90]
    with pytest.raises(MissingInputError, match="nowhere"):
        FRUIT.read(tmp_path / "nowhere.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(CorruptionError, match="this table cannot be read"):
        FRUIT.read(tmp_path / "text.parquet")


def test_many_problems_are_counted_beyond_twenty():
    many = pd.DataFrame({"name": [f"n{i // 2}" for i in range(60)], "weight_g": 1, "colour": "red"})
    with pytest.raises(TableError, match="and 10 more problems of 30 in all"):
        FRUIT.conform(many)
