"""500 mutations of good tables of two kinds: meaning is kept, or its loss is named or counted.

One kind is a table of wells with their profiles; the other plates with platemaps, a barcode table
and one table of profiles for each plate.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tables.small_tables import FEATURES, Result, good_table, result_of, write_config

from phenoprints.configuration import load
from phenoprints.embeddings.precomputed import refuse_missing_features
from phenoprints.foundations.errors import PhenoprintsError

EXAMPLES = 125
NUMBERS = ("dose", *FEATURES)
SEPARATORS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}
mutations = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
Tables = dict[str, pd.DataFrame]


def one_table() -> Tables:
    return {"wells": good_table()}


def plates_and_maps() -> Tables:
    table = good_table().rename(columns={"plate": "Metadata_Plate", "well": "Metadata_Well"})
    wells = table[["Metadata_Plate", "Metadata_Well"]]
    tables = {"wells": wells}
    barcodes = []
    for number, (plate, rows) in enumerate(table.groupby("Metadata_Plate")):
        barcodes.append((plate, f"map{number}", f"b{number}"))
        tables[f"platemap/map{number}"] = rows[["Metadata_Well", "compound", "dose"]].rename(
            columns={"Metadata_Well": "well_position"}
        )
        tables[f"p{number}"] = rows[["Metadata_Plate", "Metadata_Well", *FEATURES]]
    columns = ["Assay_Plate_Barcode", "Plate_Map_Name", "Batch_Number"]
    return {**tables, "barcode_platemap": pd.DataFrame(barcodes, columns=columns)}


KINDS: dict[str, tuple[Callable[[], Tables], dict[str, Any]]] = {
    "one table": (one_table, {}),
    "plates and maps": (
        plates_and_maps,
        {
            "screen": {
                "columns": {
                    "experiment": "Batch_Number", "perturbation": "compound",
                    "concentration_um": "dose", "kind": {"value": "compound"},
                    "role": {"column": "compound", "default": "treatment"},
                },
                "barcode_platemap": "barcode_platemap.csv",
            },
            "encoder": {"profiles": "p?.*"},
        },
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request, tmp_path_factory):
    """The tables of a kind, its configuration and what a run makes of them."""
    folder = tmp_path_factory.mktemp("good")
    tables, changes = KINDS[request.param][0](), KINDS[request.param][1]
    write_all(folder, tables)
    config = load(write_config(folder, **changes))
    return tables, config, result_of(config)


def write_all(folder: Path, tables: Tables, written: dict[str, bytes] | None = None) -> None:
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((written or {}).get(name) or table.to_csv(index=False).encode())


def read(folder: Path, config: dict[str, Any]) -> Result:
    moved = {**config["screens"]["s"], "root": str(folder)}
    result = result_of({**config, "screens": {"s": moved}})
    refuse_missing_features(result.matched, 0.5)
    return result


# --- What keeps the meaning ----------------------------------------------------------------------


@st.composite
def forms(draw) -> dict[str, Any]:
    """One of the ways in which the same table can be written."""
    separator = draw(st.sampled_from(sorted(SEPARATORS)))
    return {
        "separator": SEPARATORS[separator],
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])),
        "line": draw(st.sampled_from(["\n", "\r\n", "\r"])),
        "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        "decimal": draw(st.sampled_from([".", ","])) if separator != "comma" else ".",
        "number": draw(st.sampled_from(["", "e", "+", "zeros"])),
        "blanks": draw(st.sampled_from(["", " ", "\u00a0", "  "])),
        "header_blanks": draw(st.sampled_from(["", " "])),
        "index": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**31)),
    }


def written(table: pd.DataFrame, form: dict[str, Any]) -> bytes:
    """Return a table written in a form, rows and columns in another order."""
    rng = np.random.default_rng(form["seed"])
    table = table.iloc[rng.permutation(len(table))][list(rng.permutation(table.columns))].copy()
    for name in table.columns:
        write = numeral if name in NUMBERS else named
        table[name] = [write(text, form) for text in table[name]]
    if form["index"]:
        table.insert(0, "", range(len(table)))
    blank = form["header_blanks"]
    table.columns = [f"{blank}{name}{blank}" if name else "" for name in table.columns]
    stream = io.StringIO()
    table.to_csv(
        stream, index=False, sep=form["separator"], quoting=form["quoting"],
        lineterminator=form["line"],
    )  # fmt: skip
    return stream.getvalue().encode(form["encoding"])


def named(text: str, form: dict[str, Any]) -> str:
    return f"{text}{form['blanks']}"


def numeral(text: str, form: dict[str, Any]) -> str:
    if not text:
        return text
    texts = {"e": f"{float(text):.7e}", "+": f"{float(text):+}", "zeros": f"{float(text):.9f}"}
    return texts.get(form["number"], text).replace(".", form["decimal"])


@given(form=forms(), data=st.data())
@mutations
def test_what_keeps_the_meaning_gives_the_same_result(kind, tmp_path_factory, form, data):
    tables, config, good = kind
    folder = tmp_path_factory.mktemp("kept")
    chosen = data.draw(st.sampled_from([*tables, "all"]))
    same = {name: written(table, form) for name, table in tables.items()
            if chosen in (name, "all")}  # fmt: skip
    write_all(folder, tables, same)
    result = read(folder, config)
    for name in ("wells", "conditions"):
        pd.testing.assert_frame_equal(getattr(result.screen, name), getattr(good.screen, name))
    order = [result.table.features.index(name) for name in good.table.features]
    assert sorted(result.table.features) == sorted(good.table.features)
    np.testing.assert_array_equal(result.matched.vectors[:][:, order], good.matched.vectors[:])
    assert len(result.matched.failures) == 0


# --- What destroys it ----------------------------------------------------------------------------


def missing(table: pd.DataFrame, row: int, column: str) -> bytes:
    changed = table.copy()
    changed.loc[changed.index[row], column] = ""
    return changed.to_csv(index=False).encode()


def duplicated(table: pd.DataFrame, row: int, column: str) -> bytes:
    changed = pd.concat([table, table.iloc[[row]]], ignore_index=True)
    changed.loc[len(changed) - 1, column] = "17" if column in NUMBERS else "another"
    return changed.to_csv(index=False).encode()


def shifted(table: pd.DataFrame, row: int, column: str) -> bytes:
    lines = table.to_csv(index=False).splitlines()
    cells = lines[row + 1].split(",")
    del cells[table.columns.get_loc(column)]
    lines[row + 1] = ",".join(cells)
    return "\n".join(lines).encode()


def rotated(table: pd.DataFrame, row: int, column: str) -> bytes:
    lines = table.to_csv(index=False).splitlines()
    cells = lines[row + 1].split(",")
    by = 1 + table.columns.get_loc(column) % (len(cells) - 1)
    lines[row + 1] = ",".join(cells[by:] + cells[:by])
    return "\n".join(lines).encode()


def truncated(table: pd.DataFrame, row: int, column: str) -> bytes:
    lines = table.to_csv(index=False).splitlines()
    at = table.columns.get_loc(column)
    lines[row + 1] = ",".join(lines[row + 1].split(",")[:at]) if at else "b"
    return "\n".join(lines[: row + 2]).encode()


def cut_archive(table: pd.DataFrame, row: int, column: str) -> bytes:
    return gzip.compress(table.to_csv(index=False).encode())[: 20 + 3 * row]


def mistyped(table: pd.DataFrame, row: int, column: str) -> bytes:
    changed = table.copy()
    changed.loc[changed.index[row], column] = "#?9z"
    return changed.to_csv(index=False).encode()


def renamed(table: pd.DataFrame, row: int, column: str) -> bytes:
    return table.rename(columns={column: "?"}).to_csv(index=False).encode()


DESTROYING = (missing, duplicated, shifted, rotated, truncated, cut_archive, mistyped, renamed)
IDENTITIES = ("compound", "Batch_Number")
"""Another word in such a column is another valid entry, and so is a control without a dose."""


def read_or_refuse(folder: Path, config: dict[str, Any]) -> tuple[str, Result | None]:
    try:
        return "", read(folder, config)
    except PhenoprintsError as error:
        return str(error), None


@given(data=st.data(), destroy=st.sampled_from(DESTROYING))
@mutations
def test_what_destroys_the_meaning_is_named_or_counted(kind, tmp_path_factory, data, destroy):
    tables, config, good = kind
    name = data.draw(st.sampled_from(sorted(tables)))
    table = tables[name]
    columns = list(table.columns)
    if destroy in (missing, mistyped):
        columns = [c for c in columns if c not in (*IDENTITIES, "dose")]
    if destroy is renamed and name == "wells":  # a feature by another name is as good
        columns = [c for c in columns if c not in FEATURES]
    column = data.draw(st.sampled_from(columns))
    row = data.draw(st.integers(0, len(table) - 1))
    folder = tmp_path_factory.mktemp("lost")
    write_all(folder, tables, {name: destroy(table, row, column)})
    error, result = read_or_refuse(folder, config)
    if result is None:
        assert any(part in error for part in (str(folder), "wells", "profiles"))
        return
    counts = result.screen.notes["counts"]
    features = set(good.table.features) - set(result.table.features)
    told = (
        len(result.matched.failures),
        result.matched.counts["rows_without_well"],
        counts["wells_of_unknown_perturbation"],
        result.warnings,
        features <= set(result.table.excluded) and features,
    )
    assert any(told), (destroy.__name__, name, row, column)
