"""What an alignment learns from the controls of a batch: how many, their mean, their scatter."""

# N wells · D features · K components

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_ROWS = 4096
"""Rows turned into float64 at a time (or as many as features), so that the copy stays small."""

ROUNDING = 64
"""A variance that falls below so many roundings of what it was is what rounding has left of 0."""

PANEL = 128
"""Columns of a symmetric product that are computed at a time."""


@dataclass(frozen=True)
class ControlStatistics:
    """Count and mean (D,) of control wells and how they scatter around it, in float64.

    Fewer wells than features keep their `deviations` from the mean (N, D), which are smaller than
    what they sum to; of more, only the sum of their outer products is kept (`products`, (D, D)).
    Neither suffers from the cancellation of raw second moments.
    """

    num_wells: int
    mean: NDArray[np.float64]
    deviations: NDArray[np.float64] | None = None
    products: NDArray[np.float64] | None = None

    @classmethod
    def of_rows(cls, x: NDArray[np.floating]) -> ControlStatistics:
        """Return statistics of the rows of x (N, D); rows that are not wholly finite are left out.

        The scatter of a feature that does not vary is exactly 0.
        """
        num_rows, num_features = x.shape
        step = max(num_features, CHUNK_ROWS)
        chunks = (x[start : start + step] for start in range(0, num_rows, step))
        total = merge((_of_chunk(chunk) for chunk in chunks), num_features=num_features)
        constant = total.is_constant()
        if total.deviations is not None:
            total.deviations[:, constant] = 0
        else:
            total.scatter()[constant] = 0
            total.scatter()[:, constant] = 0
        return total

    def scatter(self) -> NDArray[np.float64]:
        """Return the sum of the outer products of the deviations (D, D)."""
        if self.deviations is not None:
            own: NDArray[np.float64] = self.deviations.T @ self.deviations
            return own
        assert self.products is not None
        return self.products

    def summed(self) -> ControlStatistics:
        """Return the same, with the sum of the products of the deviations instead of these."""
        return ControlStatistics(self.num_wells, self.mean, products=self.scatter())

    def covariance(self, ddof: int = 1) -> NDArray[np.float64]:
        """Return the covariance (D, D) with the divisor num_wells - ddof."""
        return self.scatter() / max(self.num_wells - ddof, 1)

    def trace(self) -> float:
        """Return the sum of the squared deviations, over all wells and features."""
        if self.deviations is not None:
            return float(np.vdot(self.deviations, self.deviations))
        return float(np.trace(self.scatter()))

    def squared_norm(self) -> float:
        """Return the squared Frobenius norm of the scatter, by the smaller of its two forms."""
        if self.deviations is not None:
            products = self.deviations @ self.deviations.T
        else:
            products = self.scatter()
        return float(np.vdot(products, products))

    def without(self, part: ControlStatistics) -> ControlStatistics:
        """Return the statistics of the wells that are not in `part`, which must be among these.

        The scatter loses at most the digits by which the part's exceeds the rest's.
        """
        count = self.num_wells - part.num_wells
        if not part.num_wells or not count:
            return self if count else _empty(len(self.mean))
        shift = (self.mean - part.mean) * (part.num_wells / count)
        products = self.scatter() - part.scatter()
        back = shift * np.sqrt(count * self.num_wells / part.num_wells)
        products -= np.outer(back, back)
        before = self.num_wells * np.diag(self.scatter())
        vanished = np.diag(products) <= ROUNDING * np.finfo(np.float64).eps * before
        products[vanished] = 0
        products[:, vanished] = 0
        return ControlStatistics(count, self.mean + shift, products=products)

    def is_constant(self) -> NDArray[np.bool_]:
        """Whether each feature varies no more than the rounding of its own variance.

        The rule is that of scikit-learn's StandardScaler.
        """
        variance, epsilon = self._variance(), np.finfo(np.float64).eps
        floor = self.num_wells * epsilon * variance + (self.num_wells * self.mean * epsilon) ** 2
        constant: NDArray[np.bool_] = variance <= floor
        return constant

    def scale(self) -> NDArray[np.float64]:
        """Return standard deviations (D,), ddof 0; 1 for a feature that does not vary."""
        return np.where(self.is_constant(), 1.0, np.sqrt(self._variance()))

    def _variance(self) -> NDArray[np.float64]:
        if self.deviations is not None:
            squares = np.einsum("nd,nd->d", self.deviations, self.deviations)
        else:
            squares = np.diag(self.scatter())
        variance: NDArray[np.float64] = squares / max(self.num_wells, 1)
        return variance

    def projected(
        self, centre: NDArray[np.floating], matrix_DK: NDArray[np.floating]
    ) -> ControlStatistics:
        """Return the statistics of (x - centre) @ matrix."""
        mean = (self.mean - centre) @ matrix_DK
        if self.deviations is not None:
            return ControlStatistics(self.num_wells, mean, self.deviations @ matrix_DK)
        products = _congruent(self.scatter(), matrix_DK)
        return ControlStatistics(self.num_wells, mean, products=products)

    def divided(self, scale: NDArray[np.floating]) -> ControlStatistics:
        """Return the statistics of x / scale."""
        mean = self.mean / scale
        if self.deviations is not None:
            return ControlStatistics(self.num_wells, mean, self.deviations / scale)
        products = self.scatter() / np.outer(scale, scale)
        return ControlStatistics(self.num_wells, mean, products=products)


def _congruent(
    symmetric_DD: NDArray[np.float64], matrix_DK: NDArray[np.floating]
) -> NDArray[np.float64]:
    """matrix.T @ symmetric @ matrix (K, K): one triangle is computed, the other mirrored."""
    right = symmetric_DD @ matrix_DK
    size = matrix_DK.shape[1]
    product = np.empty((size, size))
    for start in range(0, size, PANEL):
        stop = start + PANEL
        product[start:, start:stop] = matrix_DK[:, start:].T @ right[:, start:stop]
        product[start:stop, stop:] = product[stop:, start:stop].T
    return product


def _of_chunk(chunk: NDArray[np.floating]) -> ControlStatistics:
    rows = chunk[np.isfinite(chunk).all(axis=1)].astype(np.float64)
    num_rows, num_features = rows.shape
    mean = rows.mean(axis=0) if num_rows else np.zeros(num_features)
    rows -= mean
    if num_rows <= num_features:
        return ControlStatistics(num_rows, mean, rows)
    return ControlStatistics(num_rows, mean, products=rows.T @ rows)


def _empty(num_features: int) -> ControlStatistics:
    nothing = np.zeros((num_features, num_features))
    return ControlStatistics(0, np.zeros(num_features), products=nothing)


def merge(parts: Iterable[ControlStatistics], *, num_features: int = 0) -> ControlStatistics:
    """Return the statistics of all wells of all parts (Chan, Golub, LeVeque 1983).

    `num_features` is the width of the result where there is no part.
    """
    total = None
    for part in parts:
        total = part if total is None else _added(total, part)
    return _empty(num_features) if total is None else total


def _added(a: ControlStatistics, b: ControlStatistics) -> ControlStatistics:
    count = a.num_wells + b.num_wells
    if not count:
        return a
    shift = b.mean - a.mean
    products = a.scatter() + b.scatter()
    products += np.outer(shift, shift) * (a.num_wells * b.num_wells / count)
    mean = a.mean + shift * (b.num_wells / count)
    return ControlStatistics(count, mean, products=products)
