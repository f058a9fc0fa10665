"""The ledger of confounders: how much of a phenotype cell count, focus or position explain."""

# N wells · K components · P covariates of a group · n wells of a condition

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment import CrossFittedReader
from phenoprints.configuration.models.curation import Confounders
from phenoprints.foundations.errors import DataError
from phenoprints.wells import PERTURBED_ROLES, Screen, edge_distance, single_condition

Floats = NDArray[np.float64]

RIDGE = 1.0
"""Penalty of the regression, for covariates of unit variance; it equals one well's weight."""

MIN_STRENGTH = 3.0
"""Null standard deviations of the mean product above which a phenotype counts as there."""

ROUNDS = 3
"""Fits of the regression; after each one conditions that it does not explain lose weight."""

MAX_LEFT = 0.02
"""Share of a strong phenotype that may be left unexplained: the regression is not exact."""

COUNT_DEGREE = 3
"""Degree of the polynomial in the log cell count: phenotypes bend where few cells are left."""

CLIP = 6.0
"""Robust z scores of covariates are clipped here."""

COUNT, FOCUS, INTENSITY, POSITION, PLATE = "cell_count", "focus", "intensity", "position", "plate"
GROUPS = (COUNT, FOCUS, INTENSITY, POSITION, PLATE)

FLAGS = {"cell_count_only": (COUNT,), "position_only": (POSITION, PLATE)}
"""Groups of covariates, any of which alone explains a condition of that flag."""


def covariates(wells: pd.DataFrame, quality: pd.DataFrame) -> dict[str, Floats]:
    """Return the covariates of each well by group, (N, P) with NaN where a metric is missing.

    Parameters
    ----------
    wells
        The wells table.
    quality
        The quality table; metrics are means over the sites of a well. Without images there are no
        metrics, and only position and plate remain.

    Returns
    -------
    dict
        `cell_count`: log count of nuclei relative to the plate's median, and its powers up to 3.
        `focus`: slope of log power and log sharpness of each channel. `intensity`: log mean and log
        standard deviation of each channel. `position`: row, column, their squares, and the distance
        to the edge. `plate`: (N,) the number of the plate. Focus and intensity are robust z scores
        inside their plate, clipped at 6.
    """
    plate = wells.groupby(["experiment", "plate"], sort=True).ngroup().to_numpy().astype(np.int64)
    metrics = _metrics(wells, quality)
    groups: dict[str, Floats] = {}
    if "nuclei_count" in metrics:
        logs = pd.Series(np.log1p(metrics["nuclei_count"].to_numpy(np.float64)))
        u = (logs - logs.groupby(plate).transform("median")).to_numpy()[:, None]
        groups[COUNT] = np.concatenate(
            [_scaled(u**power) for power in range(1, COUNT_DEGREE + 1)], axis=1
        )
    for name, prefixes in {
        FOCUS: ("power_log_log_slope_", "sharpness_"), INTENSITY: ("mean_", "std_")
    }.items():  # fmt: skip
        chosen = [column for column in metrics if str(column).startswith(prefixes)]
        if chosen:
            values = metrics[chosen].to_numpy(np.float64)
            values = np.where(values > 0, np.log(np.where(values > 0, values, 1.0)), values)
            groups[name] = _within_plate(values, plate)
    row, column = (wells[name].to_numpy(np.float64) for name in ("row", "column"))
    places = np.stack([row, column, row**2, column**2, edge_distance(wells)], axis=1)
    groups[POSITION] = _scaled(places)
    groups[PLATE] = plate.astype(np.float64)
    return groups


def _metrics(wells: pd.DataFrame, quality: pd.DataFrame) -> pd.DataFrame:
    names = [c for c in quality.columns if pd.api.types.is_numeric_dtype(quality[c])]
    names = [c for c in names if c not in ("well_id", "site")]
    sites = quality[quality["site"] >= 0] if len(names) else quality[:0]
    means = sites.groupby("well_id")[names].mean() if names else pd.DataFrame()
    return means.reindex(wells["well_id"].to_numpy()).dropna(axis=1, how="all")


