"""The simulated screen: wells drawn by a seeded generator, with a known truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.screens.listing import Listing, Notes
from phenoprints.testing.simulation import SimulatedScreen, SimulationSettings, design

SETTINGS = ("screen", "seed", *SimulationSettings.model_fields)
EXTRAS = ("truth", "relationships", "compound_genes", "bad_wells")
"""Tables of the truth that are written beside the screen."""


def read_listing(*, screen: str = "simulated", seed: int = 0, **settings: Any) -> Listing:
    """Return the wells, perturbations, sites and truth of a simulated screen.

    Parameters
    ----------
    screen, seed
        The screen's name, part of its well ids, and the seed of everything in it.
    settings
        As in `phenoprints.testing.simulation.SimulationSettings`.
    """
    designed = design(settings, seed, screen=screen)
    wells = designed.wells.reset_index(drop=True)
    return Listing(
        wells=wells.drop(columns=["well_id", "screen", "row", "column", "conditions"]),
        perturbations=_perturbations(designed),
        sites=designed.sites.drop(columns=["well_id"]).assign(well_row=_rows_of_sites(designed)),
        origin="the simulation",
        notes=Notes(warnings=["The screen is simulated."]),
        extras={**{name: getattr(designed, name) for name in EXTRAS}, "truth": _truth(designed)},
    )


def _truth(designed: SimulatedScreen) -> pd.DataFrame:
    """Return the truth of the conditions that have wells, by the ids that they have
    in the screen.
    """
    used = np.unique(np.concatenate(designed.wells["conditions"].tolist()).astype(np.int64))
    truth = designed.truth[designed.truth["condition_id"].isin(used)].reset_index(drop=True)
    new_ids = np.searchsorted(used, truth["condition_id"].to_numpy()).astype(np.int32)
    return truth.assign(condition_id=new_ids)


def _rows_of_sites(designed: SimulatedScreen) -> NDArray[np.intp]:
    wells = pd.Index(designed.wells["well_id"])
    rows: NDArray[np.intp] = wells.get_indexer(pd.Index(designed.sites["well_id"]))
    return rows


def _perturbations(designed: SimulatedScreen) -> pd.DataFrame:
    lists = designed.wells["conditions"].tolist()
    rows = np.repeat(np.arange(len(lists)), [len(listed) for listed in lists])
    ids = np.concatenate([*map(np.asarray, lists), []]).astype(np.int64)
    done = designed.conditions.set_index("condition_id").loc[ids].reset_index(drop=True)
    return done.drop(columns=["cell_type", "background"]).assign(well_row=rows)
