"""A screen whose truth is known, to test the whole journey on."""

from phenoprints.testing.simulation.embeddings import SimulatedEmbeddings, simulate_embeddings
from phenoprints.testing.simulation.morphology import CHANNELS, PATHWAYS, TRAITS
from phenoprints.testing.simulation.nuisance import BAD_KINDS
from phenoprints.testing.simulation.screen import SimulatedScreen, design, draw
from phenoprints.testing.simulation.settings import SimulationSettings

__all__ = [
    "BAD_KINDS", "CHANNELS", "PATHWAYS", "TRAITS", "SimulatedEmbeddings", "SimulatedScreen",
    "SimulationSettings", "design", "draw", "simulate_embeddings",
]  # fmt: skip
