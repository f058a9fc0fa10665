"""Inverse square roots of regularised covariances, dense or from few wells."""

# N wells · K components

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Floats
from phenoprints.alignment.statistics import ControlStatistics
from phenoprints.foundations.errors import DataError

RIDGE = 0.5
"""Added to the diagonal of every covariance before its inverse root (EFAAR_benchmarking)."""

SHRINKAGES = ("ridge", "oas")

Dtype = type[np.floating[Any]]


@dataclass(frozen=True)
class Regularization:
    """Turn the sample covariance S of N wells into the matrix gain · S + ridge · I.

    `shrinkage` is `ridge` (S with ddof 1, gain 1, a fixed ridge) or `oas`, the oracle approximating
    shrinkage (Chen et al. 2010, doi:10.1109/TSP.2010.2053029, as in scikit-learn: S with ddof 0,
    gain 1 - ρ, ridge ρ · trace(S)/K with ρ from the data).
    """

    shrinkage: str = "ridge"
    ridge: float = RIDGE

    def __post_init__(self) -> None:
        if self.shrinkage not in SHRINKAGES:
            raise DataError(
                f'alignment, shrinkage: "{self.shrinkage}"\n'
                f"  Expected one of {', '.join(SHRINKAGES)}."
            )

    def of(self, wells: ControlStatistics) -> tuple[float, float, int]:
        """Return gain, ridge and the divisor of the scatter for the wells' covariance."""
        if self.shrinkage == "ridge":
            return 1.0, self.ridge, max(wells.num_wells - 1, 1)
        rho, mean_variance = oas_shrinkage(wells)
        return 1.0 - rho, rho * mean_variance, max(wells.num_wells, 1)


DEFAULT_REGULARIZATION = Regularization()


def oas_shrinkage(wells: ControlStatistics) -> tuple[float, float]:
    """Return the share ρ of the identity (0 to 1) and the mean variance, as scikit-learn's `oas`.

    The covariance has ddof 0. One component alone is not shrunk.
    """
    size = len(wells.mean)
    variance, square = wells.trace() / wells.num_wells / size, wells.squared_norm()
    if size == 1:
        return 0.0, variance
    mean_square = square / (wells.num_wells * size) ** 2
    above = mean_square + variance**2
    below = (wells.num_wells + 1) * (mean_square - variance**2 / size)
    return (1.0 if below == 0 else min(above / below, 1.0)), variance


@dataclass(frozen=True)
class InverseRoot:
    """R = (gain · S + ridge · I)^(-1/2) of a batch's covariance S, ready to be multiplied with.

    Either `dense` is R (K, K); or, with fewer wells than components, R = I/sqrt(ridge) - left @
    right, with left (K, N) and right (N, K), from the eigenvalues λ of the wells' own products:
    where Z are the deviations and Z Zᵀ/divisor = W diag(λ) Wᵀ, left is Zᵀ and right is
    W diag(g) Wᵀ Z/divisor, g = (1/sqrt(ridge) - 1/sqrt(gain λ + ridge))/λ having no pole at λ = 0.
    """

    ridge: float
    dense: Floats | None = None
    left: Floats | None = None
    right: Floats | None = None

    @classmethod
    def of(
        cls, batch: ControlStatistics, regularization: Regularization, dtype: Dtype
    ) -> InverseRoot:
        """Decompose the statistics of standardised controls; in float64, stored as `dtype`."""
        gain, ridge, divisor = regularization.of(batch)
        deviations = batch.deviations
        if deviations is None:
            covariance = batch.scatter() / divisor
            return cls(ridge, dense=root(covariance, gain, ridge, -0.25, dtype))
        values, vectors = np.linalg.eigh(deviations @ deviations.T / divisor)
        low, high = np.sqrt(ridge), np.sqrt(gain * np.maximum(values, 0) + ridge)
        thin = deviations.astype(dtype)
        weight = gain / (low * high * (low + high) * divisor)
        core = ((vectors * weight) @ vectors.T).astype(dtype)
        return cls(ridge, left=thin.T, right=core @ thin)

    @classmethod
    def towards(
        cls,
        colour: Floats,
        share: float,
        batch: ControlStatistics,
        regularization: Regularization,
        dtype: Dtype,
    ) -> InverseRoot:
        """Decompose (1 - share) · (gain · S + ridge · I) + share · colour², always dense."""
        gain, ridge, divisor = regularization.of(batch)
        mixed = (1 - share) * gain * batch.scatter() / divisor + share * colour @ colour
        return cls(ridge, dense=root(mixed, 1.0, (1 - share) * ridge, -0.25, dtype))

    def after(self, x: Floats) -> Floats:
        """Return the product x @ R of x (..., K)."""
        if self.dense is not None:
            return x @ self.dense
        assert self.left is not None
        assert self.right is not None
        return x * float(1 / np.sqrt(self.ridge)) - (x @ self.left) @ self.right


def factor(covariance: NDArray[np.float64], gain: float, ridge: float) -> Floats:
    """Return a matrix M with M @ M.T = gain · covariance + ridge · I, the cheapest one.

    Cholesky's factor takes a tenth of the time of the symmetric root, which stands in where the sum
    is singular. Lengths and cosines of rows x @ M are those of x @ root.
    """
    total = gain * covariance
    total[np.diag_indices_from(total)] += ridge
    try:
        return np.linalg.cholesky(total)
    except np.linalg.LinAlgError:
        return root(covariance, gain, ridge, 0.25)


def root(
    covariance: NDArray[np.float64],
    gain: float,
    ridge: float,
    half_power: float,
    dtype: Dtype = np.float64,
) -> Floats:
    """Return (gain · covariance + ridge · I) to the power 2 · `half_power`, by eigenvalues."""
    values, vectors = np.linalg.eigh(covariance)
    half = (vectors * (gain * np.maximum(values, 0) + ridge) ** half_power).astype(dtype)
    result: Floats = half @ half.T
    return result
