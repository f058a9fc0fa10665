"""Encoding nested perturbations part by part gives what assembling the whole screen gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoprints.foundations.errors import TableError
from phenoprints.screens import encoding
from phenoprints.screens.assembly import assemble
from phenoprints.screens.encoding import encode_parts
from phenoprints.screens.listing import Listing

STRUCT = pa.struct(
    [("perturbation", pa.string()), ("kind", pa.string()), ("gene", pa.string()),
     ("guide", pa.string()), ("concentration_um", pa.float64())]
)  # fmt: skip


def simulated(num_wells: int = 400, seed: int = 0) -> pd.DataFrame:
    """Wells of four experiments with 0 to 3 perturbations, some unknown."""
    rng = np.random.default_rng(seed)
    roles = rng.choice(
        ["treatment", "negative_control", "unperturbed"], num_wells, p=[0.8, 0.1, 0.1]
    )
    nested = []
    for _ in range(num_wells):
        entries = []
        for _ in range(rng.integers(0, 4)):
            name = None if rng.random() < 0.05 else f"p{rng.integers(0, 40)}"
            dose = None if rng.random() < 0.3 else float(rng.choice([0.1, 1.0]))
            gene = None if name is None else f"G{name}"
            entries.append({"perturbation": name, "kind": "crispr", "gene": gene, "guide": name,
                            "concentration_um": dose})  # fmt: skip
        nested.append(entries if rng.random() > 0.02 else None)
    return pd.DataFrame(
        {
            "experiment": [f"e{4 * i // num_wells}" for i in range(num_wells)],
            "plate": "1",
            "well": [f"{chr(65 + i // 24)}{i % 24 + 1:02}" for i in range(num_wells // 4)] * 4,
            "role": roles,
            "cell_type": rng.choice(["U2OS", "HUVEC"], num_wells),
            "background": "",
            "perturbations": nested,
        }
    )


def written(folder, wells: pd.DataFrame, num_parts: int = 3) -> list:
    files = []
    for i, rows in enumerate(np.array_split(np.arange(len(wells)), num_parts)):
        part = wells.iloc[rows].drop(columns="perturbations")
        table = pa.Table.from_pandas(part, preserve_index=False)
        nested = pa.array(wells["perturbations"].iloc[rows].tolist(), pa.list_(STRUCT))
        files.append(folder / f"part-{i}.parquet")
        pq.write_table(table.append_column("perturbations", nested), files[-1])
    return files


def assembled(wells: pd.DataFrame):
    rows = [
        {"well_row": row, **entry}
        for row, entries in enumerate(wells["perturbations"])
        for entry in (entries or [])
    ]
    perturbations = pd.DataFrame(rows).astype({"concentration_um": "float64"})
    return assemble("s", Listing(wells.drop(columns="perturbations"), perturbations, "wells"))


def lists(column) -> list:
    return [None if listed is None else list(map(int, listed)) for listed in column]


@pytest.mark.parametrize("merge_rows", [1_000_000, 10])
def test_parts_are_encoded_as_the_whole_screen_is(tmp_path, monkeypatch, merge_rows):
    monkeypatch.setattr(encoding, "MERGE_ROWS", merge_rows)
    wells = simulated()
    screen = assembled(wells)
    conditions = encode_parts(written(tmp_path, wells), tmp_path / "out")
    pd.testing.assert_frame_equal(conditions, screen.conditions[conditions.columns])
    parts = [pq.read_table(tmp_path / f"out/part-{i}.parquet").to_pandas() for i in range(3)]
    whole = pd.concat(parts).sort_values(["experiment", "plate", "well"])
    assert lists(whole["conditions"]) == lists(screen.wells["conditions"])
    assert "perturbations" not in whole


def test_bytes_do_not_depend_on_workers_or_on_how_wells_are_split(tmp_path):
    wells = simulated(200)
    files = written(tmp_path, wells)
    encode_parts(files, tmp_path / "one")
    encode_parts(files[::-1], tmp_path / "two", workers=3)
    for name in ("conditions.parquet", "part-0.parquet", "part-2.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    (tmp_path / "more").mkdir()
    encode_parts(written(tmp_path / "more", wells, 7), tmp_path / "seven")
    seven, one = (tmp_path / f / "conditions.parquet" for f in ("seven", "one"))
    assert seven.read_bytes() == one.read_bytes()


def test_conditions_that_share_a_hash_get_another_key(tmp_path, monkeypatch):
    wells = simulated(100)
    expected = encode_parts(written(tmp_path, wells), tmp_path / "out")
    real, keys = encoding._hashes, []

    def colliding(table, key):
        keys.append(key)
        hashes = real(table, key)
        return hashes & np.uint64(3) if key == encoding.HASH_KEYS[0] else hashes

    monkeypatch.setattr(encoding, "_hashes", colliding)
    found = encode_parts(written(tmp_path, wells), tmp_path / "again")
    pd.testing.assert_frame_equal(found, expected)
    assert set(keys) == set(encoding.HASH_KEYS)
    first, second = (tmp_path / f / "part-1.parquet" for f in ("out", "again"))
    assert first.read_bytes() == second.read_bytes()
    monkeypatch.setattr(encoding, "_hashes", lambda table, key: np.zeros(len(table), np.uint64))
    with pytest.raises(TableError, match="share both of their 64-bit hashes"):
        encode_parts(written(tmp_path, wells), tmp_path / "third")


def test_a_condition_with_two_genes_in_two_parts_is_named(tmp_path):
    wells = simulated(100)
    entry = {"perturbation": "q", "kind": "crispr", "gene": "A", "guide": None,
             "concentration_um": None}  # fmt: skip
    wells["role"] = "treatment"
    wells.at[0, "perturbations"] = [entry]
    wells.at[99, "perturbations"] = [{**entry, "gene": "B"}]
    wells.loc[[0, 99], "cell_type"] = "U2OS"
    with pytest.raises(TableError, match='perturbation "q" has more than one gene: "A", "B"'):
        encode_parts(written(tmp_path, wells), tmp_path / "out")


def test_a_part_without_the_nested_column_is_an_error(tmp_path):
    table = pa.table({"role": ["treatment"], "cell_type": [""], "background": [""]})
    with pytest.raises(TableError, match='column "perturbations" is missing'):
        encoding.entries(table)
