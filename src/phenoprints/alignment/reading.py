"""Read what a chromosome-arm correction needs from the files that a workflow names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.chromosome_arms import (
    ChromosomeArmCorrection,
    arms_of_loci,
    unexpressed_genes,
)
from phenoprints.alignment.settings import AlignmentSettings
from phenoprints.annotation.tables import read_table
from phenoprints.foundations.errors import MissingInputError


def read_arms(
    settings: AlignmentSettings,
    genes: NDArray[np.object_],
    loci: Sequence[str],
    expression: Sequence[str] = (),
) -> ChromosomeArmCorrection | None:
    """Return the unfitted arm correction that the settings ask for, or None.

    `loci` and `expression` are lists of at most one path. None where no well has a cut gene, where
    the settings say `false`, or where they say `auto` and there is no table of loci.
    """
    wanted = settings.chromosome_arms
    if wanted is False or not (genes != "").any() or (wanted == "auto" and not loci):
        return None
    if not loci:
        raise MissingInputError(
            "alignment.chromosome_arms is true, and there is no table of gene loci.\n"
            "  To fix: put gene_chromosome_map.tsv into annotation.folder, or allow downloads "
            "(annotation.offline: false)."
        )
    unexpressed = None
    if expression:
        unexpressed = unexpressed_genes(
            read_table(expression[0], ["zfpkm"]), settings.arm_max_zfpkm
        )
    arms = arms_of_loci(read_table(loci[0]))
    return ChromosomeArmCorrection(arms, unexpressed, settings.arm_min_genes)
