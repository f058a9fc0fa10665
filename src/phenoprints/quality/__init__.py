"""Which images can be trusted."""

from phenoprints.quality.assessment import assess, assess_screen, failed_rules
from phenoprints.quality.contracts import QUALITY
from phenoprints.quality.measurement import measure
from phenoprints.quality.plates import assay_conditions
from phenoprints.quality.processing import SITES_PER_WORKER, batch_of, measure_sites
from phenoprints.quality.replicates import percent_replicating, replicate_correlations
from phenoprints.quality.rules import RULES, QualitySettings, catalogue
from phenoprints.quality.verdicts import not_assessed

__all__ = [
    "QUALITY", "RULES", "SITES_PER_WORKER", "QualitySettings", "assay_conditions", "assess",
    "assess_screen", "batch_of", "catalogue", "failed_rules", "measure", "measure_sites",
    "not_assessed", "percent_replicating", "replicate_correlations",
]  # fmt: skip
