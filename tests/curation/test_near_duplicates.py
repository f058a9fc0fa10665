"""Planted copies are found, and wells that are only similar are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.curation import near_duplicates as module
from phenoprints.curation.near_duplicates import near_duplicates
from phenoprints.foundations.errors import DataError
from phenoprints.simulation import (
    Noise,
    PlateLayout,
    SimulatedVectors,
    VectorEffects,
    draw_vectors,
    lay_out,
)

LAYOUT = PlateLayout(experiments=4, plates=6, conditions=200, replicates=5, controls=24)


@pytest.fixture(scope="module", params=[16, 128])
def screen(request) -> tuple[pd.DataFrame, np.ndarray]:
    wells, _ = lay_out(LAYOUT, 1)
    effects = VectorEffects(batch=1.0, plate=0.3, active=0.5, effect=1.0)
    vectors = draw_vectors(wells, Noise.of(request.param, 1, 8.0), effects, seed=3).vectors
    return wells, vectors + 3.0


def planted(screen, noise: float) -> tuple[SimulatedVectors, set[tuple[int, int]]]:
    """The screen with a fiftieth of the wells replaced by copies of others."""
    wells, x = screen[0], screen[1].copy()
    rng = np.random.default_rng(1)
    sources, copies = np.split(rng.permutation(len(x))[: 2 * (len(x) // 50)], 2)
    length = np.linalg.norm(x[sources], axis=1, keepdims=True) / np.sqrt(x.shape[1])
    x[copies] = x[sources] + noise * length * rng.standard_normal((len(copies), x.shape[1]))
    ids = wells["well_id"].to_numpy()
    pairs = {tuple(sorted(pair)) for pair in zip(ids[sources], ids[copies], strict=True)}
    return SimulatedVectors(wells, x), pairs


@pytest.mark.parametrize("noise", [0.0, 1e-3, 1e-2])
def test_planted_copies_are_found_and_nothing_else(screen, noise: float) -> None:
    reader, pairs = planted(screen, noise)
    table = near_duplicates(screen[0], reader).table
    found = set(zip(table["same_as"], table["well_id"], strict=True))
    assert len(found & pairs) >= 0.99 * len(pairs)
    assert len(found - pairs) <= 0.001 * len(screen[0])
    assert (table["same_as"] < table["well_id"]).all()


def test_a_screen_without_copies_has_none(screen) -> None:
    assert near_duplicates(screen[0], SimulatedVectors(*screen)).table.empty


def test_all_pairs_below_the_threshold_are_compared(screen, monkeypatch) -> None:
    """The search in a few components leaves out no pair that all components would find."""
    reader, _ = planted(screen, 1e-2)
    found = near_duplicates(screen[0], reader)
    unit = reader.vectors / np.linalg.norm(reader.vectors, axis=1, keepdims=True)
    cosine = unit.astype(np.float64) @ unit.T.astype(np.float64)
    np.fill_diagonal(cosine, -1.0)
    near = screen[0]["well_id"].to_numpy()[(cosine >= found.cosine).any(axis=1)]
    assert set(near) == set(found.table["well_id"]) | set(found.table["same_as"])


def test_missing_and_zero_vectors_take_no_part(screen) -> None:
    x = screen[1].copy()
    x[:4] = np.nan
    x[4:8] = 0.0
    assert near_duplicates(screen[0], SimulatedVectors(screen[0], x)).table.empty


def test_without_replicates_only_identical_vectors_count() -> None:
    wells = pd.DataFrame(
        {"well_id": np.arange(6, dtype=np.uint64), "experiment": "e",
         "conditions": [[i] for i in range(6)]}
    )  # fmt: skip
    x = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    x[5], x[4] = x[1], x[2] * 1.0001 + 1e-2
    found = near_duplicates(wells, SimulatedVectors(wells, x))
    assert found.table[["well_id", "same_as"]].to_numpy().tolist() == [[5, 1]]
    assert found.num_replicates == 0


def test_embeddings_that_do_not_separate_wells_are_refused(screen, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_PAIRS", 10)
    reader, _ = planted(screen, 0.0)
    with pytest.raises(DataError, match="choose an encoder"):
        near_duplicates(screen[0], reader)
