"""A small screen with pathways that every benchmark finds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.alignment import HeldOut
from phenoprints.benchmarks import BenchmarkInputs
from phenoprints.benchmarks.loading import pairs_of_annotation
from phenoprints.maps import MapSettings, perturbation_map

SETTINGS = {
    "relationships": {
        "null_model": "all-pairs", "num_samples": 3, "sample_size": 100, "thresholds": [0.05, 0.95],
        "min_perturbations": 20,
    },
    "replicates": {"level": "gene"},
    "magnitude": {"min_wells": 5, "max_controls": 50, "controls": "cross-fitted"},
    "compound_gene": {
        "truth": None, "active_nm": 1000, "inactive_nm": 10000, "negatives_per_positive": 2,
        "min_negatives": 5, "num_seeds": 20,
    },
    "mechanism": {"annotation": "pathway"},
    "activity": {"num_null": 500, "p_value": 0.05, "negatives": "same-plate"},
    "clusters": {"min_genes": 3},
    "enrichment": {"num_neighbours": 4, "p_value": 0.05},
    "proximity_bias": {"num_samples": 500, "min_genes": 5},
    "num_random": 5,
}  # fmt: skip


class Embeddings:
    def __init__(self, wells, x):
        self.attributes = {"alignment": {"controls": "negative_control"}, "block": 7}
        indices = wells.groupby("experiment").indices
        self.arrays = {name: x[rows] for name, rows in indices.items()}
        role = wells["role"].to_numpy()
        self.is_control = {name: role[rows] == "negative_control" for name, rows in indices.items()}
        self.experiments = sorted(self.arrays)

    def read(self, experiment):
        return self.arrays[experiment]

    num_folds = 1

    def read_held_out(self, experiment, fold):
        """Nothing was fitted on the controls: there is one fold of all of them."""
        return HeldOut(fold, self.arrays[experiment], self.is_control[experiment])


def build_inputs(strength=1.5, seed=0, **changes):
    """Eight pathways of four genes, a compound per pathway, two replicate experiments."""
    rng = np.random.default_rng(seed)
    genes = [f"G{k:02d}" for k in range(32)]
    conditions = pd.DataFrame(
        [(0, "DMSO", "compound", "", np.nan, "")]
        + [(1 + k, name, "crispr", name, np.nan, f"p{k // 4}") for k, name in enumerate(genes)]
        + [(33 + k, f"C{k}", "compound", "", 1.0, f"p{k}") for k in range(8)],
        columns=["condition_id", "perturbation", "kind", "gene", "concentration_um", "pathway"],
    )
    conditions["guide"] = ""
    conditions["cell_type"], conditions["background"] = "U2OS", ""
    effect = rng.normal(size=(8, 12))
    own = np.concatenate([np.zeros((1, 12)), effect.repeat(4, axis=0), effect])
    rows = [
        (experiment, [condition], "treatment" if condition else "negative_control")
        for experiment in ("e1", "e2")
        for condition in [0] * 40 + list(range(1, 41)) * 3
    ]
    wells = pd.DataFrame(rows, columns=["experiment", "conditions", "role"])
    wells["well_id"] = np.arange(len(wells), dtype=np.uint64)
    wells["replicate_group"] = "r"
    wells["plate"] = "p"
    which = np.array([ids[0] for ids in wells["conditions"]])
    x = (rng.normal(size=(len(wells), 12)) + strength * own[which]).astype(np.float32)
    reader = Embeddings(wells, x)
    truth = pd.DataFrame(
        [(f"C{k}", f"G{g:02d}", 1.0 if g // 4 == k else 5e4) for k in range(8) for g in range(32)],
        columns=["treatment", "gene_symbol", "nM_value"],
    )
    built = perturbation_map(wells, conditions, reader, MapSettings())
    inputs = {
        "wells": wells,
        "conditions": conditions,
        "reader": reader,
        "built": built,
        "is_usable": np.ones(len(wells), bool),
        "settings": SETTINGS,
        "encoder": "test",
        "pairs": {"screen": pairs_of_annotation(built.table, "pathway")},
        "truth": truth,
        "cluster_source": "annotation",
        "arms": {name: ("1p" if k < 22 else "2q") for k, name in enumerate(genes)},
        "uncorrected": reader,
    }
    return BenchmarkInputs(**{**inputs, **changes})


@pytest.fixture(scope="session")
def make_inputs():
    """Build the inputs of run_benchmarks; keywords replace some of them."""
    return build_inputs
