"""Which conditions look the same every time."""

from phenoprints.consistency.cauchy import combine_cauchy
from phenoprints.consistency.design import Design
from phenoprints.consistency.duplicates import repeated_vectors
from phenoprints.consistency.experiment import experiment_consistency
from phenoprints.consistency.held_out import held_out_consistency
from phenoprints.consistency.screen import screen_consistency
from phenoprints.consistency.separation import best_case
from phenoprints.consistency.settings import ConsistencySettings
from phenoprints.consistency.several import condition_consistency

__all__ = [
    "ConsistencySettings",
    "Design",
    "best_case",
    "combine_cauchy",
    "condition_consistency",
    "experiment_consistency",
    "held_out_consistency",
    "repeated_vectors",
    "screen_consistency",
]
