"""Benchmarks of maps: relationships, mechanisms, known groups, proximity bias."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.benchmarks.groups import (
    EnrichmentSettings,
    cluster_separation,
    neighbour_enrichment,
)
from phenoprints.benchmarks.inputs import (
    BenchmarkInputs,
    NotRunError,
    Row,
    contexts_of,
    in_each_context,
)
from phenoprints.benchmarks.mechanism import mechanism_accuracy
from phenoprints.benchmarks.proximity_bias import proximity_bias
from phenoprints.benchmarks.relationships import NullSettings, relationship_recall
from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.randomness import generator
from phenoprints.maps import MapSettings, PerturbationMap, perturbation_map
from phenoprints.maps.aggregation import Floats
from phenoprints.maps.perturbations import GENETIC_KINDS


def relationship_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """Recall of each source of known pairs, both tails and right, and within and across arms."""
    if not inputs.pairs:
        raise NotRunError("no table of known relationships is at hand")
    return in_each_context(inputs, _recall_of_map)


def _recall_of_map(inputs: BenchmarkInputs, part: PerturbationMap) -> Iterator[Row]:
    settings, names = inputs.settings["relationships"], part.table["name"].tolist()
    pairs = [table.assign(source=source) for source, table in sorted(inputs.pairs.items())]
    known = pd.concat(pairs, ignore_index=True)
    null = NullSettings(
        null_model=settings["null_model"],
        num_samples=settings["num_samples"],
        sample_size=settings["sample_size"],
        num_random=inputs.settings["num_random"],
        seed=inputs.seed,
    )
    level = (float(settings["thresholds"][0]), float(settings["thresholds"][1]))
    recall = relationship_recall(
        part.vectors, names, known, list(dict.fromkeys([level, (0.1, 0.9)])), null=null,
        arms=inputs.arms, min_perturbations=settings["min_perturbations"],
    )  # fmt: skip
    for row in recall.itertuples():
        yield _recall_row(row)


def _recall_row(row: Any) -> Row:
    metric = f"recall_{row.lower:g}_{row.upper:g}"
    metric += "" if row.tails == "both" else "_right"
    metric += "" if row.pairs == "all" else f"_{row.pairs.replace('-', '_')}"
    return {
        "source": row.source, "metric": metric, "value": row.recall,
        "sd": row.sd, "n": row.num_pairs, "random": row.random, "random_sd": row.random_sd,
        "reason": "" if row.num_pairs else "no pair of the source is on the map",
    }  # fmt: skip


def mechanism_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """Accuracy of nearest neighbours, leaving out the perturbation, and its batch too."""
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
                inputs, own.vectors, labels, compounds.tolist(), batches
            )


def _accuracy(
    inputs: BenchmarkInputs,
    vectors: Floats,
    labels: list[str],
    compounds: list[str],
    batches: list[list[str]] | None,
) -> Row:
    try:
        found = mechanism_accuracy(
            vectors, labels, compounds, batches=batches,
            num_random=inputs.settings["num_random"], seed=inputs.seed,
        )  # fmt: skip
    except PhenoprintsError as error:
        return {"reason": str(error)}
    return {
        "value": found.accuracy, "n": found.num_tested, "random": found.random,
        "random_sd": found.random_sd,
    }  # fmt: skip


def _known_groups(inputs: BenchmarkInputs, part: PerturbationMap) -> Mapping[str, frozenset[str]]:
    if inputs.cluster_source == "annotation":
        column = inputs.settings["mechanism"]["annotation"]
        if column not in part.table.columns:
            raise NotRunError(f'no perturbation has an annotation "{column}"')
        rows = part.table[part.table[column] != ""]
        return {str(k): frozenset(v) for k, v in rows.groupby(column)["name"]}
    if inputs.clusters is None:
        raise NotRunError(
            "no table of known groups is at hand (CORUM's complexes are for non-commercial use: "
            "clusters.source: corum asks for them)"
        )
    return inputs.clusters


def cluster_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """How far known groups stand apart: KS statistic and gap of mean cosines."""
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


def enrichment_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """Share of perturbations whose neighbours are enriched in a group of theirs."""
    return in_each_context(inputs, _enrichment_on_map)


def _enrichment_on_map(inputs: BenchmarkInputs, part: PerturbationMap) -> Iterator[Row]:
    settings = EnrichmentSettings(
        **inputs.settings["enrichment"],
        min_genes=inputs.settings["clusters"]["min_genes"],
        num_random=inputs.settings["num_random"],
        seed=inputs.seed,
    )
    table, random, random_sd = neighbour_enrichment(
        part.vectors, part.table["name"].tolist(), _known_groups(inputs, part), settings
    )
    if table.empty:
        raise NotRunError("no perturbation of the map is in a known group")
    yield {
        "source": inputs.cluster_source, "metric": "fraction_enriched",
        "value": table["is_enriched"].mean(), "n": len(table), "random": random,
        "random_sd": random_sd,
    }  # fmt: skip


def proximity_bias_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """Effect size per chromosome arm, after correction and before."""
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
            if part.table["kind"].iloc[0] == "crispr":
                rows = _bias_on_map(inputs, part)
                yield from ({"context": context, "metric": metric, **row} for row in rows)


def _bias_on_map(inputs: BenchmarkInputs, part: PerturbationMap) -> Iterator[Row]:
    """Yield the effect of each arm and their mean, beside those under permuted names
    of the genes.
    """
    assert inputs.arms is not None
    own = inputs.settings["proximity_bias"]
    options = {"min_genes": own["min_genes"], "num_samples": own["num_samples"]}
    names, arms = part.table["name"].to_numpy(dtype=object), inputs.arms
    found = proximity_bias(part.vectors, names.tolist(), arms, **options, seed=inputs.seed)
    rng = generator(inputs.seed, "benchmarks", "proximity-bias", "random")
    orders = [rng.permutation(len(names)) for _ in range(inputs.settings["num_random"])]
    draws = [
        proximity_bias(part.vectors, names[order].tolist(), arms, **options, seed=inputs.seed)[
            "effect"
        ]
        for order in orders
    ]
    random = pd.concat(draws, axis=1).to_numpy(np.float64).reshape(len(found), -1)
    for row, drawn in zip(found.itertuples(), random, strict=True):
        yield {"source": row.arm, "value": row.effect, "n": row.num_genes,
               "random": drawn.mean(), "random_sd": drawn.std()}  # fmt: skip
    if found.empty:
        yield {"source": "all arms", "reason": "no arm has enough genes on the map"}
        return
    means = random.mean(axis=0)
    yield {
        "source": "all arms", "value": found["effect"].mean(), "n": len(found),
        "sd": found["effect"].std(ddof=0),
        "random": means.mean(), "random_sd": means.std(),
    }  # fmt: skip
