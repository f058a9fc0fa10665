"""What can be recovered of the simulated screen, and what intensities alone cannot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.alignment import TypicalVariationNormalization
from phenoprints.consistency import combine_cauchy, experiment_consistency
from phenoprints.quality import measure
from phenoprints.testing.simulation import CHANNELS, SimulatedScreen, design, draw

pytestmark = pytest.mark.slow

NUM_NULL = 2000


@pytest.fixture(scope="module")
def screen() -> SimulatedScreen:
    return design({"experiments": 3, "size_px": 160, "bad_wells": 0.0})


@pytest.fixture(scope="module")
def metrics(screen: SimulatedScreen) -> pd.DataFrame:
    rows = [measure(draw(screen, at), CHANNELS) for at in range(len(screen.wells))]
    return pd.DataFrame(rows).select_dtypes("number")


def recall(screen: SimulatedScreen, features: pd.DataFrame) -> dict[str, float]:
    """By truth the share of conditions with a combined p below 0.01, after TVN by experiment."""
    kept = features.loc[:, features.notna().all() & (features.std() > 0)].to_numpy(np.float64)
    wells = screen.wells
    x = (kept - kept.mean(axis=0)) / kept.std(axis=0)
    is_control = (wells["role"] == "unperturbed").to_numpy()
    batch = wells["experiment"].to_numpy()
    aligned = TypicalVariationNormalization().fit(x, is_control, batch).transform(x, batch)
    parts = []
    for experiment in np.unique(batch):
        own = ((batch == experiment) & (wells["role"] == "treatment")).to_numpy()
        condition = np.array([c[0] for c in wells.loc[own, "conditions"]])
        table = experiment_consistency(
            aligned[own], condition, num_null=NUM_NULL, null_model="experiment", seed=0
        )
        parts.append(table.set_index("condition")["p_value"].clip(1 / NUM_NULL, 1 - 1 / NUM_NULL))
    p = combine_cauchy(pd.concat(parts, axis=1).to_numpy())
    found = pd.Series(np.asarray(p) < 0.01, index=parts[0].index.astype(int))
    by_truth = found.reindex(screen.truth["condition_id"]).to_numpy(dtype=bool)
    return dict(pd.Series(by_truth).groupby(screen.truth["truth"].to_numpy()).mean())


def test_shape_and_texture_tell_most_conditions(
    screen: SimulatedScreen, metrics: pd.DataFrame
) -> None:
    found = recall(screen, metrics)
    assert found["full"] >= 0.9
    assert found["none"] <= 0.1


def test_intensities_alone_find_at_most_60_percent(
    screen: SimulatedScreen, metrics: pd.DataFrame
) -> None:
    means = metrics[[f"mean_{c.lower()}" for c in CHANNELS]]
    assert recall(screen, means)["full"] <= 0.6
