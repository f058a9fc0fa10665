"""Typical variation normalisation: whiten each batch on its own controls, colour all alike."""

# N wells · D features · K components

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Affine, Floats
from phenoprints.alignment.covariances import (
    DEFAULT_REGULARIZATION,
    InverseRoot,
    Regularization,
    factor,
    root,
)
from phenoprints.alignment.limits import DEFAULT_LIMITS, Limits
from phenoprints.alignment.methods import BatchPart, Dtype, Method, Projected, T
from phenoprints.alignment.shared import THIN, SharedPart, principal_components
from phenoprints.alignment.statistics import ControlStatistics, merge
from phenoprints.foundations.errors import DataError

TVN_VARIANTS = ("current", "efaar-1.0")


@dataclass(frozen=True)
class Whitened(BatchPart):
    """Standardise components by `spread`, take off `mean`, multiply with the inverse root.

    `mean` (K,) is None for `efaar-1.0`, which leaves the offset of a batch in place.
    """

    spread: Floats
    mean: Floats | None
    inverse_root: InverseRoot

    def rows(self, projected: Floats) -> Floats:
        """Return the whitened rows."""
        standardised = projected / self.spread.astype(projected.dtype, copy=False)
        if self.mean is not None:
            standardised -= self.mean.astype(projected.dtype, copy=False)
        return self.inverse_root.after(standardised)

    def affine(self, shared: SharedPart, dtype: Dtype) -> Affine:
        """Return the product of the shared matrix and the root, with its offset (K,)."""
        assert shared.matrix is not None
        centre = shared.centre.astype(dtype, copy=False)
        if self.mean is None:
            whitened = self.inverse_root.after((shared.matrix / self.spread).astype(dtype))
            return Affine(centre, whitened, None, np.zeros(len(self.spread), dtype))
        scaled = shared.matrix.astype(dtype, copy=False) / self.spread.astype(dtype)
        offset = -self.inverse_root.after(self.mean[None])[0]
        return Affine(centre, self.inverse_root.after(scaled), None, offset)


@dataclass(frozen=True)
class TypicalVariation(Method):
    """TVN: standardise, PCA, standardise per batch, and CORAL per batch with re-colouring.

    With C = regularised covariance of the controls, over all batches and C_b in one, the last step
    is X_b C_b^(-1/2) C^(1/2). `variant="efaar-1.0"` standardises globally in step 3 and leaves the
    re-colouring out. `reference_wells` is how many controls of a batch the stored C counts for in
    C_b, when a batch is fitted to a shared part that is complete. Sources: Ando et al. 2017,
    doi:10.1101/161422; EFAAR_benchmarking, `tvn_on_controls`.
    """

    variant: str = "current"
    regularization: Regularization = DEFAULT_REGULARIZATION
    limits: Limits = DEFAULT_LIMITS
    reference_wells: int = 0

    def __post_init__(self) -> None:
        if self.variant not in TVN_VARIANTS:
            raise DataError(
                f'alignment, tvn_variant: "{self.variant}"\n'
                f"  Expected one of {', '.join(TVN_VARIANTS)}."
            )

    def share(self, total: ControlStatistics) -> SharedPart:
        """Return the principal components of the standardised controls."""
        return principal_components(
            total,
            standardize=True,
            tolerance=self.limits.pca_tolerance,
            max_components=self.limits.max_components,
        )

    def batch_part(
        self, shared: SharedPart, projected: ControlStatistics, dtype: Dtype
    ) -> BatchPart:
        """Whiten a batch; the shared part of `efaar-1.0` must have its spread."""
        part, own = self._whiten(shared, projected, dtype)
        if not self.reference_wells or shared.colour is None:
            return part
        share = self.reference_wells / (self.reference_wells + own.num_wells)
        pulled = InverseRoot.towards(shared.colour, share, own, self.regularization, dtype)
        return replace(part, inverse_root=pulled)

    def for_new_batches(self, reference_wells: int) -> TypicalVariation:
        """Return the same method with another weight of the reference's covariance."""
        return replace(self, reference_wells=reference_wells)

    def fit_batches(
        self,
        shared: SharedPart,
        projected: Projected,
        dtype: Dtype,
        use: Callable[[str, BatchPart], T],
        *,
        only_inner: bool = False,
    ) -> tuple[SharedPart, dict[str, T]]:
        """Whiten every batch; add the colour (current) or the pooled spread (efaar-1.0)."""
        if self.variant == "efaar-1.0":
            batches = list(projected)
            shared = replace(shared, spread=merge(batch for _, batch in batches).scale())
            return shared, self.each_batch(shared, iter(batches), dtype, use)
        pooled, made = PooledScatter(dtype if only_inner else None), {}
        for name, batch in projected:
            part, own = self._whiten(shared, batch, dtype)
            pooled.add(own)
            made[name] = use(name, part)
        total = pooled.statistics()
        gain, ridge, divisor = self.regularization.of(total)
        pooled_covariance = total.scatter() / divisor
        if only_inner:
            return replace(shared, colour=factor(pooled_covariance, gain, ridge)), made
        return replace(shared, colour=root(pooled_covariance, gain, ridge, 0.25)), made

    def in_precision(self, shared: SharedPart, dtype: Dtype) -> SharedPart:
        """Return the shared part in `dtype`; `efaar-1.0` divides its matrix before rounding it."""
        return shared if self.variant == "efaar-1.0" else shared.astype(dtype)

    def _whiten(
        self, shared: SharedPart, projected: ControlStatistics, dtype: Dtype
    ) -> tuple[Whitened, ControlStatistics]:
        """One batch, and the statistics of its standardised controls."""
        is_current = shared.spread is None
        spread = projected.scale() if shared.spread is None else shared.spread
        own = _standardised(projected, spread)
        inverse = InverseRoot.of(own, self.regularization, dtype)
        return Whitened(spread, own.mean if is_current else None, inverse), own


class PooledScatter:
    """The scatter of batches, each about its own mean, as their standardised controls come in.

    Batches that still hold their wells are collected in `dtype` (None: added one by one, in
    float64) and multiplied together.
    """

    def __init__(self, dtype: Dtype | None = None) -> None:
        self.dtype = dtype
        self.num_wells = 0
        self.products: NDArray[np.float64] | float = 0.0
        self._rows: list[Floats] = []

    def add(self, batch: ControlStatistics) -> None:
        """Add one batch."""
        self.num_wells += batch.num_wells
        if self.dtype is None or batch.deviations is None:
            self.products = self.products + batch.scatter()
            return
        self._rows.append(batch.deviations.astype(self.dtype))
        if sum(map(len, self._rows)) > 4 * len(batch.mean):
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            rows = np.concatenate(self._rows)
            self.products = self.products + rows.T @ rows
            self._rows.clear()

    def statistics(self) -> ControlStatistics:
        """Return the statistics of all wells, whose means are 0."""
        self._flush()
        products = np.asarray(self.products, np.float64)
        return ControlStatistics(self.num_wells, np.zeros(len(products)), products=products)


def _standardised(batch: ControlStatistics, spread: Floats) -> ControlStatistics:
    """Return the batch divided by `spread`; its wells are kept only where they are far fewer than
    K.
    """
    own = batch.divided(spread)
    return own if own.num_wells <= THIN * len(spread) else own.summed()
