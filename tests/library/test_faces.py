"""Functions that a notebook calls with its own tables and arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import phenoprints as pp
from phenoprints.foundations.errors import DataError, TableError

ROLES = {"DMSO": "negative_control"}


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "experiment": ["e2", "e1", "e1", "e2"],
            "plate": [7.0, 7.0, 7.0, 7.0],
            "well": ["a1", "B02", "A01", "B2"],
            "compound": ["DMSO", "1.10", "DMSO", "1.1"],
            "dose": [np.nan, 1e-05, np.nan, 2],
        }
    )


def test_a_screen_from_a_table_is_sorted_and_keeps_the_rows() -> None:
    columns = {"perturbation": "compound", "concentration_um": "dose"}
    screen = pp.screens.from_table(table(), columns=columns, roles=ROLES)
    assert screen.wells["well"].tolist() == ["A01", "B02", "A01", "B02"]
    assert screen.source_rows is not None
    assert table()["compound"].iloc[screen.source_rows].tolist() == ["DMSO", "1.10", "DMSO", "1.1"]
    assert screen.wells["plate"].unique().tolist() == ["7"]
    named = screen.conditions.set_index("perturbation")["concentration_um"]
    assert named["1.10"] == 1e-05
    assert named["1.1"] == 2
    assert repr(screen) == "Screen('screen': 4 wells, 3 conditions, 0 sites)"


def test_a_screen_equals_the_one_read_from_the_same_file(tmp_path) -> None:
    table().to_csv(tmp_path / "wells.csv", index=False)
    columns = {"perturbation": "compound", "experiment": "experiment", "plate": "plate",
               "well": "well", "concentration_um": "dose"}  # fmt: skip
    section = {"source": "profiles-table", "root": str(tmp_path), "wells": "wells.csv",
               "columns": columns, "roles": ROLES}  # fmt: skip
    from_file = pp.screens.read(section, name="screen")
    frame = table().astype({"plate": str})
    in_memory = pp.screens.from_table(frame, columns=columns, roles=ROLES)
    pd.testing.assert_frame_equal(in_memory.wells, from_file.wells)
    pd.testing.assert_frame_equal(in_memory.conditions, from_file.conditions)


def test_a_missing_property_is_named() -> None:
    with pytest.raises(TableError, match="no column is known to hold the perturbation"):
        pp.screens.from_table(table())


def test_vectors_in_memory_are_read_by_experiment() -> None:
    screen = pp.screens.from_table(table(), columns={"perturbation": "compound"}, roles=ROLES)
    x = np.arange(8.0).reshape(4, 2)
    reader = pp.wells.ArrayEmbeddings(screen.wells, x[screen.source_rows])
    assert reader.experiments == ["e1", "e2"]
    assert reader.read("e1").tolist() == [[4, 5], [2, 3]]
    with pytest.raises(DataError, match=r"shape \(3, 2\) for 4 wells"):
        pp.wells.ArrayEmbeddings(screen.wells, x[:3])


def test_named_neighbours_are_those_of_the_cosine_matrix() -> None:
    x = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    found = pp.maps.named_neighbours([f"g{i}" for i in range(12)], x, 3)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosine = unit @ unit.T - 2 * np.eye(12)
    first = found[found["rank"] == 1].set_index("name")
    for i in range(12):
        assert first.loc[f"g{i}", "neighbour"] == f"g{cosine[i].argmax()}"
        assert first.loc[f"g{i}", "cosine"] == pytest.approx(cosine[i].max(), abs=1e-6)
    with pytest.raises(DataError, match="for 2 names"):
        pp.maps.named_neighbours(["a", "b"], x)


def test_rules_that_one_image_breaks() -> None:
    black = np.zeros((2, 64, 64), np.uint8)
    # Without a channel that is known to show nuclei, missing nuclei mean nothing.
    assert pp.quality.failed_rules(black) == ["QC002"]
    assert pp.quality.failed_rules(black, ["DNA", "ER"]) == ["QC002", "QC020"]
    white = np.full((1, 64, 64), 255, np.uint8)
    white[0, :32] = np.random.default_rng(0).integers(1, 255, (32, 64))
    assert "QC011" in pp.quality.failed_rules(white)


def test_a_block_is_chosen_from_one_probe() -> None:
    labels, experiments = np.tile(["a", "b", "c"], 30), np.repeat(["e1", "e2", "e3"], 30)
    x = np.random.default_rng(0).standard_normal((90, 4, 8))
    x[:, 2] += 4.0 * np.eye(3, 8)[np.arange(90) % 3]
    assert pp.probes.choose_block(pp.probes.probe_blocks(x, labels, experiments))["block"] == 3
