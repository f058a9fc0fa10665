"""Read wells under the maps that were fitted without one fold of the controls."""

# N wells · M controls · D features · K components

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Floats
from phenoprints.alignment.corrections import Correction
from phenoprints.alignment.folds import HeldOut, HeldOutControls
from phenoprints.alignment.methods import Method
from phenoprints.alignment.positions import fit_positions, without_own
from phenoprints.alignment.shared import SharedPart
from phenoprints.alignment.statistics import ControlStatistics


@dataclass(frozen=True)
class FoldPart:
    """What is fitted over all batches without one fold.

    `shared` is None where no map is fitted, or too few controls were left;
    `arm_offsets` (A, K) belong to the arms of the plain alignment.
    """

    shared: SharedPart | None = None
    arm_offsets: Floats | None = None

    def arrays(self) -> dict[str, Floats]:
        """Return the arrays of the part, by name."""
        arrays = {} if self.shared is None else self.shared.arrays()
        if self.arm_offsets is not None:
            arrays["arm_offsets"] = self.arm_offsets
        return arrays

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Floats]) -> FoldPart:
        """Return the part that `arrays` describes."""
        shared = SharedPart.of_arrays(arrays) if "centre" in arrays else None
        return cls(shared, arrays.get("arm_offsets"))


@dataclass(frozen=True)
class CrossFit:
    """What is stored of the maps without each fold: their shared parts, and the held-out controls.

    The part of a batch is fitted anew when its wells are read, from its controls among them.
    `method` is None where nothing but positions is fitted on controls.
    """

    method: Method | None
    controls: Mapping[str, HeldOutControls]
    folds: Sequence[FoldPart]

    @property
    def num_folds(self) -> int:
        """Number of folds."""
        return len(self.folds)

    def read(
        self,
        experiment: str,
        fold: int,
        x: Floats,
        correction: Correction,
        *,
        own_positions: bool = False,
    ) -> HeldOut:
        """Return the wells x (N, D) of one experiment under the maps without `fold`.

        `correction` is that of the plain alignment: batches, positions and arms are those of it.
        With `own_positions`, effects of positions are fitted on all controls, and each control of
        the fold is corrected by those that were fitted without itself.
        """
        controls = self.controls[experiment]
        is_fitted = _mask(len(x), controls.rows[controls.fold != fold])
        own = controls.rows[controls.fold == fold]
        y = self._mapped(fold, x, is_fitted, correction.batch_of_well)
        if correction.position is not None:
            at = correction.position.at
            used = is_fitted | _mask(len(x), own) if own_positions else is_fitted
            effects = fit_positions(y, used, at)
            of_wells = effects.of_wells(at)
            if own_positions:
                of_wells[own] = without_own(y, own, effects, used, at)
            y -= of_wells
        offsets = self.folds[fold].arm_offsets
        if correction.arm is not None and offsets is not None:
            cut = correction.arm.codes >= 0
            y[cut] -= offsets[correction.arm.codes[cut]]
        y[is_fitted] = np.nan
        vectors = padded(y, controls.vectors.shape[1])
        return HeldOut(fold, vectors, _mask(len(x), own))

    def weighted_sums(
        self,
        experiment: str,
        fold: int,
        x: Floats,
        correction: Correction,
        weights: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weighted sums (A, K) of the wells x under the maps without `fold`, and of weights.

        `weights` (A, N) are 0 for wells whose vectors are not finite. Maps are affine, so sums of
        features are mapped in place of wells. Wells without a map are left out of both sums (A,).
        """
        controls = self.controls[experiment]
        is_fitted = _mask(len(x), controls.rows[controls.fold != fold])
        sums, used = np.zeros(1), np.zeros_like(weights)
        y = np.full((len(x), self._num_components(fold, x)), np.nan, np.float32)
        for rows, transform in self._maps(fold, x, is_fitted, correction.batch_of_well):
            used[:, rows] = weights[:, rows]
            sums = sums + _summed(transform, x[rows], weights[:, rows])
            if correction.position is not None:
                fitted = rows[is_fitted[rows]]
                y[fitted] = transform(x[fitted])
        if correction.position is not None:
            at = correction.position.at
            sums = sums - used @ fit_positions(y, is_fitted, at).of_wells(at)
        return sums, used.sum(axis=1)

    def _num_components(self, fold: int, x: Floats) -> int:
        shared = self.folds[fold].shared
        return x.shape[1] if shared is None else shared.num_components

    def _mapped(
        self,
        fold: int,
        x: Floats,
        is_fitted: NDArray[np.bool_],
        batch_of_well: NDArray[np.int16] | None,
    ) -> NDArray[np.float32]:
        y = np.full((len(x), self._num_components(fold, x)), np.nan, np.float32)
        for rows, transform in self._maps(fold, x, is_fitted, batch_of_well):
            y[rows] = transform(x[rows])
        return y

    def _maps(
        self,
        fold: int,
        x: Floats,
        is_fitted: NDArray[np.bool_],
        batch_of_well: NDArray[np.int16] | None,
    ) -> Iterator[tuple[NDArray[np.intp], Callable[[Floats], Floats]]]:
        """Yield the wells of every batch that has a map, and the map."""
        method, shared = self.method, self.folds[fold].shared
        if method is None:
            yield np.arange(len(x)), np.copy
        if method is None or shared is None:
            return
        codes = np.zeros(len(x), np.int16) if batch_of_well is None else batch_of_well
        for code in np.unique(codes):
            rows = np.flatnonzero(codes == code)
            controls = ControlStatistics.of_rows(x[rows[is_fitted[rows]]])
            if controls.num_wells >= method.limits.min_controls:
                part = method.batch_part(shared, shared.project(controls), np.float32)
                yield rows, partial(method.transform, shared=shared, part=part, dtype=np.float32)


def _summed(
    transform: Callable[[Floats], Floats], x: Floats, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted sums (A, K) of mapped rows: an affine map takes the mean to the mean."""
    total = weights.sum(axis=1)
    used = weights.any(axis=0)
    means = weights[:, used] @ x[used] / np.where(total > 0, total, 1)[:, None]
    sums: NDArray[np.float64] = total[:, None] * transform(means)
    return sums


def padded(y: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return y (N, K) with columns of 0 up to `width`: components that only other folds have."""
    if y.shape[1] == width:
        return y
    wide = np.zeros((len(y), width), np.float32)
    wide[:, : y.shape[1]] = y[:, :width]
    wide[np.isnan(y).any(axis=1)] = np.nan
    return wide


def _mask(num_wells: int, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    mask = np.zeros(num_wells, dtype=bool)
    mask[rows] = True
    return mask
