"""Simulated screens of well vectors, to measure what a design of plates calls and finds."""

from phenoprints.simulation.layouts import PlateLayout, lay_out
from phenoprints.simulation.vectors import Noise, SimulatedVectors, VectorEffects, draw_vectors

__all__ = [
    "Noise",
    "PlateLayout",
    "SimulatedVectors",
    "VectorEffects",
    "draw_vectors",
    "lay_out",
]
