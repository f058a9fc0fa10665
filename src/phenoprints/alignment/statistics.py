"""What an alignment learns from the controls of a batch: how many, their mean, their scatter."""

# N wells · D features · K components

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_ROWS = 4096
"""Rows turned into float64 at a time, so that the copy stays small beside the data."""


@dataclass(frozen=True)
class ControlStatistics:
    """Count, mean (D,) and scatter (D, D) of control wells, in float64.

    The scatter is the sum of outer products of deviations from the mean; it never suffers from the
    cancellation of raw second moments.
    """

    num_wells: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of_rows(cls, x: NDArray[np.floating]) -> ControlStatistics:
        """The statistics of the rows of x (N, D); rows that are not wholly finite are left out.

        The scatter of a feature that does not vary is exactly 0.
        """
        chunks = (x[start : start + CHUNK_ROWS] for start in range(0, len(x), CHUNK_ROWS))
        total = merge((_of_chunk(chunk) for chunk in chunks), num_features=x.shape[1])
        constant = total.is_constant()
        total.scatter[constant] = 0
        total.scatter[:, constant] = 0
        return total

    def covariance(self, ddof: int = 1) -> NDArray[np.float64]:
        """The covariance (D, D) with the divisor num_wells - ddof."""
        return self.scatter / max(self.num_wells - ddof, 1)

    def is_constant(self) -> NDArray[np.bool_]:
        """Whether each feature varies no more than the rounding of its own variance.

        The rule is that of scikit-learn's StandardScaler.
        """
        variance, epsilon = self._variance(), np.finfo(np.float64).eps
        floor = self.num_wells * epsilon * variance + (self.num_wells * self.mean * epsilon) ** 2
        constant: NDArray[np.bool_] = variance <= floor
        return constant

    def scale(self) -> NDArray[np.float64]:
        """Standard deviations (D,), ddof 0; 1 for a feature that does not vary."""
        return np.where(self.is_constant(), 1.0, np.sqrt(self._variance()))

    def _variance(self) -> NDArray[np.float64]:
        variance: NDArray[np.float64] = np.diag(self.scatter) / max(self.num_wells, 1)
        return variance

    def projected(
        self, centre: NDArray[np.float64], matrix_DK: NDArray[np.float64]
    ) -> ControlStatistics:
        """The statistics of (x - centre) @ matrix; the scatter is symmetric up to rounding."""
        scatter = matrix_DK.T @ (self.scatter @ matrix_DK)
        return ControlStatistics(self.num_wells, (self.mean - centre) @ matrix_DK, scatter)


def _of_chunk(chunk: NDArray[np.floating]) -> ControlStatistics:
    rows = chunk[np.isfinite(chunk).all(axis=1)].astype(np.float64)
    if not len(rows):
        return _empty(chunk.shape[1])
    mean = rows.mean(axis=0)
    rows -= mean
    return ControlStatistics(len(rows), mean, rows.T @ rows)


def _empty(num_features: int) -> ControlStatistics:
    return ControlStatistics(0, np.zeros(num_features), np.zeros((num_features, num_features)))


def merge(parts: Iterable[ControlStatistics], *, num_features: int = 0) -> ControlStatistics:
    """The statistics of all wells of all parts (Chan, Golub, LeVeque 1983).

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
    scatter = a.scatter + b.scatter
    scatter += np.outer(shift, shift) * (a.num_wells * b.num_wells / count)
    return ControlStatistics(count, a.mean + shift * (b.num_wells / count), scatter)
