"""Replicates against controls: the means of all pairs, and what is left out."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from phenoprints.embeddings.replicate_similarity import (
    REPLICATE_SIMILARITY,
    replicate_similarity,
    similarity_of_screen,
)
from phenoprints.embeddings.store import open_embeddings
from phenoprints.embeddings.writing import write_rows

CONDITION = np.array([3, 1, 3, 0, 0, 1, 3, 2, -1])
ROLE = np.array(
    ["treatment", "treatment", "treatment", "negative_control", "negative_control",
     "positive_control", "treatment", "treatment", "treatment"], dtype=object
)  # fmt: skip


def vectors() -> np.ndarray:
    return np.random.default_rng(1).normal(1, 1, (9, 5)).astype(np.float32)


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    a, b = x.astype(np.float64), y.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_means_are_over_all_pairs() -> None:
    x = vectors()

    table = replicate_similarity(x, CONDITION, ROLE).set_index("condition_id")

    assert table.index.tolist() == [1, 3]
    assert table["num_wells"].tolist() == [2, 3]
    for condition, row in table.iterrows():
        wells = np.flatnonzero(condition == CONDITION)
        among = np.mean([cosine(x[i], x[j]) for i, j in combinations(wells, 2)])
        outside = np.mean([cosine(x[i], x[j]) for i in wells for j in (3, 4)])
        assert row["among_replicates"] == pytest.approx(among, rel=1e-12)
        assert row["to_controls"] == pytest.approx(outside, rel=1e-12)
        assert row["is_nearer"] == (among > outside)
        assert row["num_controls"] == 2


def test_failed_wells_do_not_count() -> None:
    x = vectors()
    x[0], x[4], x[1] = np.nan, 0, np.inf

    table = replicate_similarity(x, CONDITION, ROLE)

    assert table[["condition_id", "num_wells", "num_controls"]].to_numpy().tolist() == [[3, 2, 1]]


def test_unperturbed_wells_stand_in_for_controls_and_none_is_nearer_without() -> None:
    role = np.where(ROLE == "negative_control", "unperturbed", ROLE)
    pd.testing.assert_frame_equal(
        replicate_similarity(vectors(), CONDITION, role),
        replicate_similarity(vectors(), CONDITION, ROLE),
    )

    alone = replicate_similarity(vectors(), CONDITION, np.full(9, "treatment", dtype=object))
    assert alone["to_controls"].isna().all()
    assert not alone["is_nearer"].any()
    assert replicate_similarity(vectors()[:1], CONDITION[:1], ROLE[:1]).empty


def test_every_experiment_of_a_store_is_judged_by_its_own_controls(tmp_path: Path) -> None:
    wells = pd.DataFrame(
        {"well_id": np.arange(18, dtype=np.uint64), "experiment": ["a"] * 9 + ["b"] * 9,
         "role": [*ROLE, *ROLE], "conditions": [[c] if c >= 0 else [5, 6] for c in CONDITION] * 2}
    )  # fmt: skip
    wells.to_parquet(tmp_path / "wells.parquet")
    rows = np.concatenate([vectors(), vectors()[:, ::-1] - 2])
    write_rows(tmp_path / "e", wells, rows, attributes={})

    table = similarity_of_screen(open_embeddings(tmp_path / "e"), tmp_path / "wells.parquet")

    assert list(table) == REPLICATE_SIMILARITY.schema.names
    assert table["experiment"].tolist() == ["a", "a", "b", "b"]
    expected = replicate_similarity(rows[9:], CONDITION, ROLE)["among_replicates"]
    np.testing.assert_array_equal(table["among_replicates"][2:], expected)
