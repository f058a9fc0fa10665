"""Run the configured benchmarks of one screen and encoder into one tidy table."""

# N wells · K components · G perturbations

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment import EmbeddingsReader
from phenoprints.benchmarks.activity import phenotypic_activity
from phenoprints.benchmarks.compound_gene import (
    CompoundGeneSettings,
    compound_gene_precision,
    compound_gene_scores,
    z_score,
)
from phenoprints.benchmarks.groups import cluster_separation, neighbour_enrichment
from phenoprints.benchmarks.magnitude import energy_distances, magnitude_summary
from phenoprints.benchmarks.mechanism import mechanism_accuracy
from phenoprints.benchmarks.proximity_bias import proximity_bias
from phenoprints.benchmarks.relationships import NullSettings, random_recall, relationship_recall
from phenoprints.benchmarks.replicates import replicate_consistency
from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.randomness import generator
from phenoprints.maps import MapSettings, PerturbationMap, aggregate, perturbation_map
from phenoprints.maps.building import Vectors
from phenoprints.maps.perturbations import (
    GENETIC_KINDS,
    Groups,
    describe_wells,
    group_wells,
)
from phenoprints.maps.summaries import alignment_controls, sample_controls

MAX_RANDOM_GROUPS = 500
"""Perturbations of the random baseline of magnitude, at most."""

Row = dict[str, Any]
NAN = float("nan")


@dataclass
class BenchmarkInputs:
    """All that benchmarks of one screen and encoder may need.

    `settings` is the configuration's section `benchmarks`. `pairs` (source to table), `clusters`,
    `truth` and `arms` (gene to chromosome arm) are None or empty where they are not at hand.
    `uncorrected` reads the embeddings aligned without chromosome-arm correction. `seen` is one of
    none, screen, experiments.
    """

    wells: pd.DataFrame
    conditions: pd.DataFrame
    reader: EmbeddingsReader
    built: PerturbationMap
    is_usable: NDArray[np.bool_]
    settings: Mapping[str, Any]
    encoder: str
    seen: str = "none"
    seed: int = 0
    pairs: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    clusters: Mapping[str, frozenset[str]] | None = None
    cluster_source: str = "corum"
    truth: pd.DataFrame | None = None
    arms: Mapping[str, str] | None = None
    uncorrected: EmbeddingsReader | None = None

    def described(self) -> pd.DataFrame:
        """What was done to each well."""
        return describe_wells(self.wells, self.conditions)

    def main_level(self) -> PerturbationMap:
        """The map at the level that has names of biology: genes, else compounds."""
        for level in ("gene", "compound", "condition"):
            part = self.built.level(level)
            if len(part.table):
                return part
        return self.built


class NotRunError(PhenoprintsError):
    """A benchmark has nothing to work on; the message becomes the reason of its row."""


def run_benchmarks(names: Sequence[str], inputs: BenchmarkInputs) -> pd.DataFrame:
    """One row per metric of every named benchmark, in the columns of the contract BENCHMARKS.

    A benchmark that cannot run on this screen (nothing annotated, too few perturbations, a table
    that is not at hand) has one row without value, with the reason.
    """
    rows: list[Row] = []
    for name in sorted(names):
        try:
            own = list(BENCHMARK_FUNCTIONS[name](inputs))
        except PhenoprintsError as error:
            own = [{"metric": "", "reason": _one_line(error)}]
        rows += [{"benchmark": name, **row} for row in own]
    defaults: Row = {"source": "", "context": "", "value": NAN, "sd": NAN, "n": 0}
    defaults |= {"random": NAN, "random_sd": NAN, "reason": ""}
    table = pd.DataFrame([{**defaults, **row} for row in rows])
    table["encoder"], table["seen"] = inputs.encoder, inputs.seen
    table["block"] = str(inputs.reader.attributes.get("block", ""))
    spreads = table[["sd", "random_sd"]].fillna(0.0)
    table["z"] = [
        z_score(value, sd, random, random_sd)
        for value, sd, random, random_sd in zip(
            table["value"], spreads["sd"], table["random"], spreads["random_sd"], strict=True
        )
    ]
    return table


def contexts_of(part: PerturbationMap) -> Iterator[tuple[str, PerturbationMap]]:
    """The parts of a map of one kind, cell type and background, named; "" where there is one."""
    keys = ["kind", "cell_type", "background"]
    indices = part.table.groupby(keys, sort=True).indices
    for key, rows in sorted(indices.items()):
        name = " ".join(word for word in map(str, key) if word) if len(indices) > 1 else ""  # type: ignore[call-overload]
        table = part.table.iloc[rows].reset_index(drop=True)
        yield name, PerturbationMap(table, part.vectors[rows], part.attributes)


