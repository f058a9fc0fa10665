"""Estimate what a plan needs from a pilot: noise of wells, plates and positions, and effects."""

# N wells · K components · C conditions · G lengths of a grid · B bootstrap samples

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.consistency.power import EFFECT_LENGTHS, deconvolve
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import generator
from phenoprints.simulation import Noise
from phenoprints.wells import PERTURBED_ROLES, single_condition, single_position

Floats = NDArray[np.float64]

MAX_FACTORS = 16
"""Correlated directions of a covariance; the rest of it is diagonal."""

BOOTSTRAPS, MIN_CONDITIONS = 40, 20


@dataclass(frozen=True)
class Effects:
    """The distribution of effect lengths over conditions.

    Attributes
    ----------
    lengths
        (G,) grid, in units of the root mean squared well noise; the first is 0.
    share
        (G,) share of conditions of each length.
    samples
        (B, G) the same for resampled conditions: their spread is the uncertainty of the pilot.
    directions
        Distribution of effects, of which only directions are used.
    """

    lengths: Floats
    share: Floats
    samples: Floats
    directions: Noise

    @property
    def active(self) -> tuple[float, float, float]:
        """The share of conditions with an effect above 0, and its 90 % interval."""
        low, high = np.quantile(1.0 - self.samples[:, 0], [0.05, 0.95])
        return float(1.0 - self.share[0]), float(low), float(high)


@dataclass(frozen=True)
class Pilot:
    """Noise and effects, as estimated from a pilot or as assumed.

    Attributes
    ----------
    well
        Noise of wells of one plate, in aligned space.
    plate, position, experiment
        Root mean squared lengths of further effects, in units of the well noise: offsets of
        plates, of positions (the same on all plates) and of experiments.
    intervals
        90 % interval of each of these lengths.
    effects
        The conditions' effects.
    assumed
        Names of components that were not estimated.
    num_wells, num_conditions
        What it was estimated from; 0 where all is assumed.
    """

    well: Noise
    effects: Effects
    plate: float = 0.0
    position: float = 0.0
    experiment: float = 1.0
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    assumed: tuple[str, ...] = ("experiment",)
    num_wells: int = 0
    num_conditions: int = 0

    @property
    def noise_length(self) -> float:
        """Root mean squared length of the noise of a well."""
        return float(np.sqrt(np.trace(self.well.covariance())))


def assumed_pilot(
    *,
    features: int = 64,
    plate: float = 0.3,
    position: float = 0.1,
    experiment: float = 1.0,
    active: float = 0.3,
    effect: float = 1.5,
    seed: int = 0,
) -> Pilot:
    """Return a pilot of stated assumptions.

    Parameters
    ----------
    features
        Components of the aligned vectors.
    plate, position, experiment
        Lengths of these effects in units of the well noise.
    active
        Share of the conditions with an effect, of which half are longer than `effect` (log-normal
        with a standard deviation of 0.5).
    seed
        Of the covariance of the noise.
    """
    if not 0 <= active <= 1 or effect <= 0:
        raise DataError(
            f"plan: active {active} and effect {effect}. Expected a share, and a length above 0."
        )
    share = np.exp(-0.5 * (np.log(EFFECT_LENGTHS[1:] / effect) / 0.5) ** 2)
    share = np.concatenate([[1.0 - active], active * share / share.sum()])
    noise = Noise.of(features, seed)
    return Pilot(
        noise, Effects(EFFECT_LENGTHS, share, share[None], noise), plate, position, experiment,
        assumed=("well", "plate", "position", "experiment", "effects"),
    )  # fmt: skip


