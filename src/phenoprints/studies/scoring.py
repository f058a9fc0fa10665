"""What an encoder of a study is worth on experiments that it has not seen."""

# n wells · L blocks · D features · T traits

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.benchmarks import relationship_recall, replicate_consistency
from phenoprints.consistency import ConsistencySettings, screen_consistency
from phenoprints.curation import Rules, phenoprints_table
from phenoprints.maps import MapSettings, perturbation_map
from phenoprints.probes import probe_blocks
from phenoprints.testing.simulation import SimulatedScreen

SCREEN = "study"
RIDGE = 1.0
"""Penalty of the regression of traits on standardised features, per well."""
MEASURES = ("ks", "cvm", "trait_r2", "probe", "recall", "phenoprints", "specificity")
LAST = -1


class Vectors:
    """Vectors of wells, one row each, as a reader of embeddings."""

    def __init__(self, wells: pd.DataFrame, values: NDArray[np.float32]) -> None:
        self.rows = {str(name): rows for name, rows in wells.groupby("experiment").indices.items()}
        self.values, self.experiments = values, sorted(self.rows)
        self.attributes: dict[str, Any] = {}

    def read(self, experiment: str) -> NDArray[np.float32]:
        """Return the vectors of an experiment's wells."""
        return self.values[self.rows[experiment]]


def align(wells: pd.DataFrame, vectors: NDArray[np.float32]) -> Any:
    """Return the vectors aligned on the unperturbed wells, as the stage does by default."""
    reader = Vectors(wells, vectors)
    return fit_alignment(wells, reader, AlignmentSettings()).of(reader)


def call_phenoprints(
    judges: dict[str, Any], wells: pd.DataFrame, conditions: pd.DataFrame, rules: Rules, seed: int
) -> pd.DataFrame:
    """Return the table of phenoprints that judges call on wells of one screen."""
    tests = {
        judge: {SCREEN: screen_consistency(wells, conditions, reader,
                                           settings=ConsistencySettings(), seed=seed)}
        for judge, reader in judges.items()
    }  # fmt: skip
    return phenoprints_table(tests, conditions, rules)


def score(
    features_nLD: NDArray[np.float32],
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    screen: SimulatedScreen,
    *,
    p_value: float,
    seed: int,
) -> pd.DataFrame:
    """Return block, measure and value of one encoder on test wells; larger is better.

    Blocks count from 1; phenoprints are called on the last one alone. `specificity` is the share of
    genes without effect that are not called.
    """
    num_blocks = features_nLD.shape[1]
    rows = [(b + 1, "probe", v) for b, v in enumerate(_probe(features_nLD, wells, screen))]
    for block in range(num_blocks):
        aligned = align(wells, features_nLD[:, block])
        values = np.concatenate([aligned.read(e) for e in sorted(set(wells["experiment"]))])
        found = {**_replicates(values, wells, seed), "trait_r2": trait_r2(values, wells, screen)}
        genes = perturbation_map(wells, conditions, aligned, MapSettings()).level("gene")
        names = genes.table["name"].tolist()
        recall = relationship_recall(genes.vectors, names, screen.relationships)
        found["recall"] = float(recall["recall"].iloc[0])
        if block == num_blocks - 1:
            rules = Rules(judges=("own",), p_value=p_value)
            table = call_phenoprints({"own": aligned}, wells, conditions, rules, seed)
            found |= _calls(table, screen)
        rows += [(block + 1, measure, value) for measure, value in found.items()]
    return pd.DataFrame(rows, columns=["block", "measure", "value"])


def _calls(table: pd.DataFrame, screen: SimulatedScreen) -> dict[str, float]:
    """Return the shares of perturbations that are called rightly, with and without an effect."""
    truth = screen.truth.drop_duplicates("perturbation").set_index("perturbation")["truth"]
    has_one = table.set_index("perturbation")["has_phenoprint"].astype(bool)
    called = has_one.reindex(truth.index, fill_value=False).to_numpy(bool)
    is_full, is_none = (truth.to_numpy() == kind for kind in ("full", "none"))
    return {
        "phenoprints": float(called[is_full].mean()),
        "specificity": float(1.0 - called[is_none].mean()),
    }


def _replicates(values_nD: NDArray[np.float32], wells: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return KS and CVM of replicates, means over pairs of experiments (A.7 of the paper)."""
    profiles = {}
    for experiment, part in wells.reset_index(drop=True).groupby("experiment"):
        treated = part[part["role"] == "treatment"]
        names = treated["perturbation"].to_numpy(object)
        means = pd.DataFrame(values_nD[treated.index]).groupby(names).mean()
        profiles[str(experiment)] = (means.index.tolist(), means.to_numpy(np.float64))
    table = replicate_consistency(profiles, dict.fromkeys(profiles, "all"), seed=seed)
    return {"ks": float(table["ks"].mean()), "cvm": float(table["cvm"].mean())}


def trait_r2(
    values_nD: NDArray[np.floating], wells: pd.DataFrame, screen: SimulatedScreen
) -> float:
    """Return the mean R² of the simulated traits, each experiment predicted from the others.

    Ridge regression on features at mean 0 and SD 1; traits at the mean of their own experiment, so
    that batch effects are nothing to predict.
    """
    row_of = pd.Series(np.arange(len(screen.wells)), index=screen.wells["well_id"])
    traits = screen.traits[row_of[wells["well_id"]].to_numpy()].astype(np.float64)
    experiments = wells["experiment"].to_numpy(str)
    x = (values_nD - values_nD.mean(0)) / (values_nD.std(0) + 1e-9)
    left = np.zeros_like(traits)
    for experiment in np.unique(experiments):
        traits[experiments == experiment] -= traits[experiments == experiment].mean(0)
    for experiment in np.unique(experiments):
        test = experiments == experiment
        gram = x[~test].T @ x[~test] + RIDGE * len(x) / x.shape[1] * np.eye(x.shape[1])
        left[test] = traits[test] - x[test] @ np.linalg.solve(gram, x[~test].T @ traits[~test])
    return float(np.mean(1.0 - np.square(left).sum(0) / np.square(traits).sum(0)))


def _probe(
    features_nLD: NDArray[np.float32], wells: pd.DataFrame, screen: SimulatedScreen
) -> list[float]:
    """Return the balanced accuracy of each block in telling pathways apart, on each experiment."""
    pathway = screen.conditions.drop_duplicates("perturbation").set_index("perturbation")["pathway"]
    labels = wells["perturbation"].map(pathway).fillna("").to_numpy(object)
    chosen = labels != ""
    experiments = wells["experiment"].to_numpy(object)[chosen]
    unique = sorted(set(experiments))
    accuracies = []
    for at, test in enumerate(unique):
        splits = np.full(len(experiments), "train", dtype=object)
        splits[experiments == unique[at - 1]] = "validation"
        splits[experiments == test] = "test"
        table = probe_blocks(features_nLD[chosen], labels[chosen], experiments, splits=splits)
        accuracies.append(table.sort_values("block")["balanced_accuracy"].to_numpy(float))
    return [float(value) for value in np.mean(accuracies, axis=0)]
