"""Every cure that `phenoprints check` prints for a table is carried out, and then it passes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.tables.small_tables import COLUMNS, FEATURES, good_table, write_config

from phenoprints.cli import main

Changes = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """Tables with a fault, what the check prints, and the cure: other settings or other tables."""

    name: str
    fault: Callable[[Path], None]
    printed: str
    settings: Changes = field(default_factory=dict)
    cure: Callable[[Path], None] = lambda folder: None
    before: Changes = field(default_factory=dict)


def table(change: Callable[[pd.DataFrame], pd.DataFrame], **how: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        change(good_table()).to_csv(folder / "wells.csv", **{"index": False, **how})

    return write


def text(change: Callable[[str], str], encoding: str = "utf-8") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        content = change(good_table().to_csv(index=False))
        (folder / "wells.csv").write_bytes(content.encode(encoding))

    return write


def cell(row: int, column: str, value: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[row, column] = value
        return frame

    return change


def same(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def thousands(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(f0=[f"{1000 + 7 * i * i:,}" for i in range(len(frame))])


def half_empty(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[::2, "f1"] = ""
    return frame


def two_sets(folder: Path) -> None:
    good_table().to_csv(folder / "wells.csv", index=False)
    good_table()[:18].to_csv(folder / "p0.csv", index=False)
    good_table()[18:].rename(columns={"f1": "g1"}).to_csv(folder / "p1.csv", index=False)


def joined(doses: dict[str, str]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        frame = good_table().assign(level=[str(1 + i % 2) for i in range(36)])
        frame.to_csv(folder / "wells.csv", index=False)
        rows = [(level, f"n{level}") for level in doses.values()]
        pd.DataFrame(rows, columns=["level", "name"]).to_csv(folder / "map.csv", index=False)

    return write


def cells(folder: Path) -> None:
    frame = pd.concat([good_table()] * 3).astype(dict.fromkeys(FEATURES, float))
    frame.to_parquet(folder / "cells.parquet")


def platemaps(name: str = "well_position", **columns: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        frame = good_table().rename(columns={"plate": "Metadata_Plate", "well": "Metadata_Well"})
        wells = frame[["batch", "Metadata_Plate", "Metadata_Well", *FEATURES]].assign(**columns)
        wells.to_csv(folder / "wells.csv", index=False)
        (folder / "platemap").mkdir(exist_ok=True)
        plates = sorted(frame["Metadata_Plate"].unique())
        for plate in plates:
            rows = frame[frame["Metadata_Plate"] == plate][["Metadata_Well", "compound", "dose"]]
            rows = rows.rename(columns={"Metadata_Well": name})
            rows.to_csv(folder / f"platemap/map{plate}.txt", sep="\t", index=False)
        maps = [f"map{plate}" for plate in plates]
        barcodes = pd.DataFrame({"Assay_Plate_Barcode": plates, "Plate_Map_Name": maps})
        barcodes.to_csv(folder / "barcode_platemap.csv", index=False)

    return write


def edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        path = folder / name
        path.write_text(path.read_text().replace(old, new))

    return write


JOIN = {"table": "map.csv", "keys": ["level"], "missing": "error"}
MAPS: Changes = {
    "screen": {
        "barcode_platemap": "barcode_platemap.csv",
        "columns": {
            k: v for k, v in COLUMNS.items() if k not in ("plate", "well")
        },
    }
}  # fmt: skip
CASES = [
    Case("encoding", text(lambda t: t.replace("cpd1", "cpdé"), "cp1252"),
         "set `table_format: {encoding: cp1252}`",
         {"screen": {"table_format": {"encoding": "cp1252"}}}),
    Case("separator", lambda f: good_table().assign(batch=lambda t: t["batch"] + "|x").rename(
            columns={"batch": "batch|x"}).to_csv(f / "wells.csv", sep=";", index=False),
         "set table_format.separator", {"screen": {"table_format": {"separator": "semicolon"},
         "columns": {**COLUMNS, "experiment": "batch|x"}}},
         before={"screen": {"columns": {**COLUMNS, "experiment": "batch|x"}}}),
    Case("a row that is too long", text(lambda t: t.replace("cpd3,1,", "cpd3,1,,", 1)),
         "correct the row", cure=table(same)),
    Case("names of rows without a heading",
         text(lambda t: "\n".join([t.splitlines()[0], *(f"{i},{line}" for i, line in enumerate(
             t.splitlines()[1:]))])),
         "where the first column has no name (as R writes row names), name it",
         cure=edited("wells.csv", "batch,plate", "row,batch,plate")),
    Case("two columns of a name", text(lambda t: t.replace("f1", "f0", 1)),
         "rename or delete the others", cure=table(same)),
    Case("thousands", table(thousands), "table_format.thousands",
         {"screen": {"table_format": {"thousands": "comma"}}}),
    Case("a comma that may be a decimal mark", table(thousands), "set table_format.decimal",
         {"screen": {"table_format": {"decimal": "comma"}}, "encoder": {"features": ["f0"]}}),
    Case("a word in a feature", table(cell(3, "f1", "broken")), "list such words under "
         "missing_values", {"screen": {"missing_values": ["broken"], "max_failed_fraction": 0.1}}),
    Case("a word in a feature, left out", table(cell(3, "f1", "broken")),
         'leave it out with exclude_features: ["f1"]', {"encoder": {"exclude_features": ["f1"]}}),
    Case("feature without values", table(half_empty), 'exclude_features: ["f1"]',
         {"encoder": {"exclude_features": ["f1"]}}),
    Case("feature without values, dropped", table(half_empty), "nan_features of the encoder to "
         "drop", {"encoder": {"nan_features": "drop"}}),
    Case("feature without values, imputed", table(half_empty), "or impute-plate-median",
         {"encoder": {"nan_features": "impute-plate-median", "max_nan_fraction": 0.6}}),
    Case("other features, shared", two_sets, "set feature_sets: shared",
         {"encoder": {"profiles": "p?.csv", "feature_sets": "shared"}},
         before={"encoder": {"profiles": "p?.csv"}}),
    Case("other features, named", two_sets, "name them under its `features`",
         {"encoder": {"profiles": "p?.csv", "features": ["f0", "f2"]}},
         before={"encoder": {"profiles": "p?.csv"}}),
    Case("numbers as keys", joined({"a": "1.0", "b": "2.0"}),
         "list columns that hold numbers under join.numbers",
         {"screen": {"join": [{**JOIN, "numbers": ["level"]}]}},
         before={"screen": {"join": [JOIN]}}),
    Case("a key without a row", joined({"a": "1"}), "set join.missing: keep",
         {"screen": {"join": [{**JOIN, "missing": "keep"}]}}, before={"screen": {"join": [JOIN]}}),
    Case("the column of wells of a platemap", platemaps("position"),
         "name the column well_position", MAPS, platemaps(), MAPS),
    Case("a column of both tables", platemaps(compound="x"),
         "delete the column from one of the tables", MAPS, platemaps(), MAPS),
    Case("plates by other names", lambda f: (platemaps()(f), edited("barcode_platemap.csv",
         "\n0041", "\n41")(f))[0], "they are compared as text, so that 0041000 is not 41000", MAPS,
         platemaps(), MAPS),
    Case("no column of plates", lambda f: (table(same)(f), good_table().rename(columns={
             "plate": "Platte"}).to_csv(f / "p.csv", index=False))[0],
         "name it under the encoder's `columns.plate`",
         {"encoder": {"profiles": "p.csv", "columns": {"plate": "Platte"}}},
         before={"encoder": {"profiles": "p.csv"}}),
    Case("profiles of other plates", lambda f: (table(same)(f), good_table().assign(
             plate=lambda t: t["plate"].str.lstrip("0")).to_csv(f / "p.csv", index=False))[0],
         "differ in leading zeros; write the same names in both tables",
         {"encoder": {"profiles": "p.csv"}},
         lambda f: good_table().to_csv(f / "p.csv", index=False),
         {"encoder": {"profiles": "p.csv"}}),
    Case("a well twice", table(lambda t: pd.concat([t, t[:1]])), "delete the surplus rows",
         cure=table(same)),
    Case("a word that is no role", table(lambda t: t.assign(role="sample")),
         "give its meaning under roles",
         {"screen": {"columns": {**COLUMNS, "role": "role"},
                     "roles": {"sample": "negative_control"}}},
         before={"screen": {"columns": {**COLUMNS, "role": "role"}, "roles": {}}}),
    Case("a word that is no kind", table(lambda t: t.assign(kind="drug")),
         "give its meaning under columns.kind.map",
         {"screen": {"columns": {**COLUMNS, "kind": {"column": "kind", "map": {
             "drug": "compound"}}}}},
         before={"screen": {"columns": {**COLUMNS, "kind": "kind"}}}),
    Case("a dose that is no number", table(cell(0, "dose", "ten")), "use "
         "columns.concentration_um.extract or .map",
         {"screen": {"columns": {**COLUMNS, "concentration_um": {"column": "dose", "map": {
             "ten": 10}}}}}),
]  # fmt: skip


def check(folder: Path, capsys: pytest.CaptureFixture[str], changes: Changes) -> tuple[int, str]:
    code = main(["check", str(write_config(folder, **changes))])
    caught = capsys.readouterr()
    return code, " ".join((caught.out + caught.err).split())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_printed_cure_cures(tmp_path, capsys, case):
    case.fault(tmp_path)
    code, printed = check(tmp_path, capsys, case.before)
    assert code == 2
    assert case.printed in printed
    case.cure(tmp_path)
    code, printed = check(tmp_path, capsys, case.settings)
    assert "✓ PASS e on s" in printed, printed
    assert code in (0, 1)  # 1: a small screen without treatments that pass the funnel


def test_the_command_for_tables_of_cells_cures(tmp_path, capsys):
    cells(tmp_path)
    before: Changes = {"screen": {"wells": "cells.parquet"}}
    main(["check", str(write_config(tmp_path, **before))])
    error = capsys.readouterr().err
    (code,) = re.findall(r'python -c "(.*)"', error)
    subprocess.run([sys.executable, "-c", code], check=True)
    settings: Changes = {
        "screen": {"wells": "wells_only.csv"},
        "encoder": {"profiles": "cells.parquet"},
    }
    code, printed = check(tmp_path, capsys, settings)
    assert code in (0, 1)
    assert "36 of 36 wells have a vector; 36 are means of several rows" in printed
