"""Which design of a screen finds how many phenoprints."""

from phenoprints.planning.designs import Design, designs_of, plate_layout, read_designs
from phenoprints.planning.pilot import Effects, Pilot, assumed_pilot, estimate_pilot
from phenoprints.planning.prediction import (
    PlanSettings,
    cautions,
    fitted_pilot,
    plan,
    predict,
    recommended,
)

__all__ = [
    "Design",
    "Effects",
    "Pilot",
    "PlanSettings",
    "assumed_pilot",
    "cautions",
    "designs_of",
    "estimate_pilot",
    "fitted_pilot",
    "plan",
    "plate_layout",
    "predict",
    "read_designs",
    "recommended",
]
