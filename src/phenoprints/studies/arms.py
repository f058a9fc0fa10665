"""Training sets of a study: which wells of the training experiments an encoder learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from phenoprints.foundations.randomness import generator
from phenoprints.testing.simulation import SimulatedScreen

ACTIVE = ("full", "partial")
CURATED = ("phenoprints", "oracle")
"""Arms whose wells are chosen for what they show."""


@dataclass(frozen=True)
class Pool:
    """What arms choose from.

    `wells` are all wells of the training experiments, before any step of the funnel; `curated`
    those that the judges leave; `screen` knows the truth.
    """

    wells: pd.DataFrame
    curated: pd.DataFrame
    screen: SimulatedScreen
    seed: int


def everything(pool: Pool) -> pd.DataFrame:
    """Return every well: active, inactive, controls, dead ones."""
    return pool.wells


def phenoprints(pool: Pool) -> pd.DataFrame:
    """Return the wells that the judges leave."""
    return pool.curated


def random(pool: Pool) -> pd.DataFrame:
    """Return as many wells as the judges leave, drawn from every well.

    What a curated set gains by being smaller, and so seen more often, this one gains too.
    """
    order = generator(pool.seed, "studies", "random arm").permutation(len(pool.wells))
    return pool.wells.iloc[sorted(order[: len(pool.curated)])]


def oracle(pool: Pool) -> pd.DataFrame:
    """Return the good wells that truly have an effect, and the controls."""
    kinds = truth_of_wells(pool.screen, pool.wells)
    is_bad = pool.wells["well_id"].isin(pool.screen.bad_wells["well_id"])
    return pool.wells[kinds.isin(["active", "control"]) & ~is_bad]


ARMS: dict[str, Callable[[Pool], pd.DataFrame]] = {
    "everything": everything,
    "random": random,
    "phenoprints": phenoprints,
    "oracle": oracle,
}
"""Every arm by its name; the configuration lists the same names."""


def truth_of_wells(screen: SimulatedScreen, wells: pd.DataFrame) -> pd.Series:
    """Return `active`, `inactive` or `control` for each well, by the truth of its condition.

    `wells` has `perturbation`, "" where nothing was added.
    """
    truth = screen.truth.drop_duplicates("perturbation").set_index("perturbation")["truth"]
    kinds = wells["perturbation"].map(truth)
    named = kinds.map(lambda kind: "active" if kind in ACTIVE else "inactive")
    return named.where(kinds.notna(), "control")
