"""Typical variation normalisation: whiten each batch on its own controls, colour all alike."""

# N wells · D features · K components

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Affine, Floats
from phenoprints.alignment.methods import (
    DEFAULT_LIMITS,
    Components,
    ControlAlignment,
    Limits,
    principal_components,
)
from phenoprints.alignment.statistics import ControlStatistics, merge

RIDGE = 0.5
"""Added to the diagonal of every covariance before its inverse root (EFAAR_benchmarking)."""

THIN = 0.75
"""Up to so many wells per component, the root of a batch is had from its wells' own products."""

Maps = Iterator[tuple[str, Affine]]
Projected = Iterator[tuple[str, ControlStatistics]]
Dtype = type[np.floating[Any]]


@dataclass
class TypicalVariationNormalization(ControlAlignment):
    """TVN: standardise, PCA, standardise per batch, and CORAL per batch with re-colouring.

    With C = covariance of the controls + 0.5 I, over all batches and C_b in one, the last step is
    X_b C_b^(-1/2) C^(1/2), so that each batch's controls have mean 0 and the covariance
    C^(1/2) (I - C_b^(-1)/2) C^(1/2). `form="efaar-1.0"` standardises globally in step 3 and leaves
    the re-colouring out, so that offsets between batches survive: it stands here for comparison.
    Sources: Ando et al. 2017, doi:10.1101/161422; EFAAR_benchmarking, `tvn_on_controls`.
    """

    form: str = "current"
    ridge: float = RIDGE
    limits: Limits = DEFAULT_LIMITS

    def _share(self, total: ControlStatistics) -> Components:
        return principal_components(total, self.limits, standardize=True)

    def _maps(self, shared: Components, projected: Projected, dtype: Dtype) -> Maps:
        if self.form == "efaar-1.0":
            return self._whitened(shared, projected, dtype)
        return self._recoloured(shared, projected, dtype)

    def _whitened(self, shared: Components, projected: Projected, dtype: Dtype) -> Maps:
        assert shared.matrix is not None
        centre, batches = shared.centre.astype(dtype), list(projected)
        spread = merge(batch for _, batch in batches).scale()
        matrix = (shared.matrix / spread).astype(dtype)
        for name, batch in batches:
            root = InverseRoot.of(_standardised(batch, spread), self.ridge, dtype)
            yield name, Affine(centre, root.after(matrix), None, np.zeros(len(spread), dtype))

    def _recoloured(self, shared: Components, projected: Projected, dtype: Dtype) -> Maps:
        assert shared.matrix is not None
        centre, matrix = shared.centre.astype(dtype), shared.matrix.astype(dtype)
        pooled: NDArray[np.float64] | float = 0.0
        count, white = 0, {}
        for name, batch in projected:
            spread = batch.scale()
            own = _standardised(batch, spread)
            root = InverseRoot.of(own, self.ridge, dtype)
            pooled, count = pooled + own.scatter(), count + own.num_wells
            offset = -root.after(own.mean[None])[0]
            white[name] = root.after(matrix / spread.astype(dtype)), offset
        colour = _root(np.asarray(pooled) / max(count - 1, 1), self.ridge, 0.25).astype(dtype)
        for name in list(white):
            whitened, offset = white.pop(name)
            yield name, Affine(centre, whitened @ colour, None, (offset @ colour).astype(dtype))


@dataclass(frozen=True)
class InverseRoot:
    """R = (C + ridge I)^(-1/2) of a batch's covariance C, ready to be multiplied with.

    Either `dense` is R (K, K); or, with fewer wells than components, R = I/sqrt(ridge) - left @
    right, with left (K, N) and right (N, K), from the eigenvalues λ of the wells' own products:
    where Z are the deviations and Z Zᵀ/(N - 1) = W diag(λ) Wᵀ, left is Zᵀ and right is
    W diag(g) Wᵀ Z/(N - 1), g = (1/sqrt(ridge) - 1/sqrt(λ + ridge))/λ having no pole at λ = 0.
    """

    ridge: float
    dense: Floats | None = None
    left: Floats | None = None
    right: Floats | None = None

    @classmethod
    def of(cls, batch: ControlStatistics, ridge: float, dtype: Dtype) -> InverseRoot:
        """From the statistics of standardised controls; decompositions run in float64."""
        deviations, ddof1 = batch.deviations, max(batch.num_wells - 1, 1)
        if deviations is None:
            return cls(ridge, dense=_root(batch.covariance(), ridge, -0.25, dtype))
        values, vectors = np.linalg.eigh(deviations @ deviations.T / ddof1)
        low, high = np.sqrt(ridge), np.sqrt(np.maximum(values, 0) + ridge)
        thin = deviations.astype(dtype)
        gain = 1 / (low * high * (low + high) * ddof1)
        core = ((vectors * gain) @ vectors.T).astype(dtype)
        return cls(ridge, left=thin.T, right=core @ thin)

    def after(self, x: Floats) -> Floats:
        """The product x @ R of x (..., K)."""
        if self.dense is not None:
            return x @ self.dense
        assert self.left is not None
        assert self.right is not None
        return x * float(1 / np.sqrt(self.ridge)) - (x @ self.left) @ self.right


def _standardised(batch: ControlStatistics, spread: NDArray[np.float64]) -> ControlStatistics:
    """The batch divided by `spread`; its wells are kept only where they are far fewer than K."""
    own = batch.divided(spread)
    return own if own.num_wells <= THIN * len(spread) else own.summed()


def _root(
    covariance: NDArray[np.float64], ridge: float, half_power: float, dtype: Dtype = np.float64
) -> Floats:
    """(covariance + ridge I) to the power 2 · `half_power`, by eigenvalues."""
    values, vectors = np.linalg.eigh(covariance)
    half = (vectors * (np.maximum(values, 0) + ridge) ** half_power).astype(dtype)
    root: Floats = half @ half.T
    return root
