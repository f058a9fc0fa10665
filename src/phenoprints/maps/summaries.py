"""The tables that stand beside a map: neighbours, guides, doses and layout."""

# N wells · K components

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment import CrossFittedReader
from phenoprints.foundations.randomness import hash_uint64
from phenoprints.maps.building import (
    PerturbationMap,
    Vectors,
    aggregate_groups,
    find_origin,
)
from phenoprints.maps.control_sets import comparisons, strata
from phenoprints.maps.doses import dose_lengths, dose_response
from phenoprints.maps.guides import guide_concordance
from phenoprints.maps.layout import layout_table
from phenoprints.maps.neighbours import neighbour_table
from phenoprints.maps.perturbations import group_wells
from phenoprints.maps.settings import MapSettings
from phenoprints.wells import EmbeddingsReader, control_wells, describe_wells


def map_tables(
    built: PerturbationMap,
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    reader: CrossFittedReader,
    *,
    is_usable: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Tables `neighbours` and `layout`, and `guides` and `doses` where the screen has them.

    Arguments are those that the map was built from; its settings are taken from its attributes.
    """
    settings = MapSettings.stored(built.attributes["settings"])
    tables = {
        "neighbours": neighbour_table(built.table, built.vectors, settings.num_neighbours),
        "layout": layout_table(built.table, built.vectors, how=settings.layout, seed=seed),
    }
    levels = set(built.table["level"])
    if "guide" in levels:
        tables["guides"] = guide_table(built)
    if "concentration" in levels:
        usable = np.ones(len(wells), dtype=bool) if is_usable is None else is_usable
        tables["doses"] = _doses(wells, conditions, reader, settings, usable, seed)
    return tables


def guide_table(built: PerturbationMap) -> pd.DataFrame:
    """Guide concordance within each kind, cell type and background of a map."""
    guides = built.level("guide")
    parts = []
    keys = ["kind", "cell_type", "background"]
    for key, rows in guides.table.groupby(keys, sort=True).indices.items():
        part = guide_concordance(guides.table.iloc[rows], guides.vectors[rows])
        for column, value in zip(keys, np.atleast_1d(np.asarray(key, object)), strict=True):
            part[column] = value
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def sample_controls(
    wells: pd.DataFrame, is_control: NDArray[np.bool_], *, max_controls: int, seed: int
) -> NDArray[np.bool_]:
    """Return a mask of at most `max_controls` control wells, drawn by a hash of (seed, well_id)."""
    rows = np.flatnonzero(is_control)
    keys = hash_uint64(seed, wells["well_id"].to_numpy(np.uint64)[rows])
    chosen = np.zeros(len(wells), dtype=bool)
    chosen[rows[np.argsort(keys, kind="stable")[:max_controls]]] = True
    return chosen


def alignment_controls(
    wells: pd.DataFrame, reader: EmbeddingsReader, is_usable: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return a mask of the wells that the alignment was fitted on."""
    role = reader.attributes.get("alignment", {}).get("controls", "auto")
    return control_wells(wells, role, is_usable)[0]


def _doses(
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    reader: CrossFittedReader,
    settings: MapSettings,
    is_usable: NDArray[np.bool_],
    seed: int,
) -> pd.DataFrame:
    described = describe_wells(wells, conditions)
    vectors = Vectors(wells, reader)
    origin, _ = find_origin(wells, described, vectors, settings, is_usable)
    groups = {"concentration": group_wells(described, "concentration")}
    means = aggregate_groups(vectors, groups, origin, is_usable, how="mean")["concentration"]
    table = groups["concentration"].table
    table["num_wells"] = table["num_usable"]
    folds = comparisons(
        wells, reader, groups["concentration"].code,
        stratum=strata(wells, settings.null_model), is_usable=is_usable,
    )  # fmt: skip
    tested = dose_lengths(
        folds, num_null=settings.num_null,
        activity_p_value=settings.activity_p_value, seed=seed,
    )  # fmt: skip
    return dose_response(table, means, tested, activity_p_value=settings.activity_p_value)
