"""Where the screens of a cell come from: simulated, or BBBC021's DMSO wells with random labels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from benchmarks.bbbc021 import PROFILES
from benchmarks.calibrate.cells import DMSO, Cell

from phenoprints.configuration import load, screen_settings
from phenoprints.foundations.randomness import generator
from phenoprints.screens import read
from phenoprints.simulation import Noise, PlateLayout, SimulatedVectors, draw_vectors, lay_out

DMSO_REPLICATES = 3
"""Wells of a random label, on as many plates of a week."""

EXAMPLE = Path(__file__).resolve().parents[2] / "config" / "examples" / "bbbc021.yaml"


@dataclass(frozen=True)
class Screen:
    """A screen without effects (or with planted ones): tables, and vectors by judge."""

    wells: pd.DataFrame
    conditions: pd.DataFrame
    judges: Mapping[str, SimulatedVectors]
    is_precomputed: bool = False


def screen_of(cell: Cell, number: int) -> Screen:
    """Return screen `number` of a cell."""
    if cell.source == DMSO:
        return _dmso_screen(number)
    wells, conditions = lay_out(cell.layout, seed=number)
    noise = Noise.of(cell.features, number, cell.degrees, factor_share=cell.factor_share)
    judges = {}
    for judge in (f"judge-{j + 1}" for j in range(cell.judges)):
        key = f"{cell.name}/{judge}"
        judges[judge] = draw_vectors(wells, noise, cell.effects, seed=number, item=key)
    return Screen(wells, conditions, judges)


def missing_source(cell: Cell) -> str:
    """Return why the screens of a cell cannot be had; "" where they can."""
    if cell.source != DMSO:
        return ""
    folder = os.environ.get("PHENOPRINTS_TEST_DATA", "")
    if folder and (Path(folder) / "profiles" / "bbbc021" / PROFILES).is_file():
        return ""
    return "PHENOPRINTS_TEST_DATA names no folder with profiles/bbbc021"


@cache
def _dmso_wells() -> tuple[pd.DataFrame, Any]:
    """Return BBBC021's DMSO wells and their profiles."""
    folder = Path(os.environ["PHENOPRINTS_TEST_DATA"]) / "profiles" / "bbbc021"
    config = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    config["screens"]["bbbc021"]["root"] = str(folder)
    wells = read(screen_settings(load(config), "bbbc021"), name="bbbc021").wells
    names = {"Image_Metadata_Plate": "plate", "Image_Metadata_Well": "well"}
    table = pd.read_csv(folder / PROFILES).rename(columns=names)
    wells = wells[wells["role"] == "negative_control"].reset_index(drop=True)
    keys = ["plate", "well"]
    x = wells[keys].merge(table, on=keys, validate="one_to_one").drop(columns=keys)
    x = x.loc[:, x.columns.str.match("Cells|Nuclei|Cytoplasm")]
    return wells, x.to_numpy(np.float32)


def _dmso_screen(number: int) -> Screen:
    """Return the DMSO wells, half of every plate relabelled as treatments without effect.

    A label has DMSO_REPLICATES wells on as many plates of one week, at random positions.
    """
    wells, x = _dmso_wells()
    rng = generator(number, "calibration", DMSO)
    label = np.full(len(wells), -1)
    count = 0
    for _, week in wells.groupby("experiment", sort=True):
        plates = [rng.permutation(rows) for rows in week.groupby("plate").indices.values()]
        index = [week.index.to_numpy()[rows[: len(rows) // 2]] for rows in plates]
        for first in range(0, len(index) - DMSO_REPLICATES + 1, DMSO_REPLICATES):
            for members in zip(*index[first : first + DMSO_REPLICATES], strict=True):
                label[list(members)] = count
                count += 1
    is_treated = label >= 0
    listed: list[Any] = [[code] if code >= 0 else [] for code in label.tolist()]
    wells = wells.assign(
        role=np.where(is_treated, "treatment", "negative_control"),
        conditions=pd.Series(listed, dtype=object),
    )
    _, conditions = lay_out(PlateLayout(conditions=count, experiments=1, plates=16))
    return Screen(wells, conditions, {"judge-1": SimulatedVectors(wells, x)}, True)
