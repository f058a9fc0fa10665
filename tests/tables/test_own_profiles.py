"""The layouts of docs/how-to/own-profiles.md are `phenoprints new` with five edited lines."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from tests.tables.small_tables import FEATURES, good_table

from phenoprints.cli import main
from phenoprints.cli.new import new_configuration

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/own-profiles.md"
MAX_EDITED = 5


def edited(name: str) -> str:
    """Return the configuration of `new` with the lines of the page in place of their keys'."""
    (block,) = re.findall(rf"```yaml {name}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    lines = new_configuration("profiles-table", "my-screen").splitlines()
    changes = block.splitlines()
    assert len(changes) + (name == "jump") <= MAX_EDITED  # JUMP deletes a line
    for change in changes:
        key = change.strip().partition(":")[0]
        indent = change[: len(change) - len(change.lstrip())]
        at = [i for i, line in enumerate(lines)
              if line.startswith((f"{indent}{key}:", f"{indent}# {key}:"))]  # fmt: skip
        if at:
            lines[at[0]] = change
        else:
            lines.insert(lines.index("    wells: " + wells_of(changes)) + 1, change)
    return "\n".join(lines) + "\n"


def wells_of(changes: list[str]) -> str:
    return changes[0].partition("wells: ")[2]


def numbers(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.astype(dict.fromkeys(set(FEATURES) & set(rows), float))


def alsf(folder: Path) -> None:
    table = good_table().rename(
        columns={"batch": "Metadata_Batch", "plate": "Metadata_Plate", "well": "Metadata_Well",
                 "compound": "Metadata_treatment", "dose": "Metadata_dose"}
    )  # fmt: skip
    for number, (plate, rows) in enumerate(table.groupby("Metadata_Plate")):
        own = numbers(rows).rename(columns={"f2": f"g{number}"}).assign(
            Metadata_dose=pd.to_numeric(rows["Metadata_dose"]))  # fmt: skip
        own.to_parquet(folder / f"{plate}_feature_selected.parquet")


def lincs(folder: Path) -> None:
    table = good_table().rename(columns={"plate": "Metadata_Plate", "well": "Metadata_Well"})
    (folder / "profiles").mkdir()
    (folder / "platemap").mkdir()
    barcodes = []
    for number, (plate, rows) in enumerate(table.groupby("Metadata_Plate")):
        columns = ["Metadata_Plate", "Metadata_Well", *FEATURES]
        own = rows[columns].assign(Metadata_Batch=f"batch{number}")
        own.to_csv(folder / f"profiles/{plate}.csv.gz", index=False)
        maps = rows.rename(columns={"Metadata_Well": "well_position", "compound": "broad_sample",
                                    "dose": "mmoles_per_liter"})  # fmt: skip
        maps["broad_sample"] = maps["broad_sample"].replace("DMSO", "")
        maps["solvent"] = "DMSO"
        maps[["well_position", "broad_sample", "mmoles_per_liter", "solvent"]].to_csv(
            folder / f"platemap/C-{number}.txt", sep="\t", index=False
        )
        barcodes.append((plate, f"C-{number}", number, 48))
    columns = ["Assay_Plate_Barcode", "Plate_Map_Name", "Batch_Number", "Assay_Timepoint"]
    pd.DataFrame(barcodes, columns=columns).to_csv(folder / "barcode_platemap.csv", index=False)


def jump(folder: Path) -> None:
    table = good_table().rename(columns={"plate": "Metadata_Plate", "well": "Metadata_Well"})
    codes = {name: f"JCP2022_{i:06}" for i, name in enumerate(sorted(set(table["compound"])))}
    table["Metadata_JCP2022"] = table["compound"].map({**codes, "DMSO": "JCP2022_033924"})
    table["Metadata_Source"] = "source_1"
    (folder / "profiles").mkdir()
    keys = ["Metadata_Source", "Metadata_Plate", "Metadata_Well"]
    for plate, rows in table.groupby("Metadata_Plate"):
        numbers(rows[[*keys, *FEATURES]]).to_parquet(folder / f"profiles/{plate}.parquet")
    table[[*keys, "Metadata_JCP2022"]].to_csv(folder / "well.csv.gz", index=False)
    plates = table[["Metadata_Source", "batch", "Metadata_Plate"]].drop_duplicates()
    plates.rename(columns={"batch": "Metadata_Batch"}).to_csv(folder / "plate.csv.gz", index=False)


@pytest.mark.parametrize(
    ("layout", "num_features"), [(alsf, 2), (lincs, 3), (jump, 3)], ids=["alsf", "lincs", "jump"]
)
def test_a_public_layout_needs_five_edited_lines(
    tmp_path, monkeypatch, capsys, layout, num_features
):
    monkeypatch.chdir(tmp_path)
    layout(tmp_path)
    text = edited(layout.__name__)
    if layout is jump:
        text = text.replace("      concentration_um: concentration\n", "")
    Path("mine.yaml").write_text(text)
    assert main(["check", "mine.yaml"]) in (0, 1)  # 1: a small screen reaches no step 3
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("  my-screen"))
    assert row.split()[1:6] == ["2", "2", "36", "24", "12"]
    assert "36 of 36 wells have a vector." in out
    assert f"{num_features} features (f0, f1" in out
