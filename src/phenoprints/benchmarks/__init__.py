"""How good the map is."""

from phenoprints.benchmarks.activity import phenotypic_activity
from phenoprints.benchmarks.comparison import (
    accuracies_of_encoders,
    probes_and_benchmarks,
    probes_table,
    training_pays,
    training_table,
)
from phenoprints.benchmarks.compound_gene import (
    CompoundGeneSettings,
    compound_gene_precision,
    compound_gene_scores,
    z_score,
)
from phenoprints.benchmarks.groups import (
    EnrichmentSettings,
    cluster_separation,
    enrichment,
    neighbour_enrichment,
)
from phenoprints.benchmarks.inputs import BenchmarkInputs
from phenoprints.benchmarks.magnitude import energy_distance, energy_distances
from phenoprints.benchmarks.matched_energy import cross_fitted_energy, matched_energy
from phenoprints.benchmarks.mechanism import mechanism_accuracy
from phenoprints.benchmarks.proximity_bias import proximity_bias
from phenoprints.benchmarks.published import published_results
from phenoprints.benchmarks.relationships import NullSettings, relationship_recall
from phenoprints.benchmarks.replicates import replicate_consistency
from phenoprints.benchmarks.running import run_benchmarks

__all__ = [
    "BenchmarkInputs",
    "CompoundGeneSettings",
    "EnrichmentSettings",
    "NullSettings",
    "accuracies_of_encoders",
    "cluster_separation",
    "compound_gene_precision",
    "compound_gene_scores",
    "cross_fitted_energy",
    "energy_distance",
    "energy_distances",
    "enrichment",
    "matched_energy",
    "mechanism_accuracy",
    "neighbour_enrichment",
    "phenotypic_activity",
    "probes_and_benchmarks",
    "probes_table",
    "proximity_bias",
    "published_results",
    "relationship_recall",
    "replicate_consistency",
    "run_benchmarks",
    "training_pays",
    "training_table",
    "z_score",
]
