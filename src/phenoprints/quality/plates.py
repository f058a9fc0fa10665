"""Assay conditions: what the metrics of a plate's wells say about the plate as a whole."""

# W wells of a plate · M metrics

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.quality.references import MAD_TO_SD
from phenoprints.quality.rules import RULES, QualitySettings
from phenoprints.wells import CONTROL_ROLES, WHOLE_WELL

COLUMNS = ["experiment", "plate", "code", "check", "value", "threshold", "verdict", "detail"]
SHAPE_METRICS = (
    "mean", "std", "percentile_50", "percentile_99", "power_log_log_slope", "sharpness",
    "correlation", "nuclei_count", "nuclei_area", "nuclei_intensity",
)  # fmt: skip
"""Metrics, of a channel or of the image, that make up the profile of a well."""

EDGE_METRICS = ("mean", "sharpness", "nuclei_count", "nuclei_area")
MIN_GROUP = 3
"""Wells that a comparison needs on either side."""

Floats = NDArray[np.float64]
Row = tuple[str, float, float, bool | None, str]


def assay_conditions(
    quality: pd.DataFrame, wells: pd.DataFrame, settings: QualitySettings | None = None
) -> pd.DataFrame:
    """One row per plate and check: value, threshold and verdict (pass | fail | not assessed).

    Parameters
    ----------
    quality
        As `assess` gives it; the rows of whole wells that pass are used.
    wells
        The wells table: well_id, experiment, plate, row, column, role, conditions.
    settings
        Thresholds; the defaults when absent.

    Returns
    -------
    experiment, plate, code, check, value, threshold, verdict, detail. Checks: number of good
    control wells (QC030); median correlation between profiles of controls of one role (QC031);
    distance of positive controls over that of other controls from their centre (QC032); largest
    robust z between edge and inner wells (QC033); gain in agreement of replicates across plates
    under the best other plate map (QC034). A profile is the robust z of the metrics of shape,
    intensity and number against the plate's own wells.
    """
    chosen = settings or QualitySettings()
    table, names = good_wells(quality, wells)
    plates = wells[["experiment", "plate"]].drop_duplicates()
    if not names:
        return pd.DataFrame(columns=COLUMNS)
    profiles = plate_profiles(table, names)
    matches = plate_map_gains(table, profiles)
    rows = []
    for experiment, plate in plates.itertuples(index=False):
        at = np.flatnonzero((table["experiment"] == experiment) & (table["plate"] == plate))
        own, x = table.iloc[at], profiles[at]
        checks = [*_control_checks(own, x, chosen), _edge_check(own, x, names, chosen)]
        checks.append(_map_check(matches.get((experiment, plate))))
        rows += [(experiment, plate, *_row(check)) for check in checks]
    return pd.DataFrame(rows, columns=COLUMNS)


def good_wells(quality: pd.DataFrame, wells: pd.DataFrame) -> tuple[pd.DataFrame, list[Any]]:
    """Return the wells that pass with their metrics, and which of these make up a profile."""
    good = quality[(quality["site"] == WHOLE_WELL) & (quality["verdict"] == "pass")]
    table = wells.merge(good.drop(columns=["site", "verdict", "reasons"]), on="well_id")
    return table.reset_index(drop=True), [c for c in table if str(c).startswith(SHAPE_METRICS)]


def _row(check: Row) -> tuple[str, str, float, float, str, str]:
    code, value, threshold, is_good, detail = check
    verdict = "not assessed" if is_good is None else "pass" if is_good else "fail"
    return code, RULES[code].what, value, threshold, verdict, detail


def plate_profiles(table: pd.DataFrame, names: list[Any]) -> Floats:
    """Return the profile (wells, M) of each well: metrics as robust z within its
    plate, NaN as 0.
    """
    values = table[names].to_numpy(np.float64)
    profiles = np.zeros_like(values)
    for indices in table.groupby(["experiment", "plate"], sort=False).indices.values():
        rows = np.asarray(indices)
        known = np.flatnonzero(np.isfinite(values[rows]).any(axis=0))
        own = values[np.ix_(rows, known)]
        median = np.nanmedian(own, axis=0)
        mad = MAD_TO_SD * np.nanmedian(np.abs(own - median), axis=0)
        scale = np.where(mad > 0, mad, np.inf)
        profiles[np.ix_(rows, known)] = np.clip((own - median) / scale, -10.0, 10.0)
    return np.nan_to_num(profiles)


def _control_checks(own: pd.DataFrame, x: Floats, settings: QualitySettings) -> Iterator[Row]:
    is_control = own["role"].isin(CONTROL_ROLES).to_numpy()
    num = int(is_control.sum())
    yield "QC030", float(num), float(settings.min_controls), num >= settings.min_controls, ""
    correlations = [
        _median_correlation(x[rows])
        for role in CONTROL_ROLES
        if len(rows := np.flatnonzero((own["role"] == role).to_numpy())) >= MIN_GROUP
    ]
    value = float(np.nanmean(correlations)) if correlations else np.nan
    limit = settings.min_control_correlation
    yield "QC031", value, limit, None if np.isnan(value) else value >= limit, ""
    is_positive = (own["role"] == "positive_control").to_numpy()
    value = separation(x[is_positive], x[is_control])
    limit = settings.min_separation
    yield "QC032", value, limit, None if np.isnan(value) else value >= limit, ""