def in_each_context(
    inputs: BenchmarkInputs,
    benchmark: Callable[[BenchmarkInputs, PerturbationMap], Iterator[Row]],
) -> Iterator[Row]:
    """The rows of a benchmark of the main level, context by context; one that fails says why."""
    for context, part in contexts_of(inputs.main_level()):
        try:
            rows = list(benchmark(inputs, part))
        except PhenoprintsError as error:
            rows = [{"metric": "", "reason": _one_line(error)}]
        yield from ({"context": context, **row} for row in rows)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _relationships(inputs: BenchmarkInputs) -> Iterator[Row]:
    if not inputs.pairs:
        raise NotRunError("no table of known relationships is at hand")
    return in_each_context(inputs, _recall_of_map)


def _recall_of_map(inputs: BenchmarkInputs, part: PerturbationMap) -> Iterator[Row]:
    settings, names = inputs.settings["relationships"], part.table["name"].tolist()
    pairs = [table.assign(source=source) for source, table in sorted(inputs.pairs.items())]
    known = pd.concat(pairs, ignore_index=True)
    null = NullSettings(
        null=settings["null"],
        num_samples=settings["num_samples"],
        sample_size=settings["sample_size"],
        seed=inputs.seed,
    )
    level = (float(settings["thresholds"][0]), float(settings["thresholds"][1]))
    recall = relationship_recall(
        part.vectors, names, known, list(dict.fromkeys([level, (0.1, 0.9)])), null=null,
        arms=inputs.arms, min_perturbations=settings["min_perturbations"],
    )  # fmt: skip
    random = random_recall(part.vectors, names, known, level, seed=inputs.seed)
    baseline = random.set_index("source")
    for row in recall.itertuples():
        yield _recall_row(row, baseline, level)


def _recall_row(row: Any, baseline: pd.DataFrame, level: tuple[float, float]) -> Row:
    metric = f"recall_{row.lower:g}_{row.upper:g}"
    metric += "" if row.tails == "both" else "_right"
    metric += "" if row.pairs == "all" else f"_{row.pairs.replace('-', '_')}"
    is_main = (row.tails, row.pairs, row.lower, row.upper) == ("both", "all", *level)
    return {
        "source": row.source, "metric": metric, "value": row.recall,
        "sd": row.sd, "n": row.num_pairs,
        "reason": "" if row.num_pairs else "no pair of the source is on the map",
        **(dict(baseline.loc[row.source]) if is_main else {}),
    }  # fmt: skip


def _replicates(inputs: BenchmarkInputs) -> Iterator[Row]:
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
    rng = generator(inputs.seed, "benchmarks", "replicates", "random")
    shuffled = {
        name: ([names[k] for k in rng.permutation(len(names))], x)
        for name, (names, x) in profiles.items()
    }
    random = replicate_consistency(shuffled, replicate_of, seed=inputs.seed)
    tested = pairs[pairs["reason"] == ""]
    if tested.empty:
        raise NotRunError("no pair of replicate experiments shares enough perturbations")
    for metric in ("ks", "cvm", "cvm_per_n", "mean_cosine"):
        yield {
            "metric": metric, "value": tested[metric].median(), "sd": tested[metric].std(ddof=0),
            "n": len(tested), "random": random[metric].median(),
            "random_sd": random[metric].std(ddof=0),
        }  # fmt: skip
    yield {"metric": "num_shared", "value": tested["num"].median(), "n": len(tested)}


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


def _magnitude(inputs: BenchmarkInputs) -> Iterator[Row]:
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


