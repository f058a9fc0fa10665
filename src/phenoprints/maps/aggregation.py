"""One vector per perturbation: spherical mean, mean or median of its wells."""

# N wells · K components · G groups

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.floating]

MEDIAN_ROWS = 2048
"""Rows whose medians are taken together: groups of one size, as one stack."""


def unit_rows(x: Floats) -> Floats:
    """Rows of length 1; a row of length 0 becomes NaN, since it has no direction."""
    length = np.sqrt(np.einsum("nk,nk->n", x, x, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        unit: Floats = x * (1 / np.where(length > 0, length, np.nan))[:, None].astype(x.dtype)
    return unit


def group_sums(x: Floats, code: NDArray[np.integer], num_groups: int) -> NDArray[np.float64]:
    """Return the sum of the rows of each group (G, K) in float64; rows of code -1 are left out."""
    rows = np.flatnonzero(code >= 0)
    shape = (num_groups, len(x))
    chooser = sparse.csr_array((np.ones(len(rows)), (code[rows], rows)), shape=shape)
    sums: NDArray[np.float64] = chooser @ x
    return sums


def group_medians(x: Floats, code: NDArray[np.integer], num_groups: int) -> NDArray[np.float64]:
    """Return the component-wise median of each group (G, K); NaN for a group without rows."""
    medians = np.full((num_groups, x.shape[1]), np.nan)
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(num_groups + 1))
    counts = np.diff(starts)
    for size in np.unique(counts[counts > 0]):
        groups = np.flatnonzero(counts == size)
        step = max(1, MEDIAN_ROWS // int(size))
        for first in range(0, len(groups), step):
            some = groups[first : first + step]
            rows = order[starts[some][:, None] + np.arange(size)]
            medians[some] = np.median(x[rows], axis=1)
    return medians


def aggregate(
    x: Floats, code: NDArray[np.integer], num_groups: int, *, how: str = "spherical-mean"
) -> NDArray[np.float64]:
    """One vector per group (G, K); groups without a usable row are NaN.

    x (N, K) lies around the origin; rows that are not finite are left out, and by the spherical
    mean rows of length 0 as well.
    """
    if how == "spherical-mean":
        x = unit_rows(x)
    code = np.where(np.isfinite(x).all(axis=1), code, -1)
    if how == "median":
        return group_medians(x, code, num_groups)
    finite = np.where((code >= 0)[:, None], x, 0)
    counts = np.bincount(code[code >= 0], minlength=num_groups)
    return finish_means(group_sums(finite, code, num_groups), counts, how=how)


def finish_means(
    sums: NDArray[np.float64], counts: NDArray[np.integer], *, how: str
) -> NDArray[np.float64]:
    """Means from sums and counts, of length 1 for the spherical mean; NaN where nothing counted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums / np.where(counts > 0, counts, np.nan)[:, None]
    return unit_rows(means).astype(np.float64) if how == "spherical-mean" else means
