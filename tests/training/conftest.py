"""A small training set in memory, and the smallest settings that train."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """64 wells in 4 experiments with 5 conditions, one site of 48×64 px each."""
    stream = np.random.default_rng(0)
    num = 64
    wells = pd.DataFrame(
        {
            "well_id": (stream.permutation(num) * 977 + 5).astype(np.uint64),
            "screen": "small",
            "experiment": [f"e{i % 4}" for i in range(num)],
            "conditions": [[i % 5] for i in range(num)],
            "role": ["unperturbed" if i % 8 == 0 else "treatment" for i in range(num)],
        }
    )
    sites = pd.DataFrame(
        {
            "well_id": wells["well_id"],
            "site": np.int32(1),
            "locator": [f"array:{i}" for i in range(num)],
            "height": np.int32(48),
            "width": np.int32(64),
            "channels": [["dna", "er"]] * num,
        }
    )
    return wells, sites


@pytest.fixture
def settings() -> Callable[..., object]:
    """Makes settings of a network that trains in a second."""
    from phenoprints.training import TrainingSettings

    def make(**changes: object) -> TrainingSettings:
        small = {
            "max_crops": 320,
            "batch_size": 16,
            "learning_rate": 1e-3,
            "decoder_width": 16,
            "decoder_blocks": 1,
            "decoder_heads": 2,
            "validation_fraction": 0.1,
            "log_steps": 1,
            "device": "cpu",
            "patch_px": 8,
        }
        return TrainingSettings(**{**small, **changes})

    return make