def _within_plate(values: Floats, plate: NDArray[np.int64]) -> Floats:
    """Return robust z scores (N, P) inside each plate, clipped; NaN stays NaN."""
    frame = pd.DataFrame(values)
    centred = frame - frame.groupby(plate).transform("median")
    spread = 1.4826 * centred.abs().groupby(plate).transform("median")
    z = centred / spread.where(spread > 0, 1.0)
    return np.asarray(np.clip(z.to_numpy(np.float64), -CLIP, CLIP))


def _scaled(values: Floats) -> Floats:
    spread = np.nanstd(values, axis=0)
    return np.asarray((values - np.nanmean(values, axis=0)) / np.where(spread > 0, spread, 1.0))


def explained_shares(
    x: NDArray[np.floating],
    groups: Mapping[str, Floats],
    condition: NDArray[np.int64],
    is_control: NDArray[np.bool_],
) -> pd.DataFrame:
    """Return the share of every condition's phenotype that each group of covariates explains.

    For each group a ridge regression of the vectors on its covariates is fitted on the controls
    and on all treatments but those of the condition itself. What the covariates of the condition's
    wells predict, relative to those of the controls, is subtracted from its vectors; the share is
    1 - S(residuals) / S(vectors) with S(v) = (|Σv|² - Σ|v|²) / n(n - 1), the mean product of
    different wells: an estimate of the squared length of the mean without the noise of the wells.
    The regression is fitted three times; conditions that it leaves with a strength s above 3 enter
    the next fit with the weight 3 / s, so that other phenotypes do not bend it.
    Strengths are S in units of its standard deviation without effect, sqrt(2 tr(Σ²) / n(n - 1))
    with the covariance Σ of control wells.

    Parameters
    ----------
    x
        (N, K) aligned vectors, controls under maps fitted without them; rows with NaN are left out.
    groups
        (N, P) covariates by name, or (N,) levels of a factor; rows with NaN are left out of that
        group.
    condition
        (N,) condition of each well from 0; -1 for controls and wells without a single condition.
    is_control
        (N,) the wells that covariates are compared with.

    Returns
    -------
    DataFrame
        A row per condition with wells, by `condition_id`: `n` wells with a vector, `strength` of
        the phenotype, and for each group `share_<group>` in [0, 1] and `left_<group>`, the
        strength of the residuals. NaN with fewer than two wells, fewer than two controls, without
        a replicable mean (S(vectors) <= 0), or without covariates.
    """
    usable = np.isfinite(x).all(axis=1) & (is_control | (condition >= 0))
    ids = np.unique(condition[condition >= 0])
    frame = pd.DataFrame(index=pd.Index(ids, name="condition_id"))
    frame["n"] = np.bincount(condition[usable & ~is_control], minlength=ids.max(initial=-1) + 1)[
        ids
    ]
    none = {"none": np.zeros(len(x))}
    for name, z in (none | dict(groups)).items():
        rows = np.flatnonzero(usable & np.isfinite(z.reshape(len(z), -1)).all(axis=1))
        found = _explained(x[rows].astype(np.float64), z[rows], condition[rows], is_control[rows])
        frame[f"share_{name}"] = pd.Series({code: share for code, (share, _) in found.items()})
        frame[f"left_{name}"] = pd.Series({code: left for code, (_, left) in found.items()})
    frame = frame.rename(columns={"left_none": "strength"}).drop(columns="share_none")
    return frame.astype(dict.fromkeys(frame.columns[1:], np.float64)).reset_index()