def estimate_pilot(
    wells: pd.DataFrame,
    vectors: NDArray[np.floating],
    *,
    seed: int = 0,
    bootstraps: int = BOOTSTRAPS,
) -> Pilot:
    """Estimate noise and effects from aligned vectors of a screen (method of moments).

    Residuals of treated wells from the mean of their condition contain the noise of wells, the
    offsets of plates and, where conditions move, of positions. Means of residuals over a plate
    (and then over a position), less the share of the well noise in them, give the covariance of
    these offsets. The squared length of a condition's effect is estimated by the mean product of
    its wells on different plates, which holds neither noise nor plates, and the distribution of
    lengths is deconvolved from these estimates by maximum likelihood on a grid.

    Parameters
    ----------
    wells
        Wells table, in the order of `vectors`.
    vectors
        (N, K) aligned vectors; rows with NaN are left out.
    seed, bootstraps
        Of the resampled conditions, and how many samples.

    Raises
    ------
    DataError
        Fewer than 20 conditions have two wells, or there are no controls.
    """
    if not (wells["role"].isin(["negative_control", "unperturbed"])).any():
        raise DataError(
            "plan: the pilot has no control wells, and its vectors cannot be aligned.\n"
            "  To fix: name the controls, or state assumptions instead of a pilot."
        )
    condition = single_condition(wells["conditions"])
    usable = np.isfinite(vectors).all(axis=1) & (condition >= 0)
    usable &= wells["role"].isin(PERTURBED_ROLES).to_numpy()
    own = wells[usable].reset_index(drop=True)
    x, code = vectors[usable].astype(np.float64), condition[usable]
    repeated = np.isin(code, np.flatnonzero(np.bincount(code) > 1)) if len(code) else usable[:0]
    own, x, code = own[repeated], x[repeated], np.unique(code[repeated], return_inverse=True)[1]
    if len(np.unique(code)) < MIN_CONDITIONS:
        raise DataError(
            f"plan: {len(np.unique(code))} conditions of the pilot have two wells with vectors. "
            f"Expected at least {MIN_CONDITIONS}.\n"
            "  To fix: take a pilot with replicates, or state assumptions."
        )
    plate = own.groupby(["experiment", "plate"], sort=True).ngroup().to_numpy()
    place = own.groupby(["row", "column"], sort=True).ngroup().to_numpy()
    size = np.bincount(code)[code]
    residual = (x - _means(x, code)[code]) * np.sqrt(size / (size - 1.0))[:, None]
    well, plate_length, plate_interval = _offsets(residual, plate)
    moved = not single_position(own, pd.Series(code)).all()
    _, position_length, position_interval = _offsets(
        residual - _means(residual, plate)[plate], place
    )
    noise = low_rank(well)
    one_plate = len(np.unique(plate)) < 2
    assumed = ["experiment", *(["plate"] if one_plate else []), *([] if moved else ["position"])]
    return Pilot(
        noise,
        _effects(x, code, plate, well, (seed, bootstraps)),
        0.3 if one_plate else plate_length,
        position_length if moved else 0.1,
        intervals={
            **({} if one_plate else {"plate": plate_interval}),
            **({"position": position_interval} if moved else {}),
        },
        assumed=tuple(assumed),
        num_wells=len(own),
        num_conditions=int(code.max()) + 1,
    )


def _means(x: Floats, code: NDArray[np.int64]) -> Floats:
    sums = np.zeros((int(code.max(initial=-1)) + 1, x.shape[1]))
    np.add.at(sums, code, x)
    return sums / np.maximum(np.bincount(code), 1)[:, None]


def _offsets(
    residual: Floats, level: NDArray[np.int64]
) -> tuple[Floats, float, tuple[float, float]]:
    """Return the covariance inside levels, and the length of their offsets with its interval."""
    means = _means(residual, level)
    size = np.bincount(level)
    inside = residual - means[level]
    degrees = max(len(residual) - len(size), 1)
    within = inside.T @ inside / degrees
    trace = float(np.trace(within))
    chosen = size > 1
    squared = np.square(means[chosen]).sum(axis=1) - trace / size[chosen]
    if not chosen.any():
        return within, 0.0, (0.0, 0.0)
    mean = squared.mean() / trace
    error = squared.std(ddof=min(1, len(squared) - 1)) / np.sqrt(len(squared)) / trace
    low, middle, high = (
        float(np.sqrt(max(value, 0.0)))
        for value in (mean - 1.64 * error, mean, mean + 1.64 * error)
    )
    return within, middle, (low, high)


def low_rank(covariance: Floats) -> Noise:
    """Return a normal distribution of this covariance (K, K): its main directions, and a diagonal.

    At most 16 directions; variances below 0 are cut to 0.
    """
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1][: min(MAX_FACTORS, len(values) - 1)]
    floor = np.median(values).clip(0.0)
    strength = np.sqrt(np.maximum(values[order] - floor, 0.0))
    loadings = strength[:, None] * vectors[:, order].T
    rest = np.maximum(np.diag(covariance) - np.square(loadings).sum(axis=0), 0.0)
    return Noise(loadings.astype(np.float32), np.sqrt(rest).astype(np.float32))


def _effects(
    x: Floats, code: NDArray[np.int64], plate: NDArray[np.int64], well: Floats, key: tuple[int, int]
) -> Effects:
    estimate, error = _squared_lengths(x, code, plate, well)
    known = np.isfinite(estimate)
    share = deconvolve(estimate[known], error[known])
    seed, bootstraps = key
    rng = generator(seed, "planning", "bootstrap")
    rows = rng.integers(0, known.sum(), (bootstraps, int(known.sum())))
    samples = [deconvolve(estimate[known][row], error[known][row]) for row in rows]
    means = _means(x, code)
    size = np.bincount(code)
    between = np.cov(means.T) - well * np.mean(1.0 / size)
    return Effects(EFFECT_LENGTHS, share, np.stack(samples), low_rank(between))


def _squared_lengths(
    x: Floats, code: NDArray[np.int64], plate: NDArray[np.int64], well: Floats
) -> tuple[Floats, Floats]:
    """Return δ² of each condition, and the number of its pairs of wells on different plates.

    Where a condition has no such pair, its pairs on one plate are taken.
    """
    trace = float(np.trace(well))
    num = int(code.max()) + 1
    estimate, pairs = np.full(num, np.nan), np.zeros(num)
    order = np.argsort(code, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
    for c, rows in enumerate(groups):
        products = x[rows] @ x[rows].T
        apart = plate[rows][:, None] != plate[rows]
        if not apart.any():
            apart = ~np.eye(len(rows), dtype=bool)
        estimate[c] = products[apart].mean() / trace
        pairs[c] = apart.sum() / 2
    concentration = float(np.square(well).sum()) / trace**2
    return estimate, np.sqrt(concentration / pairs)
