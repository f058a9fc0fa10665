"""The simulated screen: its tables, its truth, and the image of any of its wells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator
from phenoprints.testing.simulation.conditions import (
    build_conditions,
    compound_gene_table,
    effect_matrix,
    relationships,
)
from phenoprints.testing.simulation.layout import build_wells
from phenoprints.testing.simulation.morphology import CHANNELS
from phenoprints.testing.simulation.nuisance import (
    Nuisance,
    build_nuisance,
    plant_bad_wells,
)
from phenoprints.testing.simulation.settings import SimulationSettings
from phenoprints.wells import WELLS

SHORT = dict.fromkeys(("row", "column", "plate_format"), "int16")
CONDITION_COLUMNS = (
    "condition_id", "perturbation", "kind", "gene", "guide", "concentration_um", "cell_type",
    "background", "pathway", "target",
)  # fmt: skip


@dataclass(frozen=True)
class SimulatedScreen:
    """A screen whose truth is known.

    Attributes
    ----------
    settings, seed
        What it was designed from; the same give the same screen.
    wells, sites, conditions
        As in the contracts of screens; conditions are annotated with `pathway` and `target`.
        A site's locator is `simulated:<number of the well>`.
    truth
        condition_id, perturbation, concentration_um, gene, pathway, target, truth (full | partial
        | none) and only_in (the experiment of a partial effect, else ""), for all conditions but
        controls.
    relationships
        entity1, entity2, source: pairs of genes of one pathway.
    compound_genes
        gene_symbol, nM_value, measurement_type, database, treatment.
    bad_wells
        well_id, experiment, plate, well, kind of every planted accident.
    traits
        (wells, traits) what the drawing follows, effects and nuisance together.
    """

    settings: SimulationSettings
    seed: int
    wells: pd.DataFrame
    sites: pd.DataFrame
    conditions: pd.DataFrame
    truth: pd.DataFrame
    relationships: pd.DataFrame
    compound_genes: pd.DataFrame
    bad_wells: pd.DataFrame
    traits: NDArray[np.float64]
    nuisance: Nuisance
    kinds: tuple[str, ...]


def design(
    settings: SimulationSettings | Mapping[str, Any] | None = None,
    seed: int = 0,
    *,
    screen: str = "demo",
) -> SimulatedScreen:
    """Return the simulated screen of some settings and a seed: all its tables, no image yet.

    Parameters
    ----------
    settings
        SimulationSettings or their names and values; the default screen when absent.
    seed
        Of everything: the same seed and settings give the same bytes on every machine.
    screen
        The screen's name, part of every `well_id`; it changes nothing else.

    Raises
    ------
    ConfigurationError
        An unknown setting, or settings that cannot be met; all problems in one message.
    """
    chosen = _as_settings(settings)
    conditions = build_conditions(chosen, seed)
    wells = build_wells(screen, conditions, chosen, seed)
    nuisance = build_nuisance(wells, chosen, seed)
    kinds = plant_bad_wells(len(wells), chosen, seed)
    traits = nuisance.traits + _effects(wells, effect_matrix(conditions, chosen, seed))
    return SimulatedScreen(
        settings=chosen,
        seed=seed,
        wells=wells[WELLS.schema.names].astype(SHORT),
        sites=_sites(wells, chosen),
        conditions=conditions[list(CONDITION_COLUMNS)],
        truth=_truth(conditions),
        relationships=relationships(conditions),
        compound_genes=compound_gene_table(conditions),
        bad_wells=_bad_wells(wells, kinds),
        traits=traits,
        nuisance=nuisance,
        kinds=tuple(kinds),
    )


def _as_settings(settings: SimulationSettings | Mapping[str, Any] | None) -> SimulationSettings:
    if isinstance(settings, SimulationSettings):
        return settings
    return SimulationSettings(**(settings or {}))


def _effects(wells: pd.DataFrame, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    effects = np.zeros((len(wells), shifts.shape[2]))
    for at, (experiment, listed) in enumerate(zip(wells["e"], wells["conditions"], strict=True)):
        for condition in listed:
            effects[at] += shifts[experiment, condition]
    return effects


def _sites(wells: pd.DataFrame, settings: SimulationSettings) -> pd.DataFrame:
    num = len(wells)
    return pd.DataFrame(
        {
            "well_id": wells["well_id"],
            "site": np.ones(num, np.int32),
            "locator": [f"simulated:{at}" for at in range(num)],
            "height": np.full(num, settings.size_px, np.int32),
            "width": np.full(num, settings.size_px, np.int32),
            "channels": [list(CHANNELS)] * num,
        }
    )


def _truth(conditions: pd.DataFrame) -> pd.DataFrame:
    table = conditions[conditions["truth"] != "control"].reset_index(drop=True)
    only_in = [f"experiment-{e + 1}" if e >= 0 else "" for e in table["only_in"]]
    columns = ["condition_id", "perturbation", "concentration_um", "gene", "pathway", "target"]
    return table[[*columns, "truth"]].assign(only_in=only_in)


def _bad_wells(wells: pd.DataFrame, kinds: list[str]) -> pd.DataFrame:
    table = wells[["well_id", "experiment", "plate", "well"]].assign(kind=kinds)
    return table[table["kind"] != ""].reset_index(drop=True)


def draw(screen: SimulatedScreen, well: int) -> NDArray[np.uint8]:
    """Return the image (6, size_px, size_px) uint8 of the well in row `well` of the wells table.

    A pure function of the screen's settings and seed and of the well's place on its plates: no
    other well, order or worker changes it.
    """
    from phenoprints.testing.simulation.drawing import draw_well

    row = screen.wells.iloc[well]
    key = (row["experiment"], row["plate"], row["well"])
    words = generator(screen.seed, "simulation", "image", *key).integers(2**63, size=1)
    return draw_well(
        state=words.astype(np.uint64),
        size=screen.settings.size_px,
        traits=screen.traits[well],
        nuisance=screen.nuisance,
        well=well,
        kind=screen.kinds[well],
    )
