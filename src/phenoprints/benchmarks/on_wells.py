"""Benchmarks of wells: replicate experiments, compounds and genes."""

# N wells · K components

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.benchmarks.compound_gene import (
    CompoundGeneSettings,
    compound_gene_precision,
    compound_gene_scores,
)
from phenoprints.benchmarks.inputs import BenchmarkInputs, NotRunError, Row
from phenoprints.benchmarks.replicates import replicate_consistency
from phenoprints.foundations.randomness import generator
from phenoprints.maps import MapSettings, aggregate, perturbation_map
from phenoprints.maps.building import Vectors
from phenoprints.maps.perturbations import Groups, group_wells

REPLICATE_METRICS = ("ks", "cvm", "cvm_per_n", "mean_cosine")

Profiles = dict[str, tuple[list[str], NDArray[np.floating]]]
"""For each experiment the names of its perturbations and a vector of each."""


def replicate_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """KS, CVM and mean cosine of replicate experiments, medians over pairs."""
    described = inputs.described()
    level = inputs.settings["replicates"]["level"]
    groups = group_wells(described, level)
    if groups.table.empty:
        groups = group_wells(described, "condition")
    first = inputs.wells.drop_duplicates("experiment")
    replicate_of = dict(
        zip(first["experiment"].astype(str), first["replicate_group"].astype(str), strict=True)
    )
    if not any(replicate_of.values()):
        raise NotRunError("the screen names no replicate experiments (column replicate_group)")
    profiles = dict(_experiment_profiles(inputs, groups))
    pairs = replicate_consistency(profiles, replicate_of, seed=inputs.seed)
    tested = pairs[pairs["reason"] == ""]
    if tested.empty:
        raise NotRunError("no pair of replicate experiments shares enough perturbations")
    random = _random_replicates(inputs, profiles, replicate_of)
    for metric in REPLICATE_METRICS:
        yield {
            "metric": metric, "value": tested[metric].median(), "sd": tested[metric].std(ddof=0),
            "n": len(tested), "random": random[metric].mean(),
            "random_sd": random[metric].std(ddof=0),
        }  # fmt: skip
    yield {"metric": "num_shared", "value": tested["num"].median(), "n": len(tested)}


def _random_replicates(
    inputs: BenchmarkInputs, profiles: Profiles, replicate_of: dict[str, str]
) -> pd.DataFrame:
    """Return medians over pairs, a row per draw in which names are permuted in each experiment."""
    rng = generator(inputs.seed, "benchmarks", "replicates", "random")
    draws = []
    for _ in range(inputs.settings["num_random"]):
        shuffled = {
            name: ([names[k] for k in rng.permutation(len(names))], x)
            for name, (names, x) in profiles.items()
        }
        pairs = replicate_consistency(shuffled, replicate_of, seed=inputs.seed)
        draws.append(pairs[list(REPLICATE_METRICS)].median())
    return pd.DataFrame(draws)


def _experiment_profiles(
    inputs: BenchmarkInputs, groups: Groups
) -> Iterator[tuple[str, tuple[list[str], NDArray[np.floating]]]]:
    """For each experiment, the mean of the usable wells of each perturbation in it."""
    names = groups.table[["kind", "name", "cell_type", "background"]].agg("/".join, axis=1)
    code = np.where(inputs.is_usable, groups.code, -1)
    experiment = inputs.wells["experiment"].to_numpy(dtype=object)
    for index, y in Vectors(inputs.wells, inputs.reader):
        means = aggregate(y, code[index], len(names), how="mean")
        seen = np.isfinite(means).all(axis=1)
        kept = np.flatnonzero(seen)
        yield str(experiment[index[0]]), (names.iloc[kept].tolist(), means[kept])


def compound_gene_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """Average precision and AUC of compounds finding their genes, and the reverse."""
    if inputs.truth is None:
        raise NotRunError(
            "no table of compound-gene interactions is at hand (allow downloads, put "
            "compound_gene_interactions.csv into annotation.folder, or set "
            "benchmarks.compound_gene.truth)"
        )
    plain = perturbation_map(
        inputs.wells, inputs.conditions, inputs.reader,
        MapSettings(levels=("gene", "concentration"), aggregate="mean"),
        is_usable=inputs.is_usable,
    )  # fmt: skip
    genes, compounds = plain.level("gene"), plain.level("concentration")
    if genes.table.empty or compounds.table.empty:
        raise NotRunError("the screen has not both genes and compounds with concentrations")
    options = {k: v for k, v in inputs.settings["compound_gene"].items() if k != "truth"}
    settings = CompoundGeneSettings(**options, seed=inputs.seed)
    scores = compound_gene_scores(
        compounds.table, compounds.vectors, genes.table["name"].tolist(), genes.vectors
    )
    yield from _precision_rows(compound_gene_precision(scores, inputs.truth, settings))
    by_gene = compound_gene_precision(scores, inputs.truth, settings, by="gene")
    yield from _precision_rows(by_gene[by_gene["num_queries"] > 0], "_by_gene")


def _precision_rows(table: pd.DataFrame, suffix: str = "") -> Iterator[Row]:
    for row in table.to_dict("records"):
        for metric in ("average_precision", "auc"):
            yield {
                "source": str(row["score"]), "metric": f"{metric}{suffix}",
                "value": row[metric], "sd": row[f"{metric}_sd"], "n": row["num_queries"],
                "random": row[f"{metric}_random"], "random_sd": row[f"{metric}_random_sd"],
                "reason": "" if row["num_queries"] else "no compound can be asked",
            }  # fmt: skip
