"""Without the removal of batch effects the demo would find less, and invent more.

Plain embeddings of a screen share a large common direction. Wells without effect lie together along
it, closer than wells of distinct conditions drawn at random, of which many have an effect: the test
calls them, all of them where an encoder tells effects well, as the classifier does. Centring on the
controls, the first step of every alignment, takes that direction away.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.consistency import Design, combine_cauchy, experiment_consistency
from phenoprints.embeddings import open_embeddings

NUM_NULL = 10_000
THRESHOLD = 0.01


@pytest.fixture(scope="session")
def truth(demo):
    return pd.read_parquet(demo / "screens/demo/truth.parquet").set_index("condition_id")["truth"]


def called_without_alignment(demo, judge, centre=False):
    """The conditions that one judge would call on its plain embeddings, or on centred ones."""
    wells = pd.read_parquet(demo / "screens/demo/wells.parquet")
    reader = open_embeddings(demo / f"embeddings/demo/{judge}")
    tests = []
    for experiment in reader.experiments:
        rows = wells[wells["experiment"] == experiment]
        treated = (rows["role"] == "treatment").to_numpy()
        condition = np.array([c[0] for c in rows.loc[treated, "conditions"]])
        x = reader.read(experiment)
        if centre:
            x = x - np.nanmean(x[(rows["role"] == "unperturbed").to_numpy()], axis=0)
        x = x[treated]
        tests.append(
            experiment_consistency(
                x, condition, Design(experiment), null_model="experiment", num_null=NUM_NULL
            )
        )
    table = pd.concat(tests).dropna(subset=["p_value"])
    p_values = table["p_value"].clip(1 / NUM_NULL, 1 - 1 / NUM_NULL)
    combined = p_values.groupby(table["condition"]).agg(lambda p: combine_cauchy(p.to_numpy()))
    return combined < THRESHOLD


def called_with_alignment(demo, judge):
    table = pd.read_parquet(demo / "curation/phenoprints/phenoprints.parquet")
    return table.set_index("condition_id")[f"p_value_{judge}"] < THRESHOLD


def share(called, truth, kind):
    return called.reindex(truth.index[truth == kind], fill_value=False).mean()


def test_the_masked_autoencoder_would_find_far_less(demo, truth):
    aligned = share(called_with_alignment(demo, "everything-mae"), truth, "full")
    plain = share(called_without_alignment(demo, "everything-mae"), truth, "full")
    assert aligned - plain >= 0.2


def test_conditions_without_effect_would_be_called(demo, truth):
    assert share(called_with_alignment(demo, "conditions-wsl"), truth, "none") <= 0.1
    assert share(called_without_alignment(demo, "conditions-wsl"), truth, "none") >= 0.5


def test_centring_on_the_unperturbed_alone_keeps_them_out(demo, truth):
    for judge in ("everything-mae", "conditions-wsl"):
        assert share(called_without_alignment(demo, judge, centre=True), truth, "none") <= 0.1
