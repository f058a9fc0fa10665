"""Where everything stands on the plates of a simulated screen."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator, well_ids
from phenoprints.testing.simulation.conditions import (
    CELL_TYPE,
    NEGATIVE_CONTROLS,
    POSITIVE_CONTROL,
)
from phenoprints.testing.simulation.settings import SimulationSettings
from phenoprints.wells.plates import smallest_format, well_name

EMPTY = -1
"""Stands for "no condition" on a plate."""


def build_wells(
    screen: str, conditions: pd.DataFrame, settings: SimulationSettings, seed: int
) -> pd.DataFrame:
    """Return wells table, sorted, with the numbers of experiment and plate beside its columns."""
    names = conditions["perturbation"].tolist()
    rows = []
    for experiment in range(settings.experiments):
        for plate in range(settings.plates):
            for at, number in enumerate(plate_plan(conditions, settings, seed, experiment, plate)):
                row, column = at // settings.columns + 1, at % settings.columns + 1
                role = "unperturbed" if number == EMPTY else _role(names[number])
                listed = [] if number == EMPTY else [number]
                rows.append((experiment, plate, row, column, role, listed))
    table = pd.DataFrame(rows, columns=["e", "p", "row", "column", "role", "conditions"])
    table["experiment"] = [f"experiment-{e + 1}" for e in table["e"]]
    table["plate"] = [str(p + 1) for p in table["p"]]
    table["well"] = [well_name(r, c) for r, c in zip(table["row"], table["column"], strict=True)]
    return table.assign(
        well_id=well_ids(screen, table["experiment"], table["plate"], table["well"]),
        screen=screen, cell_type=CELL_TYPE, background="", modality="cell-painting",
        replicate_group="all", plate_format=smallest_format(table["row"], table["column"]),
    ).sort_values(["experiment", "plate", "well"], ignore_index=True)  # fmt: skip


def _role(perturbation: str) -> str:
    if perturbation == POSITIVE_CONTROL:
        return "positive_control"
    return "negative_control" if perturbation in NEGATIVE_CONTROLS else "treatment"


def plate_plan(
    conditions: pd.DataFrame, settings: SimulationSettings, seed: int, experiment: int, plate: int
) -> NDArray[np.int64]:
    """Return the condition at each position (row by row) of one plate; EMPTY where there is none.

    Unperturbed and positive control wells stand at the same positions on all plates. Treatments
    and negative controls do so when positions are fixed. When they move, each experiment has an
    order of its own, shifted from plate to plate so that none returns to its position there.
    """
    room = settings.rows * settings.columns
    num_fixed = settings.unperturbed + settings.positive_controls
    places = generator(seed, "simulation", "controls").permutation(room)
    plan = np.full(room, EMPTY)
    names = conditions["perturbation"].tolist()
    plan[places[: settings.positive_controls]] = names.index(POSITIVE_CONTROL)
    free = np.sort(places[num_fixed:])
    kinds = [names.index(name) for name in NEGATIVE_CONTROLS]
    negative = [kinds[k % len(kinds)] for k in range(settings.negative_controls)]
    treatments = np.flatnonzero(conditions["truth"] != "control").tolist()
    content = np.array(treatments + negative)
    is_moving = settings.positions == "moving"
    key = ["moving", experiment] if is_moving else ["fixed"]
    order = generator(seed, "simulation", "layout", *key).permutation(len(free))
    shift = plate * (len(free) // settings.plates) if is_moving else 0
    plan[np.roll(free[order], shift)[: len(content)]] = content
    return plan
