"""One view of an atlas: the perturbations of a map at one level, with all that is known of each."""

# G perturbations · K components · N wells

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError, MissingInputError
from phenoprints.foundations.provenance import artefact_path
from phenoprints.maps import PerturbationMap
from phenoprints.maps.neighbours import contexts
from phenoprints.maps.perturbations import annotation_columns
from phenoprints.maps.store import read_map_table
from phenoprints.matches.on_map import reference_rows
from phenoprints.runs import Run
from phenoprints.wells import describe_wells

CONTEXT = ["level", "cell_type", "background"]
CLUSTERED_AT = 20
"""Perturbations from which on a view is clustered."""
MAX_CLUSTERS = 24
CELL_COUNT = "nuclei_count"


@dataclass(frozen=True)
class View:
    """What the atlas shows of one screen, encoder, level, cell type and background.

    Attributes
    ----------
    title
        screen, encoder, level, cell_type, background.
    names, kinds
        (G,) of the perturbations.
    xy
        (G, 2) position on the map.
    vectors
        (G, K) of the map.
    colours
        Values (G,) by name: numbers, or texts with "" for none.
    neighbours
        Rows entry, neighbour (both rows of the view; -1 for none), cosine, low, high, p_value,
        q_value, reason.
    wells
        Rows entry, experiment, plate, row, column, cells (NaN where not counted), well_id.
    tests
        Rows entry, judge, experiment ("" for the combination), p_value, num_wells, reason.
    doses
        Rows entry, concentration_um, length, null_length, p_value, is_active.
    plates
        Columns experiment, plate, rows, columns.
    notes
        What is missing, a sentence each.
    """

    title: Mapping[str, str]
    names: NDArray[np.object_]
    kinds: NDArray[np.object_]
    xy: NDArray[np.float64]
    vectors: NDArray[np.float32]
    colours: Mapping[str, NDArray[Any]]
    neighbours: pd.DataFrame
    wells: pd.DataFrame
    tests: pd.DataFrame
    doses: pd.DataFrame
    plates: pd.DataFrame
    notes: list[str] = field(default_factory=list)


def views(run: Run, screen: str, encoder: str) -> list[View]:
    """Return a view for every level, cell type and background of a map."""
    built = run.map(screen, encoder)
    folder = artefact_path(run.path("map", screen=screen, encoder=encoder))
    source = _Source(run, screen, encoder, built)
    layout = read_map_table(folder, "layout")
    try:
        calibrated = read_map_table(folder, "calibrated")
    except MissingInputError:
        calibrated = pd.DataFrame(columns=CONTEXT)
    doses = read_map_table(folder, "doses") if (folder / "doses.parquet").exists() else None
    return [
        source.view(context, rows, layout, calibrated, doses)
        for context, rows in contexts(built.table, built.vectors)
    ]


class _Source:
    """The tables of a screen that all views of its map share."""

    def __init__(self, run: Run, screen: str, encoder: str, built: PerturbationMap) -> None:
        self.screen, self.encoder, self.built = screen, encoder, built
        stored = run.screen(screen)
        self.wells, conditions = stored.wells(), stored.conditions
        self.described = describe_wells(self.wells, conditions)
        self.annotations = annotation_columns(conditions)
        self.is_used = (self.described["condition_id"] >= 0).to_numpy() & stored.usable()
        self.wells = self.wells.assign(cells=_cell_counts(run, screen, self.wells))
        self.tests = _tests(run, screen)

    def view(
        self, context: tuple[str, str, str], rows: NDArray[np.intp], layout: pd.DataFrame,
        calibrated: pd.DataFrame, doses: pd.DataFrame | None,
    ) -> View:  # fmt: skip
        table = self.built.table.iloc[rows].reset_index(drop=True)
        entries = {key: at for at, key in enumerate(zip(table["kind"], table["name"], strict=True))}
        placed = _of_context(layout, context)
        if list(zip(placed["kind"], placed["name"], strict=True)) != list(entries):
            raise DataError(
                f"maps of {self.screen} and {self.encoder}: the tables map and layout do not have "
                "the same perturbations.\n  To fix: run the target map again."
            )
        vectors, wells = self.built.vectors[rows], self._wells(table)
        names = ("screen", "encoder", "level", "cell_type", "background")
        title = dict(zip(names, (self.screen, self.encoder, *context), strict=True))
        near, notes = _neighbours(_of_context(calibrated, context), entries), []
        if near.empty:
            notes.append("The map has no neighbours with q-values; run the target map again.")
        if wells["cells"].isna().all():
            notes.append("Cells were not counted in this screen.")
        return View(
            title=title, names=table["name"].to_numpy(object),
            kinds=table["kind"].to_numpy(object), xy=placed[["x", "y"]].to_numpy(float),
            vectors=vectors, colours=self._colours(table, vectors, wells), neighbours=near,
            wells=wells, tests=self._tests(table), doses=_doses(doses, table), notes=notes,
            plates=wells[["experiment", "plate"]].drop_duplicates().merge(
                _plate_sizes(self.wells), on=["experiment", "plate"]),
        )  # fmt: skip

    def _wells(self, table: pd.DataFrame) -> pd.DataFrame:
        own = reference_rows(table, self.described, self.is_used)
        columns = ["experiment", "plate", "row", "column", "cells", "well_id"]
        wells = self.wells.iloc[np.flatnonzero(self.is_used)[own >= 0]][columns]
        return wells.assign(entry=own[own >= 0]).sort_values("entry", kind="stable")

    def _colours(
        self, table: pd.DataFrame, vectors: NDArray[np.float32], wells: pd.DataFrame
    ) -> dict[str, NDArray[Any]]:
        texts = [name for name in (*self.annotations, "gene", "kind") if name in table]
        colours: dict[str, NDArray[Any]] = {n: table[n].fillna("").to_numpy(object) for n in texts}
        colours = {name: values for name, values in colours.items() if len(set(values)) > 1}
        colours["cluster"] = clusters(vectors)
        by_entry = wells.groupby("entry")
        cells = by_entry["cells"].mean().reindex(range(len(table)))
        if cells.notna().any():
            colours["cell count"] = cells.to_numpy(float)
        places = (wells["experiment"] + " " + wells["plate"]).groupby(wells["entry"])
        plate = places.first().where(places.nunique() == 1, "several plates")
        colours["plate"] = plate.reindex(range(len(table))).fillna("").to_numpy(object)
        return {name: np.asarray(values) for name, values in colours.items()}

    def _tests(self, table: pd.DataFrame) -> pd.DataFrame:
        columns = ["entry", "judge", "experiment", "p_value", "num_wells", "reason"]
        found = []
        by_condition = table.index[table["condition_id"] >= 0]
        if len(by_condition):
            tests = self.tests[self.tests["name"] == ""]
            entry = pd.Series(by_condition, table.loc[by_condition, "condition_id"])
            found.append(tests.assign(entry=tests["condition_id"].map(entry)))
        if (table["level"] == "gene").any():
            tests = self.tests[self.tests["name"] != ""]
            names = table.drop_duplicates("name")
            entry = pd.Series(names.index, names["name"])
            found.append(tests.assign(entry=tests["name"].map(entry)))
        if not found:
            return pd.DataFrame(columns=columns)
        rows = pd.concat(found).dropna(subset="entry").astype({"entry": int})
        return rows[columns].sort_values(["entry", "judge", "experiment"], kind="stable")


