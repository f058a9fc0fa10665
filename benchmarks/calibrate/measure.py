"""Measure one simulated screen: what every test calls, and what the guard reports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.calibrate.cells import Cell
from benchmarks.calibrate.sources import Screen, screen_of

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.benchmarks import cross_fitted_energy, phenotypic_activity
from phenoprints.consistency import ConsistencySettings, screen_consistency
from phenoprints.consistency.separation import design_warnings
from phenoprints.curation import Rules, phenoprints_table
from phenoprints.curation.measured import measured_false
from phenoprints.curation.phenoprints import genes_table
from phenoprints.maps import MapSettings, map_tables, perturbation_map
from phenoprints.maps.control_sets import Comparison, comparisons, strata

THRESHOLDS = (0.01, 0.05)

CONTROL_SETS = 500
"""Null sets of activity and doses: p-values are valid for any number, and resolve 0.01."""

ANY = "any"
"""The name of the union of all judges."""

Record = dict[str, Any]


def measure_screen(cell: Cell, number: int) -> Record:
    """Simulate screen `number` of a cell and return its counts.

    The record has ``counts``: rows of null model, test, judge, tested, and called at 0.01 and
    0.05; ``guard``: rows of null model and judge with the page's rate and interval, or the reason
    why it is NOT RUN; ``warnings`` of the layout; ``distance``, the energy statistic; ``seconds``.
    """
    start = time.perf_counter()
    screen = screen_of(cell, number)
    wells, conditions = screen.wells, screen.conditions
    aligned = {judge: _aligned(cell, screen, judge) for judge in screen.judges}
    warnings = _warnings(wells, conditions)
    record: Record = {"screen": number, "warnings": warnings, "counts": [], "guard": []}
    for null_model in cell.null_models:
        counts, guard = _consistency(cell, wells, conditions, aligned, null_model, number)
        record["counts"] += counts
        record["guard"] += guard
    first = aligned["judge-1"]
    if not cell.is_planted:
        record["counts"] += _against_controls(cell, wells, conditions, first, number)
        record["distance"] = _energy(wells, first)
    record["seconds"] = round(time.perf_counter() - start, 3)
    return record


def _aligned(cell: Cell, screen: Screen, judge: str) -> Any:
    vectors = screen.judges[judge]
    settings = AlignmentSettings(method=cell.method, remove_position=cell.remove_position)
    fitted = fit_alignment(screen.wells, vectors, settings, is_precomputed=screen.is_precomputed)
    return fitted.of(vectors)


def _warnings(wells: pd.DataFrame, conditions: pd.DataFrame) -> list[str]:
    """Return what `phenoprints check` names in the layout."""
    return design_warnings(
        wells,
        conditions,
        ConsistencySettings(),
        is_fitted=(wells["role"] == "negative_control").to_numpy(),
        folds=AlignmentSettings().folds,
    )


def _consistency(
    cell: Cell,
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    aligned: Mapping[str, Any],
    null_model: str,
    number: int,
) -> tuple[list[Record], list[Record]]:
    """Return counts and guard of the permutation test under one null model."""
    settings = ConsistencySettings(null_model=null_model, num_null=cell.num_null)
    tables = {
        judge: {"s": screen_consistency(wells, conditions, reader, settings=settings, seed=number)}
        for judge, reader in aligned.items()
    }
    rules = Rules(judges=tuple(tables), min_experiments=1, min_wells=1)
    by_screen = {"s": settings}
    table = phenoprints_table(tables, conditions, rules, settings=by_screen)
    parts = {"conditions": table}
    if cell.layout.kind == "crispr":
        parts["genes"] = genes_table(tables, rules, settings=by_screen)
    counts = [
        {"null_model": null_model, "test": test, **row}
        for test, part in parts.items()
        for row in _judged(part, list(tables), cell, test)
    ]
    guard = [
        {"null_model": null_model, "judge": judge, **_guard_row(rate)}
        for judge, rate in measured_false(
            tables, rules, conditions=conditions, settings=by_screen
        ).items()
    ]
    return counts, guard


def _judged(table: pd.DataFrame, judges: list[str], cell: Cell, test: str) -> Iterable[Record]:
    """Count by judge and for any judge; planted conditions are a test of their own."""
    p = table[[f"p_value_{judge}" for judge in judges]].to_numpy(np.float64)
    columns = {judge: p[:, j] for j, judge in enumerate(judges)}
    if len(judges) > 1:
        columns[ANY] = np.fmin.reduce(p, axis=1)
    if not cell.is_planted or test != "conditions":
        return [{"judge": judge, **count(values)} for judge, values in columns.items()]
    is_active = np.arange(len(p)) < round(cell.effects.active * len(p))
    return [
        {"judge": judge, "planted": planted, **count(values[is_active == planted])}
        for judge, values in columns.items()
        for planted in (True, False)
    ]


def count(p: Any) -> Record:
    """Return how many p-values exist and how many lie below each threshold."""
    p = np.asarray(p, np.float64)
    p = p[~np.isnan(p)]
    called = {f"called_{t:g}": int((p < t).sum()) for t in THRESHOLDS}
    return {"tested": len(p), **called}


def _guard_row(rate: Mapping[str, Any]) -> Record:
    return {
        key: rate.get(key) for key in ("status", "tests", "below", "rate", "low", "high", "reason")
    }


def _against_controls(
    cell: Cell, wells: pd.DataFrame, conditions: pd.DataFrame, reader: Any, number: int
) -> list[Record]:
    """Return counts of the tests that compare wells with controls."""
    rows = [{"test": "activity", **count(_activity(wells, reader, number))}]
    if cell.layout.kind == "compound":
        levels = MapSettings(levels=("concentration",), num_null=CONTROL_SETS)
        built = perturbation_map(wells, conditions, reader, levels)
        doses = map_tables(built, wells, conditions, reader, seed=number)["doses"]
        rows.append({"test": "doses", **count(doses["p_value"])})
    return [{"null_model": "", "judge": "judge-1", **row} for row in rows]


def _folds(wells: pd.DataFrame, reader: Any) -> list[Comparison]:
    """Return a comparison of the conditions' wells with each fold of the controls."""
    is_control = (wells["role"] == "negative_control").to_numpy()
    first = np.array([c[0] if len(c) else -1 for c in wells["conditions"]])
    code = np.where(is_control, -1, first)
    usable = np.ones(len(wells), bool)
    return list(comparisons(wells, reader, code, stratum=strata(wells), is_usable=usable))


def _activity(wells: pd.DataFrame, reader: Any, number: int) -> Any:
    folds = _folds(wells, reader)
    return phenotypic_activity(folds, num_null=CONTROL_SETS, seed=number)["p_value"]


def _energy(wells: pd.DataFrame, reader: Any) -> Record:
    """Return the mean U-statistic over conditions, and the mean distance between two wells."""
    folds = _folds(wells, reader)
    table = cross_fitted_energy(folds, min_wells=2)
    x = folds[0].vectors[folds[0].group >= 0]
    rng = np.random.default_rng(0)
    a, b = rng.permutation(len(x)), rng.permutation(len(x))
    distance = np.linalg.norm(x[a] - x[b], axis=1)[a != b].mean()
    return {"unbiased": float(table["unbiased"].mean()), "between_wells": float(distance)}
