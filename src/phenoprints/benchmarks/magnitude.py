"""How far a perturbation lies from the controls: the energy distance."""

# N wells of a perturbation · M control wells · K components · G perturbations

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled
from phenoprints.foundations.errors import DataError

Floats = NDArray[np.floating]

MIN_WELLS = 5
"""A perturbation needs so many wells (EFAAR_benchmarking)."""

BLOCK_ROWS = 512
"""Wells whose distances to all controls exist at a time."""


def energy_distance(x: Floats, y: Floats, *, unbiased: bool = False) -> float:
    """Compute the energy distance 2 E|x-y| - E|x-x'| - E|y-y'| of rows (N, K) and (M, K).

    By default the V-statistic: means over all pairs, zero diagonals included, never negative, and
    biased upwards in small sets. `unbiased` leaves the diagonals out (the U-statistic), which is 0
    on average where both sets come from one distribution. Rows that are not finite are left out.

    Raises
    ------
    DataError
        A set without rows, or with one for the unbiased form.

    Source: Székely & Rizzo 2013, doi:10.1016/j.jspi.2013.03.018.
    """
    x, y = _finite(x), _finite(y)
    smallest = 2 if unbiased else 1
    if min(len(x), len(y)) < smallest:
        raise DataError(
            f"energy distance: sets of {len(x)} and {len(y)} rows. Expected at least {smallest}."
        )
    groups = np.zeros(len(x), np.int64)
    table = energy_distances(x, groups, y, min_wells=smallest)
    return float(table["unbiased" if unbiased else "energy_distance"].iloc[0])


def energy_distances(
    x: Floats, group: NDArray[np.integer], controls: Floats, *, min_wells: int = MIN_WELLS
) -> pd.DataFrame:
    """Return the energy distance of every group of rows of x (N, K) from the controls (M, K).

    `group` (N,) numbers the groups from 0; -1 is none. All rows are centred on the control mean
    first, squared distances are clamped at 0 and the diagonals set to 0.

    Returns
    -------
    One row per group, in order: group, num_wells, energy_distance (V-statistic), unbiased
    (U-statistic); NaN for groups with fewer than `min_wells` finite rows.
    """
    controls = _finite(controls)
    if not len(controls):
        raise DataError("energy distance: no control well has a usable embedding.")
    centre = controls.mean(axis=0, dtype=np.float64).astype(controls.dtype)
    y, num_groups = controls - centre, int(group.max(initial=-1)) + 1
    is_finite = np.isfinite(np.einsum("nk->n", x, dtype=np.float64))
    usable = np.flatnonzero((group >= 0) & is_finite)
    order = usable[np.argsort(group[usable], kind="stable")]
    rows, code = x[order], group[order]
    rows -= centre.astype(x.dtype)
    counts = np.bincount(code, minlength=num_groups)
    sums = _row_sums(rows, y)
    to_controls = np.bincount(code, weights=sums, minlength=num_groups).astype(np.float64)
    within = _within_sums(rows, counts)
    among = float(_row_sums(y, y, is_same=True).sum())
    return _table(counts.astype(np.float64), to_controls, within, among, len(y), min_wells)


def _table(
    n: NDArray[np.float64],
    to_controls: NDArray[np.float64],
    within: NDArray[np.float64],
    among: float,
    num_controls: int,
    min_wells: int,
) -> pd.DataFrame:
    m = float(num_controls)
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = 2 * to_controls / (n * m)
        biased = cross - within / n**2 - among / m**2
        unbiased = cross - within / (n * (n - 1)) - (among / (m * (m - 1)) if m > 1 else np.nan)
    enough = n >= min_wells
    return pd.DataFrame(
        {
            "group": np.arange(len(n)),
            "num_wells": n.astype(np.int32),
            "energy_distance": np.where(enough, biased, np.nan),
            "unbiased": np.where(enough & (n > 1), unbiased, np.nan),
        }
    )


def distances(x: Floats, y: Floats, *, is_same: bool = False) -> NDArray[np.float64]:
    """Compute the distances (N, M) between rows, in float64; 0 of a row to itself if `is_same`."""
    centre = y.mean(axis=0, dtype=np.float64)
    x, y = x - centre, y - centre
    squared = np.einsum("nk,nk->n", x, x)[:, None] + np.einsum("mk,mk->m", y, y) - 2 * (x @ y.T)
    lengths: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0))
    if is_same:
        np.fill_diagonal(lengths, 0)
    return lengths


def magnitude_summary(values: Sequence[float]) -> tuple[float, float, int]:
    """Mean, median absolute deviation (scale 1) and number of the finite values."""
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return float("nan"), float("nan"), 0
    deviation = float(np.median(np.abs(finite - np.median(finite))))
    return float(finite.mean()), deviation, len(finite)


def _finite(x: Floats) -> Floats:
    rows: Floats = np.asarray(x)[np.isfinite(x).all(axis=1)]
    return rows


@compiled(fastmath={"nnan", "nsz", "reassoc"})
def _sums_of_roots(
    products: Floats, own: Floats, others: Floats, skip: int, sums: NDArray[np.float64]
) -> None:
    """Sum the roots of own[i] + others[j] + products[i, j] over j; negative terms count as 0.

    The entry (i, skip + i) is left out where skip >= 0, and overwritten. Sums run in float64;
    `fastmath` lets them run in several lanes.
    """
    for i in range(products.shape[0]):
        if skip >= 0:
            products[i, skip + i] = -np.inf
        total = 0.0
        for j in range(products.shape[1]):
            total += np.sqrt(max(own[i] + others[j] + products[i, j], np.float32(0.0)))
        sums[i] = total


def _row_sums(x: Floats, y: Floats, *, is_same: bool = False) -> NDArray[np.float64]:
    """Return the sum of the distances of each row of x to all rows of y; zero to itself if
    `is_same`.
    """
    right = np.ascontiguousarray(-2 * y.T)
    own, others = (np.einsum("nk,nk->n", rows, rows) for rows in (x, y))
    sums = np.empty(len(x))
    for start in range(0, len(x), BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, len(x))
        skip = start if is_same else -1
        _sums_of_roots(x[start:stop] @ right, own[start:stop], others, skip, sums[start:stop])
    return sums


def _within_sums(rows: Floats, counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the sum of all distances within each group; rows are sorted by group.

    Groups of one size are worked on together, as one stack of small matrices.
    """
    sums = np.zeros(len(counts))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    for size in np.unique(counts[counts > 1]):
        groups = np.flatnonzero(counts == size)
        step = max(1, BLOCK_ROWS // int(size))
        for first in range(0, len(groups), step):
            some = groups[first : first + step]
            stack = rows[starts[some][:, None] + np.arange(size)]
            lengths = np.einsum("gnk,gnk->gn", stack, stack)
            squared = lengths[:, :, None] + lengths[:, None] - 2 * (stack @ stack.swapaxes(1, 2))
            np.maximum(squared, 0, out=squared)
            squared[:, np.arange(size), np.arange(size)] = 0
            sums[some] = np.sqrt(squared).sum(axis=(1, 2), dtype=np.float64)
    return sums
