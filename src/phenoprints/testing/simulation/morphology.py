"""The traits that a cell's drawing follows, and the directions in which perturbations move them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator

CHANNELS = ("DNA", "Nucleoli", "ER", "AGP", "Mito", "RNA")
"""Channel order of every simulated image."""

TRAITS = (
    "nucleus_size", "chromatin_contrast", "chromatin_grain",
    "nucleolus_number", "nucleolus_size", "nucleus_elongation",
    "er_grain", "er_spread", "golgi_spread",
    "filament_contrast", "cortex", "cell_elongation",
    "mito_length", "mito_spread", "mito_alignment",
    "granule_number", "granule_size", "cell_size",
)  # fmt: skip
"""Traits of a cell, each with mean 0 and unit of a clear change; none is an intensity."""

PATHWAY_TRAITS: Mapping[str, Mapping[str, int]] = {
    "chromatin": {"nucleus_size": 1, "chromatin_contrast": 1, "chromatin_grain": 1},
    "nucleolus": {"nucleolus_number": 1, "nucleolus_size": 1, "nucleus_elongation": 1},
    "secretion": {"er_grain": 1, "er_spread": -1, "golgi_spread": 1},
    "cytoskeleton": {"filament_contrast": 1, "cortex": 1, "cell_elongation": 1},
    "mitochondria": {"mito_length": 1, "mito_spread": -1, "mito_alignment": 1},
    "translation": {"granule_number": 1, "granule_size": 1, "cell_size": -1},
}
"""The three traits that each pathway moves most, and which way."""

PATHWAYS = tuple(PATHWAY_TRAITS)
OWN_SHARE = 0.45
"""How much of a gene's direction is its own, beside its pathway's (which weighs 1)."""


def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vector at length 1."""
    length: NDArray[np.float64] = vector / np.sqrt(np.sum(vector * vector))
    return length


def pathway_direction(seed: int, pathway: str) -> NDArray[np.float64]:
    """Return the unit direction (traits,) of a pathway: its own traits, and a little
    of all others.
    """
    random = generator(seed, "simulation", "pathway", pathway)
    direction = 0.08 * random.standard_normal(len(TRAITS))
    for trait, sign in PATHWAY_TRAITS[pathway].items():
        direction[TRAITS.index(trait)] += sign * random.uniform(0.7, 1.0)
    return unit(direction)


def gene_direction(seed: int, gene: str, pathway: str) -> NDArray[np.float64]:
    """Return the unit direction (traits,) of a gene: its pathway's, bent by what is its own.

    Without a pathway ("") it is the gene's own alone.
    """
    own = unit(generator(seed, "simulation", "gene", gene).standard_normal(len(TRAITS)))
    if not pathway:
        return own
    return unit(pathway_direction(seed, pathway) + OWN_SHARE * own)