def _compound_gene(inputs: BenchmarkInputs) -> Iterator[Row]:
    if inputs.truth is None:
        raise NotRunError(
            "no table of compound-gene interactions is at hand (put compound_gene_interactions.csv "
            "into annotation.folder, or set benchmarks.compound_gene.truth)"
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


def _mechanism(inputs: BenchmarkInputs) -> Iterator[Row]:
    column = inputs.settings["mechanism"]["annotation"]
    part = next(
        (p for p in map(inputs.built.level, ("concentration", "compound", "gene")) if len(p.table)),
        inputs.main_level(),
    )
    if column not in part.table.columns or not (part.table[column] != "").any():
        raise NotRunError(f'no perturbation has an annotation "{column}"')
    for context, own in contexts_of(part):
        labels = own.table[column].tolist()
        is_genetic = own.table["kind"].isin(GENETIC_KINDS)
        compounds = own.table["gene"].where(is_genetic, own.table["perturbation"])
        for metric, batches in (
            ("accuracy_not_same_perturbation", None),
            ("accuracy_not_same_perturbation_and_batch", own.table["experiments"].tolist()),
        ):
            yield {"source": column, "context": context, "metric": metric} | _accuracy(
                own, labels, compounds.tolist(), batches, inputs.seed
            )


def _accuracy(
    part: PerturbationMap,
    labels: list[str],
    compounds: list[str],
    batches: list[list[str]] | None,
    seed: int,
) -> Row:
    try:
        found = mechanism_accuracy(part.vectors, labels, compounds, batches=batches, seed=seed)
    except PhenoprintsError as error:
        return {"reason": str(error)}
    return {
        "value": found.accuracy, "n": found.num_tested, "random": found.random,
        "random_sd": found.random_sd,
    }  # fmt: skip


def _activity(inputs: BenchmarkInputs) -> Iterator[Row]:
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
    yield {
        "metric": "fraction_active", "value": tested["is_active"].mean() if len(tested) else NAN,
        "n": len(tested), "random": 0.0, "reason": reason,
    }  # fmt: skip


def _known_groups(inputs: BenchmarkInputs, part: PerturbationMap) -> Mapping[str, frozenset[str]]:
    if inputs.cluster_source == "annotation":
        column = inputs.settings["mechanism"]["annotation"]
        if column not in part.table.columns:
            raise NotRunError(f'no perturbation has an annotation "{column}"')
        rows = part.table[part.table[column] != ""]
        return {str(k): frozenset(v) for k, v in rows.groupby(column)["name"]}
    if inputs.clusters is None:
        raise NotRunError("no table of known groups is at hand")
    return inputs.clusters


def _clusters(inputs: BenchmarkInputs) -> Iterator[Row]:
    return in_each_context(inputs, _separation_on_map)


def _separation_on_map(inputs: BenchmarkInputs, part: PerturbationMap) -> Iterator[Row]:
    min_genes = inputs.settings["clusters"]["min_genes"]
    names, known = part.table["name"].tolist(), _known_groups(inputs, part)
    found = cluster_separation(part.vectors, names, known, min_genes=min_genes)
    if found.empty:
        raise NotRunError(f"no known group has {min_genes} members on the map")
    order = generator(inputs.seed, "benchmarks", "clusters").permutation(len(names))
    random = cluster_separation(part.vectors[order], names, known, min_genes=min_genes)
    gap, random_gap = (t["within_mean"] - t["between_mean"] for t in (found, random))
    for metric, value, baseline in (
        ("ks", found["ks"], random["ks"]),
        ("cosine_gap", gap, random_gap),
    ):
        yield {
            "source": inputs.cluster_source, "metric": metric, "value": value.mean(),
            "sd": value.std(ddof=0), "n": len(value), "random": baseline.mean(),
            "random_sd": baseline.std(ddof=0),
        }  # fmt: skip


def _enrichment(inputs: BenchmarkInputs) -> Iterator[Row]:
    return in_each_context(inputs, _enrichment_on_map)


def _enrichment_on_map(inputs: BenchmarkInputs, part: PerturbationMap) -> Iterator[Row]:
    settings = inputs.settings["enrichment"]
    table, random, random_sd = neighbour_enrichment(
        part.vectors, part.table["name"].tolist(), _known_groups(inputs, part),
        num_neighbours=settings["num_neighbours"], p_value=settings["p_value"],
        min_genes=inputs.settings["clusters"]["min_genes"], seed=inputs.seed,
    )  # fmt: skip
    if table.empty:
        raise NotRunError("no perturbation of the map is in a known group")
    yield {
        "source": inputs.cluster_source, "metric": "fraction_enriched",
        "value": table["is_enriched"].mean(), "n": len(table), "random": random,
        "random_sd": random_sd,
    }  # fmt: skip


def _proximity_bias(inputs: BenchmarkInputs) -> Iterator[Row]:
    if not inputs.arms:
        raise NotRunError("no table of gene loci is at hand")
    settings = MapSettings(levels=("gene",))
    readers = {"effect": inputs.reader, "effect_before": inputs.uncorrected}
    for metric, reader in readers.items():
        if reader is None:
            continue
        built = perturbation_map(
            inputs.wells, inputs.conditions, reader, settings, is_usable=inputs.is_usable
        ).level("gene")
        for context, part in contexts_of(built):
            if part.table["kind"].iloc[0] != "crispr":
                continue
            found = proximity_bias(
                part.vectors, part.table["name"].tolist(), inputs.arms,
                num_samples=inputs.settings["proximity_bias"]["num_samples"], seed=inputs.seed,
            )  # fmt: skip
            for row in found.itertuples():
                yield {"source": row.arm, "context": context, "metric": metric,
                       "value": row.effect, "n": row.num_genes, "random": 0.5}  # fmt: skip
            yield {
                "source": "all arms", "context": context, "metric": metric,
                "value": found["effect"].mean(), "sd": found["effect"].std(ddof=0),
                "n": len(found), "random": 0.5,
                "reason": "" if len(found) else "no arm has enough genes on the map",
            }  # fmt: skip


BENCHMARK_FUNCTIONS: dict[str, Callable[[BenchmarkInputs], Iterator[Row]]] = {
    "relationships": _relationships,
    "replicates": _replicates,
    "magnitude": _magnitude,
    "compound-gene": _compound_gene,
    "mechanism": _mechanism,
    "activity": _activity,
    "clusters": _clusters,
    "enrichment": _enrichment,
    "proximity-bias": _proximity_bias,
}
"""Every benchmark by the name that the configuration uses."""
