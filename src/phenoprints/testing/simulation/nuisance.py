"""What differs between wells although nothing was done to them: batches, positions, accidents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator
from phenoprints.testing.simulation.morphology import CHANNELS, TRAITS, unit
from phenoprints.testing.simulation.settings import SimulationSettings

BAD_KINDS = ("dead", "blurred", "saturated", "empty", "debris")

EXPERIMENT_TRAITS, PLATE_TRAITS, WELL_TRAITS = 0.25, 0.18, 0.08
"""Standard deviations of shared shifts of each trait: drift of cells, and of their preparation."""

EDGE_SIZE, ROW_SIZE = 0.8, 0.4
"""Length of the shift of traits at the plate's edge, and between its first and last row."""

NUM_C, NUM_T = len(CHANNELS), len(TRAITS)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Nuisance:
    """Per-well conditions of drawing; the first axis counts wells.

    traits (n, T) shifts; mixing (n, C, C); shading (n, C, 5); gain, offset (n, C); focus_px,
    density, noise (n,).
    """

    traits: Floats
    mixing: Floats
    shading: Floats
    gain: Floats
    offset: Floats
    focus_px: Floats
    density: Floats
    noise: Floats


def build_nuisance(wells: pd.DataFrame, settings: SimulationSettings, seed: int) -> Nuisance:
    """Return the nuisance of every well: of its experiment, its plate, its position and its own."""
    per_well = [
        _well_nuisance(seed, settings, e, p, row, column)
        for e, p, row, column in wells[["e", "p", "row", "column"]].itertuples(index=False)
    ]
    return Nuisance(*(np.stack(values) for values in zip(*per_well, strict=True)))


def edge_closeness(row: int, column: int, rows: int, columns: int) -> float:
    """1 in the outermost ring of wells, 0.4 in the second, 0 inside."""
    depth = min(row - 1, column - 1, rows - row, columns - column)
    return (1.0, 0.4)[depth] if depth < 2 else 0.0


def _well_nuisance(
    seed: int, settings: SimulationSettings, e: int, p: int, row: int, column: int
) -> tuple[Floats, ...]:
    strength = settings.nuisance
    experiment = generator(seed, "simulation", "experiment", e)
    plate = generator(seed, "simulation", "plate", e, p)
    well = generator(seed, "simulation", "well", e, p, row, column)
    edge = edge_closeness(row, column, settings.rows, settings.columns)
    height = 2.0 * (row - 1) / max(settings.rows - 1, 1) - 1.0

    traits = EXPERIMENT_TRAITS * experiment.standard_normal(NUM_T)
    traits += PLATE_TRAITS * plate.standard_normal(NUM_T)
    traits += WELL_TRAITS * well.standard_normal(NUM_T)
    traits += EDGE_SIZE * edge * _position_direction(seed, "edge")
    traits += ROW_SIZE * height * _position_direction(seed, "row")

    mixing = np.eye(NUM_C) + strength * experiment.uniform(0.0, 0.03, (NUM_C, NUM_C))
    mixing[0, 1:] *= 0.2  # Hoechst is excited alone
    shading = 0.12 * experiment.standard_normal((NUM_C, 5))
    shading += 0.05 * plate.standard_normal((NUM_C, 5))
    gain = _factor(experiment, 0.25) * _factor(plate, 0.12) * _factor(well, 0.06)
    offset = 4.0 + 4.0 * experiment.random(NUM_C)
    focus = 1.3 + experiment.uniform(0.0, 0.6) + plate.uniform(0.0, 0.4)
    focus += 0.2 * edge + well.uniform(0.0, 0.2)
    density = (1.0 + 0.08 * plate.standard_normal() + 0.05 * well.standard_normal()) - 0.12 * edge
    return (
        strength * traits,
        mixing,
        strength * np.clip(shading, -0.3, 0.3),
        1.0 + strength * (gain - 1.0),
        offset,
        np.array(1.3 + strength * (focus - 1.3)),
        np.array(1.0 + strength * (density - 1.0)),
        np.array(0.20 + 0.10 * experiment.random()),
    )


def _factor(random: np.random.Generator, spread: float) -> Floats:
    """Return a factor for each channel, symmetric on a ratio scale around 1."""
    value = spread * np.clip(random.standard_normal(NUM_C), -2.0, 2.0)
    factor: Floats = np.where(value >= 0, 1.0 + value, 1.0 / (1.0 - value))
    return factor


def _position_direction(seed: int, name: str) -> Floats:
    return unit(generator(seed, "simulation", "position", name).standard_normal(NUM_T))


def plant_bad_wells(num_wells: int, settings: SimulationSettings, seed: int) -> list[str]:
    """Return the kind of accident of each well, "" for most; each kind equally often."""
    kinds = [""] * num_wells
    each = round(settings.bad_wells * num_wells / len(BAD_KINDS))
    order = generator(seed, "simulation", "bad wells").permutation(num_wells)
    for k, kind in enumerate(BAD_KINDS):
        for at in order[k * each : (k + 1) * each]:
            kinds[at] = kind
    return kinds