def _median_correlation(x: Floats) -> float:
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = np.atleast_2d(np.corrcoef(x))
    return float(np.nanmedian(matrix[np.triu_indices(len(x), 1)]))


def separation(positive: Floats, controls: Floats) -> float:
    """How far positive controls are from the controls' centre, over what controls are; else NaN.

    Medians of Euclidean distances; NaN without positive controls or with fewer than 3 controls.
    """
    if len(positive) == 0 or len(controls) < MIN_GROUP:
        return float("nan")
    centre = np.median(controls, axis=0)
    usual = float(np.median(np.linalg.norm(controls - centre, axis=1)))
    far = float(np.median(np.linalg.norm(positive - centre, axis=1)))
    return far / usual if usual > 0 else float("nan")


def _edge_check(own: pd.DataFrame, x: Floats, names: list[Any], settings: QualitySettings) -> Row:
    rows, columns = own["row"].to_numpy(), own["column"].to_numpy()
    limit = settings.max_edge_effect
    if own.empty:
        return "QC033", float("nan"), limit, None, ""
    is_edge = (rows == rows.min()) | (rows == rows.max())
    is_edge |= (columns == columns.min()) | (columns == columns.max())
    if min(is_edge.sum(), (~is_edge).sum()) < MIN_GROUP:
        return "QC033", float("nan"), limit, None, ""
    difference = np.abs(np.median(x[is_edge], axis=0) - np.median(x[~is_edge], axis=0))
    chosen = [at for at, name in enumerate(names) if str(name).startswith(EDGE_METRICS)]
    worst = max(chosen, key=lambda at: float(difference[at]))
    value = float(difference[worst])
    return "QC033", value, limit, value <= limit, str(names[worst])


def _map_check(match: tuple[float, float, str] | None) -> Row:
    if match is None:
        return "QC034", float("nan"), 0.0, None, ""
    own, other, name = match
    return "QC034", other - own, MAP_MARGIN, other - own <= MAP_MARGIN, name


MAP_MARGIN = 0.1
"""Gain in mean cosine above which another plate map is believed."""


def plate_map_gains(
    table: pd.DataFrame, profiles: Floats
) -> dict[tuple[str, str], tuple[float, float, str]]:
    """For each plate the agreement of replicates under its own map and under the best other one.

    Agreement is the mean cosine between a well's profile and the mean profile of its condition on
    all other plates. Other maps are the plate rotated by half a turn, mirrored, or shifted by one
    row or column. Plates with fewer than 10 comparable wells are left out.
    """
    conditions = [c[0] if c is not None and len(c) == 1 else -1 for c in table["conditions"]]
    condition = np.array(conditions, dtype=np.int64)
    num = int(condition.max(initial=-1)) + 1
    is_known = condition >= 0
    if not is_known.any():
        return {}
    total = np.zeros((num, profiles.shape[1]))
    np.add.at(total, condition[is_known], profiles[is_known])
    result = {}
    plates = table.groupby(["experiment", "plate"], sort=False).indices
    for key, indices in plates.items():
        experiment, plate = key if isinstance(key, tuple) else (key, "")
        rows = np.asarray(indices)
        known = rows[is_known[rows]]
        rest = total.copy()
        np.subtract.at(rest, condition[known], profiles[known])
        scores = _map_scores(table.iloc[rows], profiles[rows], condition[rows], rest)
        if "own" in scores:
            own = scores.pop("own")
            name = max(scores, key=lambda k: scores[k])
            result[(str(experiment), str(plate))] = (own, scores[name], name)
    return result


def _map_scores(
    own: pd.DataFrame, x: Floats, condition: NDArray[np.int64], rest: Floats
) -> dict[str, float]:
    """Return the agreement under each map; empty where too few wells can be compared under one."""
    row, column = own["row"].to_numpy(np.int64), own["column"].to_numpy(np.int64)
    height, width = int(row.max()), int(column.max())
    planned = np.full((height + 2, width + 2), -1, np.int64)
    planned[row, column] = condition
    other_maps = {
        "own": (row, column),
        "rotated by half a turn": (height + 1 - row, width + 1 - column),
        "mirrored left to right": (row, width + 1 - column),
        "mirrored top to bottom": (height + 1 - row, column),
        "shifted one row down": (row - 1, column),
        "shifted one row up": (row + 1, column),
        "shifted one column right": (row, column - 1),
        "shifted one column left": (row, column + 1),
    }
    scores = {}
    for name, (r, c) in other_maps.items():
        meant = planned[r, c]
        usable = (meant >= 0) & (np.abs(rest[meant]).sum(axis=1) > 0)
        usable &= np.abs(x).sum(axis=1) > 0
        if usable.sum() < 10:
            return {}
        a, b = x[usable], rest[meant[usable]]
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        scores[name] = float(np.mean(np.einsum("wm,wm->w", a, b) / norms))
    return scores
