"""What remains when batch effects are removed."""

from phenoprints.alignment.affine import Affine
from phenoprints.alignment.chromosome_arms import (
    ChromosomeArmCorrection,
    arms_of_loci,
    arms_of_positions,
    cut_genes,
    unexpressed_genes,
)
from phenoprints.alignment.corrections import AlignedEmbeddings, Alignment
from phenoprints.alignment.fitting import fit_alignment
from phenoprints.alignment.methods import (
    CenterScale,
    Limits,
    PCACenterScale,
)
from phenoprints.alignment.reading import read_arms
from phenoprints.alignment.settings import AlignmentSettings
from phenoprints.alignment.store import load_alignment, open_aligned, save_alignment
from phenoprints.alignment.tvn import TypicalVariationNormalization

__all__ = [
    "Affine",
    "AlignedEmbeddings",
    "Alignment",
    "AlignmentSettings",
    "CenterScale",
    "ChromosomeArmCorrection",
    "Limits",
    "PCACenterScale",
    "TypicalVariationNormalization",
    "arms_of_loci",
    "arms_of_positions",
    "cut_genes",
    "fit_alignment",
    "load_alignment",
    "open_aligned",
    "read_arms",
    "save_alignment",
    "unexpressed_genes",
]
