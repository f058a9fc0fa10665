"""Without the removal of batch effects the demo would find far fewer phenoprints."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from phenoprints.consistency import combine_cauchy, experiment_consistency
from phenoprints.embeddings import open_embeddings

NUM_NULL = 10_000


def recall_without_alignment(demo, judge):
    wells = pd.read_parquet(demo / "screens/demo/wells.parquet")
    reader = open_embeddings(demo / f"embeddings/demo/{judge}")
    tests = []
    for experiment in reader.experiments:
        rows = wells[wells["experiment"] == experiment]
        treated = (rows["role"] == "treatment").to_numpy()
        condition = np.array([c[0] for c in rows.loc[treated, "conditions"]])
        x = reader.read(experiment)[treated]
        tests.append(experiment_consistency(x, condition, experiment=experiment, num_null=NUM_NULL))
    table = pd.concat(tests).dropna(subset=["p_value"])
    p_values = table["p_value"].clip(1 / NUM_NULL, 1 - 1 / NUM_NULL)
    combined = p_values.groupby(table["condition"]).agg(lambda p: combine_cauchy(p.to_numpy()))
    return set(combined.index[combined < 0.01])


def test_recall_falls_by_at_least_twenty_points(demo):
    truth = pd.read_parquet(demo / "screens/demo/truth.parquet").set_index("condition_id")["truth"]
    full = set(truth.index[truth == "full"])
    phenoprints = pd.read_parquet(demo / "curation/phenoprints/phenoprints.parquet")
    aligned = set(phenoprints.loc[phenoprints["has_phenoprint"], "condition_id"])
    config = json.loads((demo / "config.json").read_text())
    judges = config["manifests"]["phenoprints"]["judges"]
    raw = set().union(*(recall_without_alignment(demo, judge) for judge in judges))
    assert len(aligned & full) / len(full) - len(raw & full) / len(full) >= 0.2