def _explained(
    x: Floats, z: Floats, condition: NDArray[np.int64], is_control: NDArray[np.bool_]
) -> dict[int, tuple[float, float]]:
    """Return share and strength of the residuals by condition."""
    if is_control.sum() < 2:
        return {}
    unit = np.sqrt(2.0 * _squared_trace(x[is_control]))
    order = np.argsort(condition, kind="stable")
    codes, starts = np.unique(condition[order], return_index=True)
    groups = dict(zip(codes.tolist(), np.split(order, starts[1:]), strict=True))
    groups.pop(-1, None)
    weight = np.ones(len(x))
    found: dict[int, tuple[float, float]] = {}
    fit = _level_means if z.ndim == 1 else _slopes
    for _ in range(ROUNDS):
        predict = fit(x, z, weight, is_control)
        for code, rows in groups.items():
            found[code] = _compared(x[rows], x[rows] - predict(rows), unit)
            strength = found[code][1]
            weight[rows] = MIN_STRENGTH / strength if strength > MIN_STRENGTH else 1.0
    return {code: each for code, each in found.items() if len(groups[code]) > 1}


def _slopes(
    x: Floats, z: Floats, weight: Floats, is_control: NDArray[np.bool_]
) -> Callable[[NDArray[np.int64]], Floats]:
    """Return the prediction for some rows by a ridge regression on all others."""
    z = z - z[is_control].mean(axis=0)
    design = np.concatenate([np.ones((len(z), 1)), z], axis=1)
    weighted = design * weight[:, None]
    penalty = np.diag([0.0, *[RIDGE] * z.shape[1]])
    gram, moments = design.T @ weighted + penalty, weighted.T @ x

    def predict(rows: NDArray[np.int64]) -> Floats:
        own = weighted[rows]
        coefficients = np.linalg.solve(gram - own.T @ design[rows], moments - own.T @ x[rows])
        return np.asarray(z[rows] @ coefficients[1:])

    return predict


def _level_means(
    x: Floats, z: Floats, weight: Floats, is_control: NDArray[np.bool_]
) -> Callable[[NDArray[np.int64]], Floats]:
    """Return the prediction for some rows by the mean of all others of their level, shrunken."""
    levels = z.astype(np.int64)
    centred = (x - x[is_control].mean(axis=0)) * weight[:, None]
    order = np.argsort(levels, kind="stable")
    present, starts = np.unique(levels[order], return_index=True)
    sums = np.zeros((levels.max(initial=-1) + 1, x.shape[1]))
    sums[present] = np.add.reduceat(centred[order], starts, axis=0)
    total = np.bincount(levels, weight, len(sums))

    def predict(rows: NDArray[np.int64]) -> Floats:
        here, place = np.unique(levels[rows], return_inverse=True)
        own = np.zeros((len(here), x.shape[1]))
        np.add.at(own, place, centred[rows])
        rest = total[here] - np.bincount(place, weight[rows], len(here))
        return np.asarray(((sums[here] - own) / (rest + RIDGE)[:, None])[place])

    return predict


def _compared(x: Floats, residuals: Floats, unit: float) -> tuple[float, float]:
    """Return the share that is explained, and the strength of the residuals of n wells."""
    n = len(x)
    if n < 2:
        return np.nan, 0.0
    whole, left = mean_product(x), mean_product(residuals)
    share = float(np.clip(1.0 - left / whole, 0.0, 1.0)) if whole > 0 else np.nan
    return share, left * np.sqrt(n * (n - 1)) / unit


def _squared_trace(x: Floats) -> float:
    """Estimate tr(Σ²) as the mean squared product of different centred rows (n, K)."""
    centred = x - x.mean(axis=0)
    products = centred.T @ centred if x.shape[1] < len(x) else centred @ centred.T
    own = np.square(np.square(centred).sum(axis=1)).sum()
    n = len(x)
    return float(max(np.square(products).sum() - own, np.finfo(float).tiny) / (n * (n - 1)))


def mean_product(x: Floats) -> float:
    """Return the mean product of different rows of x (n, K), n at least 2."""
    n = len(x)
    return float((np.square(x.sum(axis=0)).sum() - np.square(x).sum()) / (n * (n - 1)))