def clusters(vectors: NDArray[np.float32]) -> NDArray[np.object_]:
    """Return the name of a cluster of each vector (G,): k-means of unit vectors, largest first.

    The number of clusters is the square root of half their number, at most 24; below 20 vectors
    there is one.
    """
    if len(vectors) < CLUSTERED_AT:
        return np.full(len(vectors), "1", object)
    from sklearn.cluster import MiniBatchKMeans

    count = int(min(MAX_CLUSTERS, np.sqrt(len(vectors) / 2)))
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    model = MiniBatchKMeans(count, random_state=0, n_init=3, batch_size=4096)
    labels = model.fit_predict(unit)
    order = np.argsort(-np.bincount(labels, minlength=count), kind="stable")
    rank = np.empty(count, int)
    rank[order] = np.arange(1, count + 1)
    names: NDArray[np.object_] = rank[labels].astype(str).astype(object)
    return names


def _of_context(table: pd.DataFrame, context: tuple[str, str, str]) -> pd.DataFrame:
    is_own = (table[CONTEXT].astype(str) == list(context)).all(axis=1)
    return table[is_own.to_numpy(bool)]


def _neighbours(table: pd.DataFrame, entries: Mapping[tuple[str, str], int]) -> pd.DataFrame:
    columns = ["entry", "neighbour", "cosine", "low", "high", "p_value", "q_value", "reason"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    entry = [entries[key] for key in zip(table["kind"], table["name"], strict=True)]
    pairs = zip(table["neighbour_kind"], table["neighbour"], strict=True)
    near = [entries.get(key, -1) for key in pairs]
    return table.assign(entry=entry, neighbour=near)[columns]


def _cell_counts(run: Run, screen: str, wells: pd.DataFrame) -> NDArray[np.float64]:
    quality = run.quality(screen)
    if CELL_COUNT not in quality:
        return np.full(len(wells), np.nan)
    of_wells = quality[quality["site"] == -1].set_index("well_id")[CELL_COUNT]
    counts: NDArray[np.float64] = of_wells.reindex(wells["well_id"]).to_numpy(float)
    return counts


def _plate_sizes(wells: pd.DataFrame) -> pd.DataFrame:
    largest = wells.groupby(["experiment", "plate"], as_index=False)[["row", "column"]].max()
    return largest.rename(columns={"row": "rows", "column": "columns"})


def _tests(run: Run, screen: str) -> pd.DataFrame:
    """Return the tests of conditions and genes by every judge of the screen that has been run."""
    judges = sorted({e for m in run.config["manifests"].values() for e in m["judges"]})
    columns = ["name", "condition_id", "judge", "experiment", "p_value", "num_wells", "reason"]
    tables = [pd.DataFrame(columns=columns)]
    for judge in judges:
        if run.path("consistency", screen=screen, encoder=judge).exists():
            table = run.consistency(screen, judge)
            table = table[table["level"].isin(["condition", "gene"])]
            name = table["name"].where(table["level"] == "gene", "")
            tables.append(table.assign(judge=judge, name=name)[columns])
    return pd.concat([each for each in tables if len(each)] or tables, ignore_index=True)


def _doses(doses: pd.DataFrame | None, table: pd.DataFrame) -> pd.DataFrame:
    columns = ["entry", "concentration_um", "length", "null_length", "p_value", "is_active"]
    if doses is None or doses.empty or not len(table):
        return pd.DataFrame(columns=columns)
    context = (doses[["cell_type", "background"]] == list(table.iloc[0][CONTEXT[1:]])).all(axis=1)
    compounds = table.loc[table["kind"] == "compound", "perturbation"]
    listed = pd.DataFrame({"perturbation": compounds, "entry": compounds.index})
    found = doses[context.to_numpy(bool)].merge(listed, on="perturbation")
    return found[columns].sort_values(["entry", "concentration_um"], kind="stable")
