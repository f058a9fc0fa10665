"""Without the removal of batch effects the demo would find less, and invent more."""

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


def called_without_alignment(demo, judge):
    """The conditions that one judge would call on its plain embeddings."""
    wells = pd.read_parquet(demo / "screens/demo/wells.parquet")
    reader = open_embeddings(demo / f"embeddings/demo/{judge}")
    tests = []
    for experiment in reader.experiments:
        rows = wells[wells["experiment"] == experiment]
        treated = (rows["role"] == "treatment").to_numpy()
        condition = np.array([c[0] for c in rows.loc[treated, "conditions"]])
        x = reader.read(experiment)[treated]
        tests.append(experiment_consistency(x, condition, Design(experiment), num_null=NUM_NULL))
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


def test_the_classifier_would_call_conditions_without_effect(demo, truth):
    assert share(called_with_alignment(demo, "conditions-wsl"), truth, "none") <= 0.1
    assert share(called_without_alignment(demo, "conditions-wsl"), truth, "none") >= 0.5
