"""Settings of the benchmarks."""

from typing import Literal

from pydantic import Field

from phenoprints.configuration.models.base import Fraction, Listed, Name, Section, Text


class Relationships(Section):
    """Recall of known relationships."""

    sources: Listed[Literal["corum", "humap", "reactome", "signor", "stringdb", "screen"]] = (
        "humap",
        "reactome",
        "stringdb",
        "screen",
    )
    """Tables of known relationships; `screen` is the screen's own, where it has one. CORUM and
    SIGNOR are for non-commercial use and must be asked for."""
    files: dict[Name, Text] = Field({})
    """Further tables with two columns of names, and a third of scores, by the name they get."""
    min_score: float = 0.95
    """Pairs of `files` with a third column need more than this combined score."""
    thresholds: Listed[Fraction] = Field((0.05, 0.95), min_length=2, max_length=2)
    """Quantiles of the null below and above which a pair is recalled."""
    null_model: Literal["all-pairs", "sampled"] = "all-pairs"
    """All pairs of the map, or pairs sampled as the paper did."""
    num_samples: int = Field(3, ge=1)
    """Samples of the sampled null."""
    sample_size: int = Field(5000, ge=2)
    """Genes on each side of a sample."""
    min_perturbations: int = Field(20, ge=2)
    """Perturbations that a map needs."""


class Replicates(Section):
    """Consistency of replicate experiments."""

    level: Literal["gene", "guide"] = "gene"
    """What is matched between experiments."""


class Magnitude(Section):
    """Energy distance from the controls."""

    min_wells: int = Field(5, ge=2)
    """Wells that a perturbation needs."""
    max_controls: int = Field(1000, ge=2)
    """Control wells drawn at most."""
    controls: Literal["cross-fitted", "as-fitted"] = "cross-fitted"
    """Controls under maps that were fitted without them, or under the alignment fitted on them
    (`as-fitted`: the published form, biased upwards, never used for significance)."""


class CompoundGene(Section):
    """Average precision of compounds finding the genes they act on."""

    truth: str | None = None
    """Table of measured interactions; null takes the screen's own where it has one, else
    EFAAR's."""
    active_nm: float = Field(1000, gt=0)
    """A pair is positive up to this concentration, in nM."""
    inactive_nm: float = Field(10_000, gt=0)
    """Above `active_nm` and up to this a pair is left out, in nM."""
    negatives_per_positive: int = Field(2, ge=1)
    """Negatives drawn per positive."""
    min_negatives: int = Field(20, ge=1)
    """Negatives drawn at least."""
    num_seeds: int = Field(100, ge=1, le=100_000)
    """Draws of negatives."""


class Mechanism(Section):
    """Nearest-neighbour accuracy of an annotation."""

    annotation: Text = "mechanism"
    """Column of the conditions table."""


class Activity(Section):
    """Replicability of perturbations by mean average precision."""

    negatives: Literal["same-plate", "pooled"] = "same-plate"
    """Controls among which a well ranks its replicates: those of its own plate, or all."""
    num_null: int = Field(10_000, ge=100)
    """Sets of wells, per fold of the controls, that a condition is compared with."""
    p_value: Fraction = 0.05
    """Corrected p-value below which a perturbation is active."""


class Clusters(Section):
    """How well known groups stand apart."""

    source: Literal["auto", "corum", "screen", "annotation"] = "auto"
    """Groups that are looked for: CORUM's complexes, those of the screen's own table of
    relationships, or the values of `mechanism.annotation`; `auto` takes the screen's own where
    it has one, else CORUM's (non-commercial use) where `relationships.sources` asks for corum,
    else the annotation."""
    min_genes: int = Field(3, ge=2)
    """Genes of a group that a map must hold."""


class Enrichment(Section):
    """Known groups among the nearest neighbours."""

    num_neighbours: int = Field(20, ge=1)
    """Nearest neighbours of a perturbation."""
    p_value: Fraction = 0.05
    """Corrected p-value below which a group is enriched."""


class ProximityBias(Section):
    """Similarity of genes on one chromosome arm."""

    num_samples: int = Field(10_000, ge=10)
    """Pairs drawn per arm."""
    min_genes: int = Field(20, ge=2)
    """Genes on the map that an arm needs."""


class Benchmarks(Section):
    """How good a map is."""

    experiments: Literal["all", "held-out"] = "all"
    """All experiments of the screen, or only those that the encoder's manifest holds out (all,
    where it holds out none)."""
    num_random: int = Field(20, ge=2)
    """Draws of the random baseline, where it is permuted names, labels or activities."""
    relationships: Relationships = Field(default_factory=Relationships)
    """Recall of known relationships."""
    replicates: Replicates = Field(default_factory=Replicates)
    """Consistency of replicate experiments."""
    magnitude: Magnitude = Field(default_factory=Magnitude)
    """Energy distance from the controls."""
    compound_gene: CompoundGene = Field(default_factory=CompoundGene)
    """Average precision of compounds finding the genes they act on."""
    mechanism: Mechanism = Field(default_factory=Mechanism)
    """Nearest-neighbour accuracy of an annotation."""
    activity: Activity = Field(default_factory=Activity)
    """Replicability of perturbations by mean average precision."""
    clusters: Clusters = Field(default_factory=Clusters)
    """How well known groups stand apart."""
    enrichment: Enrichment = Field(default_factory=Enrichment)
    """Known groups among the nearest neighbours."""
    proximity_bias: ProximityBias = Field(default_factory=ProximityBias)
    """Similarity of genes on one chromosome arm."""
