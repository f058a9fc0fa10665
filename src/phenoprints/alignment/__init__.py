"""What remains when batch effects are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phenoprints.alignment.affine import Affine
from phenoprints.alignment.aligned import AlignedEmbeddings, Alignment, CrossFittedReader
from phenoprints.alignment.chromosome_arms import (
    ChromosomeArmCorrection,
    arms_of_loci,
    arms_of_positions,
    cut_genes,
    unexpressed_genes,
)
from phenoprints.alignment.fitting import fit_alignment
from phenoprints.alignment.folds import HeldOut, HeldOutControls
from phenoprints.alignment.limits import Limits
from phenoprints.alignment.placing import place_experiments
from phenoprints.alignment.reading import read_arms
from phenoprints.alignment.settings import AlignmentSettings
from phenoprints.alignment.store import load_alignment, open_aligned, save_alignment

if TYPE_CHECKING:
    from phenoprints.alignment.estimators import (
        CenterScale,
        PCACenterScale,
        TypicalVariationNormalization,
    )

__all__ = [
    "Affine",
    "AlignedEmbeddings",
    "Alignment",
    "AlignmentSettings",
    "CenterScale",
    "ChromosomeArmCorrection",
    "CrossFittedReader",
    "HeldOut",
    "HeldOutControls",
    "Limits",
    "PCACenterScale",
    "TypicalVariationNormalization",
    "arms_of_loci",
    "arms_of_positions",
    "cut_genes",
    "fit_alignment",
    "load_alignment",
    "open_aligned",
    "place_experiments",
    "read_arms",
    "save_alignment",
    "unexpressed_genes",
]

_ESTIMATORS = ("CenterScale", "PCACenterScale", "TypicalVariationNormalization")


def __getattr__(name: str) -> Any:
    """Import the estimators, and scikit-learn with them, when they are first used."""
    if name in _ESTIMATORS:
        from phenoprints.alignment import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