def ledger(shares: pd.DataFrame, *, share: float = 0.5) -> pd.DataFrame:
    """Add to each condition what explains it best, and its flags.

    Parameters
    ----------
    shares
        From `explained_shares`.
    share
        A flag is set when one of its groups explains at least this share of a phenotype (strength
        above 3), and what is left is none (strength at most 3, or a fiftieth of the
        phenotype's).

    Returns
    -------
    DataFrame
        With `explained_by` (the group with the largest share, "" where none explains `share`),
        `explained_share`, `cell_count_only` and `position_only`.
    """
    names = [name for name in GROUPS if f"share_{name}" in shares]
    values = shares[[f"share_{name}" for name in names]].to_numpy(np.float64)
    known = np.where(np.isnan(values), -1.0, values)
    most = known.max(axis=1, initial=-1.0)
    best = known.argmax(axis=1) if names else np.zeros(len(shares), np.int64)
    result = shares.assign(
        explained_by=np.where(most >= share, np.array([*names, ""], dtype=object)[best], ""),
        explained_share=np.where(most < 0, np.nan, most),
    )
    has_phenotype = shares["strength"] > MIN_STRENGTH
    for flag, groups in FLAGS.items():
        result[flag] = False
        for name in set(groups).intersection(names):
            most_left = np.maximum(MIN_STRENGTH, MAX_LEFT * shares["strength"])
            is_all = (shares[f"share_{name}"] >= share) & (shares[f"left_{name}"] <= most_left)
            result[flag] |= has_phenotype & is_all
    return result


def screen_ledger(screen: Screen, reader: CrossFittedReader, settings: Confounders) -> pd.DataFrame:
    """Return the ledger of the conditions of one screen.

    All wells are compared under the maps that were fitted without one fold of the controls, whose
    wells stand for those without effect. Wells that failed quality and wells without a single
    condition take no part.

    Raises
    ------
    DataError
        The alignment has no folds, so that its controls cannot be compared with other wells.
    """
    if not reader.num_folds:
        raise DataError(
            "confounders: the alignment was fitted on all controls (alignment.folds: 0), and such "
            "controls are not comparable with other wells.\n  To fix: set alignment.folds to 2 or "
            "more, and run again."
        )
    wells = screen.wells()
    held = [reader.read_held_out(experiment, 0) for experiment in screen.experiments]
    x = np.concatenate([each.vectors for each in held])
    usable = screen.usable()
    is_control = np.concatenate([each.is_control for each in held]) & usable
    is_tested = wells["role"].isin(PERTURBED_ROLES).to_numpy() & usable & ~is_control
    condition = np.where(is_tested, single_condition(wells["conditions"]), -1).astype(np.int64)
    groups = covariates(wells, screen.metrics())
    return ledger(explained_shares(x, groups, condition, is_control), share=settings.share)


def add_ledger(
    phenoprints: pd.DataFrame,
    ledgers: Mapping[str, pd.DataFrame],
    new_ids: Mapping[str, NDArray[np.int32]],
) -> pd.DataFrame:
    """Add `explained_by`, `explained_share` and the flags to the table of phenoprints.

    A condition of several screens takes its row from the screen with most wells, and has a flag
    only where each screen with a phenotype has it. Conditions that no screen tests have "" and NaN.
    """
    rows = [
        table.assign(condition_id=new_ids[screen][table["condition_id"].to_numpy()])
        for screen, table in ledgers.items()
    ]
    known = pd.concat(rows).sort_values("n", ascending=False, kind="stable")
    best = known.drop_duplicates("condition_id").set_index("condition_id")
    has_phenotype = known[known["strength"] > MIN_STRENGTH]
    ids = phenoprints["condition_id"].to_numpy()
    added = {
        "explained_by": best["explained_by"].reindex(ids).fillna("").to_numpy(dtype=object),
        "explained_share": best["explained_share"].reindex(ids).to_numpy(np.float64),
    }
    for flag in FLAGS:
        flags = has_phenotype.groupby("condition_id")[flag].all().reindex(ids)
        added[flag] = flags.eq(True).to_numpy(np.bool_)
    return phenoprints.assign(**added)
