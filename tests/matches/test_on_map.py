"""A map compared with itself: known relations found, chance at its rate, nothing near itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.maps import perturbation_map
from phenoprints.matches import map_neighbours, on_map
from phenoprints.wells import WELLS

NUM_GENES = 40


class Reader:
    """Vectors of one experiment, in memory."""

    def __init__(self, x: np.ndarray) -> None:
        self.x, self.experiments = x.astype(np.float32), ["e"]
        self.attributes: dict[str, object] = {}

    def read(self, experiment: str) -> np.ndarray:
        return self.x


def screen(seed: int, effect: float) -> tuple[pd.DataFrame, pd.DataFrame, Reader]:
    """Forty genes in pairs that share a direction of length `effect`, four wells each."""
    rng = np.random.default_rng(seed)
    genes = np.repeat(np.arange(NUM_GENES), 4)
    wells = pd.DataFrame({"conditions": [[g] for g in genes] + [[NUM_GENES]] * 40}).assign(
        experiment="e", plate=["p", "q"] * 100, screen="s", cell_type="U2OS", background="",
        role=["treatment"] * 160 + ["negative_control"] * 40, modality="cell-painting",
        replicate_group="", well_id=np.arange(200, dtype=np.uint64),
        row=np.repeat(np.arange(1, 11), 20), column=np.tile(np.arange(1, 21), 10),
    )  # fmt: skip
    wells["well"] = [f"{chr(64 + r)}{c:02d}" for r, c in zip(wells["row"], wells["column"],
                                                            strict=True)]  # fmt: skip
    names = [f"G{g:02d}" for g in range(NUM_GENES)]
    conditions = pd.DataFrame({"condition_id": np.arange(NUM_GENES + 1)}).assign(
        perturbation=[*names, "none"], kind="crispr", gene=[*names, ""], guide=[*names, ""],
        concentration_um=np.nan, cell_type="U2OS", background="",
    )  # fmt: skip
    directions = rng.standard_normal((NUM_GENES // 2, 16))
    x = rng.standard_normal((200, 16))
    x[:160] += effect * directions[genes // 2]
    return WELLS.completed(wells), conditions, Reader(x)


def neighbours(seed: int, effect: float) -> pd.DataFrame:
    wells, conditions, reader = screen(seed, effect)
    built = perturbation_map(wells, conditions, reader)
    return map_neighbours(built, wells, conditions, reader, seed=seed)


def test_partners_are_nearest_with_small_q_and_the_cosine_of_the_map() -> None:
    wells, conditions, reader = screen(0, 3.0)
    built = perturbation_map(wells, conditions, reader)
    found = map_neighbours(built, wells, conditions, reader)
    genes = found[(found["level"] == "gene") & (found["rank"] == 1)]
    partner = {f"G{g:02d}": f"G{g ^ 1:02d}" for g in range(NUM_GENES)}
    assert (genes["neighbour"] == genes["name"].map(partner)).all()
    assert (genes["q_value"] < 0.05).all()
    assert set(genes["null_model"]) == {"plate-matched"}
    level = built.level("gene")
    cosines = pd.DataFrame(level.vectors @ level.vectors.T, level.table["name"],
                           level.table["name"])  # fmt: skip
    expected = [cosines.loc[a, b] for a, b in zip(genes["name"], genes["neighbour"], strict=True)]
    np.testing.assert_allclose(genes["cosine"], expected, atol=1e-5)


def test_nothing_is_its_own_neighbour() -> None:
    found = neighbours(1, 1.0)
    assert (found["name"] != found["neighbour"]).all()
    assert found.groupby(["level", "name"])["rank"].apply(list).map(len).eq(10).all()


def test_without_relations_p_values_keep_their_rate() -> None:
    """Of 20 maps without any relation, p below 0.1 comes in 10 % of cases, within 4 sd."""
    first = [f[(f["rank"] == 1) & (f["level"] == "gene")] for f in
             (neighbours(seed, 0.0) for seed in range(20))]  # fmt: skip
    share = np.mean([(each["p_value"] < 0.1).mean() for each in first])
    assert share == pytest.approx(0.1, abs=4 * np.sqrt(0.1 * 0.9 / (20 * NUM_GENES)))


def test_a_dear_null_is_made_coarser_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_map, "MAX_PRODUCTS", 1.0)
    assert set(neighbours(2, 1.0)["null_model"]) == {"any-wells"}
