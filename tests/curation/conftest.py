"""A screen made for the funnel: every reason to leave occurs in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.randomness import well_ids

NUM_CONDITIONS = 40


def make_wells(seed=0, num_experiments=6, num_wells=200, screen="s"):
    """Wells of random roles and conditions, sorted by experiment, plate and well."""
    rng = np.random.default_rng(seed)
    total = num_experiments * num_wells
    role = rng.choice(
        ["treatment", "negative_control", "positive_control", "unperturbed"], total,
        p=[0.7, 0.12, 0.08, 0.1],
    )  # fmt: skip
    treatments = [
        None
        if rng.random() < 0.03
        else rng.integers(2, NUM_CONDITIONS, rng.integers(0, 6)).tolist()
        for _ in range(total)
    ]
    controls = {"negative_control": [0], "positive_control": [1], "unperturbed": []}
    wells = pd.DataFrame(
        {
            "screen": screen,
            "experiment": np.repeat([f"e{i}" for i in range(num_experiments)], num_wells),
            "plate": np.tile(np.repeat(["1", "2"], num_wells // 2), num_experiments),
            "well": [f"{chr(65 + i % 8)}{i // 8 % 12 + 1:02}" for i in range(total)],
            "row": np.arange(total) % 8 + 1,
            "column": np.arange(total) // 8 % 12 + 1,
            "cell_type": "HUVEC",
            "background": "",
            "modality": "cell-painting",
            "role": role,
            "conditions": [controls.get(r, t) for r, t in zip(role, treatments, strict=True)],
            "replicate_group": "",
        }
    )
    number = np.arange(total).astype(str)
    wells.insert(0, "well_id", well_ids(screen, wells["experiment"], wells["plate"], number))
    return wells


def make_conditions():
    """Forty compounds: one a control, one rare, at four concentrations each."""
    index = np.arange(NUM_CONDITIONS)
    return pd.DataFrame(
        {
            "condition_id": index.astype(np.int32),
            "perturbation": [f"p{i // 4:02}" for i in index],
            "kind": "compound",
            "gene": "",
            "guide": "",
            "concentration_um": (index % 4).astype(float),
            "cell_type": "HUVEC",
            "background": "",
        }
    )


def make_quality(wells, share=0.05, seed=1):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "well_id": wells["well_id"],
            "site": np.int32(-1),
            "verdict": np.where(rng.random(len(wells)) < share, "fail", "pass"),
            "reasons": [[]] * len(wells),
        }
    )


def make_phenoprints(conditions, seed=2):
    rng = np.random.default_rng(seed)
    testable = rng.random(len(conditions)) < 0.8
    return conditions.assign(
        is_testable=testable, has_phenoprint=testable & (rng.random(len(conditions)) < 0.5)
    )


@pytest.fixture
def wells():
    return make_wells()


@pytest.fixture
def conditions():
    return make_conditions()


@pytest.fixture
def quality(wells):
    return make_quality(wells)


@pytest.fixture
def phenoprints(conditions):
    return make_phenoprints(conditions)
