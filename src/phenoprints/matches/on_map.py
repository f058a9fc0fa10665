"""A map compared with itself: the neighbours of its perturbations with calibrated q-values."""

# N wells · K components · G perturbations

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.consistency import Design
from phenoprints.maps import PerturbationMap
from phenoprints.maps.building import Vectors, find_origin
from phenoprints.maps.neighbours import contexts
from phenoprints.maps.perturbations import group_wells
from phenoprints.maps.settings import MapSettings
from phenoprints.matches.neighbours import calibrated_neighbours
from phenoprints.matches.settings import MatchSettings
from phenoprints.wells import EmbeddingsReader, describe_wells

MAX_PRODUCTS = 1e13
"""Multiplications that the null sets of a context may take: some minutes of one core."""

NULL_MODELS = ("plate-matched", "experiment", "any-wells")
"""From the finest to the coarsest: coarser ones need fewer null sets in all."""

KEYS = ["kind", "cell_type", "background", "name"]


def map_neighbours(
    built: PerturbationMap,
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    reader: EmbeddingsReader,
    *,
    is_usable: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Find and test the nearest perturbations of each perturbation of a map.

    Arguments are those that the map was built from. Neighbours are sought within a level, cell
    type and background. A perturbation's own wells are left out of its null and its own entry out
    of the references. The null is plate-matched; where that would take more than MAX_PRODUCTS
    multiplications, sets of the same experiments or of any wells, which the column `null_model`
    states.

    Returns
    -------
    DataFrame
        level, cell_type, background, kind, name, rank (0 where nothing is tested), neighbour,
        neighbour_kind, and cosine, low, high, p_value, q_value, smallest_p, reason as
        `calibrated_neighbours` gives them, and null_model.
    """
    described = describe_wells(wells, conditions)
    usable = np.ones(len(wells), bool) if is_usable is None else is_usable
    settings = MapSettings.stored(built.attributes["settings"])
    vectors = Vectors(wells, reader)
    origin, _ = find_origin(wells, described, vectors, settings, usable)
    chosen = (described["condition_id"] >= 0).to_numpy() & usable
    x = (vectors.rows(chosen) - origin).astype(np.float32)
    finite = np.isfinite(x).all(axis=1)
    used = wells.iloc[np.flatnonzero(chosen)[finite]]
    tables = [
        _context(built, rows, context, _Wells(x[finite], used, own), seed)
        for context, rows in contexts(built.table, built.vectors)
        if (own := reference_rows(built.table.iloc[rows], described, chosen)[finite]).max(
            initial=-1
        )
        >= 0
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


class _Wells:
    """Wells of known treatments, and the row of a context's references that each is part of."""

    def __init__(self, x: NDArray[np.float32], table: pd.DataFrame, own: NDArray[np.int64]) -> None:
        keep = own >= 0
        self.x, self.table, self.own = x[keep], table.iloc[np.flatnonzero(keep)], own[keep]

    def design(self) -> Design:
        """Return who must differ in a null set, and where each well was."""
        table = self.table
        return Design(
            experiment=table["experiment"].to_numpy(str), well_id=table["well_id"].to_numpy(),
            group=self.own, plate=table["plate"].to_numpy(str),
        )  # fmt: skip

    def num_designs(self, null_model: str) -> int:
        """Return how many different compositions the perturbations have under a null."""
        columns = {"plate-matched": ["experiment", "plate"], "experiment": ["experiment"]}
        stratum = self.table.groupby(columns[null_model]).ngroup().to_numpy()
        order = np.lexsort((stratum, self.own))
        starts = np.flatnonzero(np.diff(self.own[order], prepend=-1))
        return len({part.tobytes() for part in np.split(stratum[order], starts[1:])})


def reference_rows(
    references: pd.DataFrame, described: pd.DataFrame, chosen: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the reference that each chosen well is part of, -1 for none."""
    groups = group_wells(described, str(references["level"].iloc[0]))
    index = pd.MultiIndex.from_frame(references[KEYS])
    place = index.get_indexer(pd.MultiIndex.from_frame(groups.table[KEYS]))
    code = groups.code[chosen]
    return np.where(code >= 0, place[code], -1).astype(np.int64)


def _context(
    built: PerturbationMap, rows: NDArray[np.intp], context: tuple[str, str, str],
    wells: _Wells, seed: int,
) -> pd.DataFrame:  # fmt: skip
    about, references = built.table.iloc[rows], built.vectors[rows]
    count = MapSettings.stored(built.attributes["settings"]).num_neighbours
    settings = MatchSettings(num_neighbours=count)
    null_model = _null_model(wells, settings.num_null * references.size)
    found = calibrated_neighbours(
        wells.x, wells.own, references, wells.design(), own=wells.own,
        settings=settings.replace(null_model=null_model), seed=seed,
    )  # fmt: skip
    tested, near = found["condition"].to_numpy(int), found["reference"].to_numpy(int)
    names, kinds = about["name"].to_numpy(object), about["kind"].to_numpy(object)
    level, cell_type, background = context
    columns: dict[str, Any] = {
        "level": level, "cell_type": cell_type, "background": background,
        "kind": kinds[tested], "name": names[tested], "rank": found["rank"].astype(np.int32),
        "neighbour": np.where(near >= 0, names[near], ""),
        "neighbour_kind": np.where(near >= 0, kinds[near], ""),
    }  # fmt: skip
    statistics = ["cosine", "low", "high", "p_value", "q_value", "smallest_p", "reason"]
    return pd.DataFrame({**columns, **found[statistics], "null_model": null_model})


def _null_model(wells: _Wells, products: float) -> str:
    for null_model in NULL_MODELS[:-1]:
        if wells.num_designs(null_model) * products <= MAX_PRODUCTS:
            return null_model
    return NULL_MODELS[-1]
