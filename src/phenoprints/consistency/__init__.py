"""Which conditions look the same every time."""

from phenoprints.consistency.cauchy import combine_cauchy
from phenoprints.consistency.experiment import experiment_consistency
from phenoprints.consistency.screen import screen_consistency
from phenoprints.consistency.settings import ConsistencySettings

__all__ = [
    "ConsistencySettings",
    "combine_cauchy",
    "experiment_consistency",
    "screen_consistency",
]
