"""Which images can be trusted."""

from phenoprints.quality.contracts import QUALITY
from phenoprints.quality.verdicts import not_assessed

__all__ = ["QUALITY", "not_assessed"]
