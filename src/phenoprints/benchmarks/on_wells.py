"""Benchmarks of wells: replicates, magnitude, activity, compounds and genes."""

# N wells · K components

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.benchmarks.activity import phenotypic_activity, random_activity
from phenoprints.benchmarks.compound_gene import (
    CompoundGeneSettings,
    compound_gene_precision,
    compound_gene_scores,
)
from phenoprints.benchmarks.inputs import NAN, BenchmarkInputs, NotRunError, Row
from phenoprints.benchmarks.magnitude import energy_distances, magnitude_summary
from phenoprints.benchmarks.replicates import replicate_consistency
from phenoprints.foundations.randomness import generator
from phenoprints.maps import MapSettings, aggregate, perturbation_map
from phenoprints.maps.building import Vectors
from phenoprints.maps.perturbations import Groups, group_wells
from phenoprints.maps.summaries import alignment_controls, sample_controls

REPLICATE_METRICS = ("ks", "cvm", "cvm_per_n", "mean_cosine")

Profiles = dict[str, tuple[list[str], NDArray[np.floating]]]
"""For each experiment the names of its perturbations and a vector of each."""

MAX_RANDOM_GROUPS = 500
"""Perturbations of the random baseline of magnitude, at most."""

QUANTILES = (5, 25, 50, 75, 95)
"""Percentiles of the energy distances that the table keeps, as energy_distance_p5 and so on."""


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
    """The medians over pairs, a row per draw in which names are permuted in each experiment."""
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


def magnitude_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """Energy distances from the controls, as V- and U-statistic, per level, and their spread."""
    settings = inputs.settings["magnitude"]
    controls = control_vectors(inputs, settings["max_controls"])
    vectors = Vectors(inputs.wells, inputs.reader)
    described, found = inputs.described(), False
    for level in ("gene", "concentration", "condition"):
        groups = group_wells(described, level)
        if groups.table.empty or (level == "condition" and found):
            continue
        found = True
        chosen = (groups.code >= 0) & inputs.is_usable
        code, x = groups.code[chosen], vectors.rows(chosen)
        ours = energy_distances(x, code, controls, min_wells=settings["min_wells"])
        random = _random_magnitude(code, controls.shape, settings["min_wells"], inputs.seed)
        for metric in ("energy_distance", "unbiased"):
            value, sd, n = magnitude_summary(ours[metric].tolist())
            baseline, baseline_sd, _ = magnitude_summary(random[metric].tolist())
            yield {
                "source": level, "metric": metric, "value": value, "sd": sd, "n": n,
                "random": baseline, "random_sd": baseline_sd,
                "reason": "" if n else f"no perturbation has {settings['min_wells']} wells",
            }  # fmt: skip
        yield from _quantile_rows(level, ours["energy_distance"], random["energy_distance"])


def _quantile_rows(level: str, ours: pd.Series, random: pd.Series) -> Iterator[Row]:
    """How the energy distances of perturbations spread, beside those of normal vectors."""
    if not (n := int(ours.notna().sum())):
        return
    for percent in QUANTILES:
        yield {
            "source": level, "metric": f"energy_distance_p{percent}", "n": n,
            "value": ours.quantile(percent / 100), "random": random.quantile(percent / 100),
        }  # fmt: skip


def _random_magnitude(
    code: NDArray[np.integer], shape: tuple[int, ...], min_wells: int, seed: int
) -> pd.DataFrame:
    """Energy distances of normal vectors, for at most 500 groups of the numbers of wells given."""
    rng = generator(seed, "benchmarks", "magnitude", "random")
    groups = np.sort(rng.permutation(int(code.max()) + 1)[:MAX_RANDOM_GROUPS])
    own = np.searchsorted(groups, code[np.isin(code, groups)])
    noise = rng.standard_normal((len(own), shape[1]), dtype=np.float32)
    controls = rng.standard_normal(shape, dtype=np.float32)
    return energy_distances(noise, own, controls, min_wells=min_wells)


def control_vectors(inputs: BenchmarkInputs, max_controls: int) -> NDArray[np.float32]:
    """At most `max_controls` vectors of the wells that the alignment was fitted on."""
    mask = alignment_controls(inputs.wells, inputs.reader, inputs.is_usable)
    sample = sample_controls(inputs.wells, mask, max_controls=max_controls, seed=inputs.seed)
    return Vectors(inputs.wells, inputs.reader).rows(sample)


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


def activity_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """Mean average precision against controls, and the share of active conditions."""
    settings = inputs.settings["activity"]
    groups = group_wells(inputs.described(), "condition")
    if groups.table.empty:
        raise NotRunError("no well has a single condition")
    chosen = (groups.code >= 0) & inputs.is_usable
    result = phenotypic_activity(
        Vectors(inputs.wells, inputs.reader).rows(chosen),
        groups.code[chosen],
        control_vectors(inputs, inputs.settings["magnitude"]["max_controls"]),
        num_null=settings["num_null"],
        p_value=settings["p_value"],
        seed=inputs.seed,
    )
    tested = result[result["reason"] == ""]
    reason = "" if len(tested) else "no condition has two usable wells"
    yield {
        "metric": "mean_average_precision", "value": tested["mean_average_precision"].mean(),
        "sd": tested["mean_average_precision"].std(ddof=0), "n": len(tested),
        "random": tested["random"].mean(), "random_sd": tested["random"].std(ddof=0),
        "reason": reason,
    }  # fmt: skip
    random, random_sd = random_activity(
        max(len(tested), 1), **settings, num_random=inputs.settings["num_random"], seed=inputs.seed
    )
    yield {
        "metric": "fraction_active", "value": tested["is_active"].mean() if len(tested) else NAN,
        "n": len(tested), "random": random, "random_sd": random_sd, "reason": reason,
    }  # fmt: skip
