"""The JUMP example on the real tables: its preset leaves a manifest, on simulated embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.configuration import load, screen_settings
from phenoprints.consistency import ConsistencySettings, screen_consistency
from phenoprints.curation import Rules, curate, phenoprints_table
from phenoprints.screens import read

pytestmark = pytest.mark.data
EXAMPLE = Path(__file__).parents[2] / "config/examples/jump-cp.yaml"
DIMENSIONS = 24


@dataclass(frozen=True)
class Simulated:
    """Vectors of some wells, an array an experiment."""

    wells: pd.DataFrame
    vectors: np.ndarray

    @property
    def experiments(self) -> list[str]:
        return sorted(self.wells["experiment"].unique())

    @property
    def attributes(self) -> dict:
        return {}

    def read(self, experiment: str) -> np.ndarray:
        return self.vectors[(self.wells["experiment"] == experiment).to_numpy()]


def simulated(wells: pd.DataFrame, conditions: pd.DataFrame, has_effect: np.ndarray) -> Simulated:
    """Noise, an offset of each experiment, and a direction for each condition with an effect."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((len(wells), DIMENSIONS))
    vectors += (
        3
        * rng.standard_normal((wells["experiment"].nunique(), DIMENSIONS))[
            pd.factorize(wells["experiment"])[0]
        ]
    )
    directions = 6 * has_effect[:, None] * rng.standard_normal((len(conditions), DIMENSIONS))
    directions /= np.sqrt(DIMENSIONS)
    for row, listed in enumerate(wells["conditions"]):
        if listed is not None and len(listed) and wells["role"].iloc[row] == "treatment":
            vectors[row] += directions[listed[0]]
    return Simulated(wells, vectors.astype(np.float32))


def test_the_preset_of_the_example_leaves_a_manifest(test_data: Path, tmp_path: Path) -> None:
    config = load(yaml.safe_load(EXAMPLE.read_text()))
    (tmp_path / "metadata").symlink_to(test_data / "metadata/jump_cpg0016")
    own = {**screen_settings(config, "jump"), "root": str(tmp_path), "load_data": None}
    screen = read({**own, "sources": ["source_2", "source_6"]}, name="jump")
    # One compound in twenty-four with all of its wells, and all controls: the test stays short.
    is_chosen = [
        role != "treatment" or (listed is not None and listed[0] % 24 == 0)
        for role, listed in zip(screen.wells["role"], screen.wells["conditions"], strict=True)
    ]
    wells = screen.wells[is_chosen].reset_index(drop=True)
    has_effect = screen.conditions["condition_id"].to_numpy() // 24 % 2 == 0
    embeddings = simulated(wells, screen.conditions, has_effect)

    section = config["screens"]["jump"]
    options = AlignmentSettings.from_section(section["alignment"])
    aligned = fit_alignment(wells, embeddings, options).of(embeddings)
    settings = ConsistencySettings.from_section(section["consistency"], section["limits"])
    table = screen_consistency(wells, screen.conditions, aligned, settings=settings)
    rules = Rules.from_section(config["manifests"]["phenoprints"])
    phenoprints = phenoprints_table(
        {judge: {"jump": table} for judge in rules.judges},
        screen.conditions, rules, settings={"jump": settings},
    )  # fmt: skip
    funnel = curate(wells, phenoprints, rules)

    called = phenoprints.set_index("condition_id")["has_phenoprint"].reindex(
        screen.conditions["condition_id"], fill_value=False
    ).to_numpy(bool)  # fmt: skip
    assert called[~has_effect].mean() < 0.02
    assert called[has_effect].sum() > 50
    assert funnel.after["roles"]["treatment"] > 150
