"""Combination of p-values of different experiments by Cauchy's distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phenoprints.foundations.errors import DataError


def combine_cauchy(
    p: ArrayLike,
    weights: ArrayLike | None = None,
    axis: int = -1,
    clip: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """One p-value per row of p-values, valid under any dependence as it becomes small.

    T = Σ w_i cot(π p_i), p = arctan2(1, T)/π, with weights that sum to 1 over the values present.

    Parameters
    ----------
    p : array of float in [0, 1]
        NaN is dropped and the weights of the others renormalised; all NaN gives NaN.
    weights : (m,) or an array shaped like p, optional
        At least 0; equal by default. One dimension goes along `axis`.
    axis : int
        The axis that is combined.
    clip : (low, high), optional
        Applied to p first. A 1 forces the result to 1, so permutation p-values need it.

    Raises
    ------
    DataError
        For p outside [0, 1], or weights that are negative, not finite, or all 0.

    Notes
    -----
    Liu and Xie 2020, doi:10.1080/01621459.2018.1554485. The cotangent is taken from the nearer
    end of [0, 1], so values near 1 keep their distance from it.

    Examples
    --------
    >>> round(float(combine_cauchy([0.01, 0.04, float("nan")])), 6)
    0.016008
    """
    p = np.moveaxis(np.asarray(p, dtype=np.float64), axis, -1)
    check_p_values(p)
    is_present = ~np.isnan(p)
    share = _shares(weights, axis, is_present)
    if clip is not None:
        p = np.clip(p, *clip)
    is_one = ((p == 1.0) & (share > 0)).any(axis=-1)
    # A p of 0 or 1 has an infinite cotangent: its weight must not be 0, nor the other's present.
    votes = (share > 0) & ~is_one[..., None]
    terms = share * _cotangent(np.where(votes, p, 0.5))
    result = np.where(is_one, 1.0, np.arctan2(1.0, terms.sum(axis=-1)) / np.pi)
    combined: NDArray[np.float64] = np.where(is_present.any(axis=-1), result, np.nan)[()]
    return combined


def check_p_values(p: NDArray[np.float64]) -> None:
    """Refuse p-values outside [0, 1]; NaN may pass."""
    is_strange = (p < 0) | (p > 1)
    if is_strange.any():
        example = p[is_strange].flat[0]
        raise DataError(f"p: {is_strange.sum()} values outside [0, 1], for example {example:g}.")


def _shares(
    weights: ArrayLike | None, axis: int, is_present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Weights that sum to 1 over the values present; 0 elsewhere."""
    given = np.ones(()) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.ndim > 1:
        given = np.moveaxis(given, axis, -1)
    share = np.where(is_present, given, 0.0)
    if not np.isfinite(share).all() or (share < 0).any():
        raise DataError("weights: some are negative or not finite. Expected at least 0.")
    total = share.sum(axis=-1, keepdims=True)
    if ((total == 0) & is_present.any(axis=-1, keepdims=True)).any():
        raise DataError("weights: all 0 for a row of p-values. Expected at least one above 0.")
    return share / np.where(total == 0, 1.0, total)


def _cotangent(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """cot(π p), from the nearer end of [0, 1]; infinite at 0 and -infinite at 1."""
    nearer = np.minimum(p, 1.0 - p)
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(p <= 0.5, 1.0, -1.0) / np.tan(np.pi * nearer)
