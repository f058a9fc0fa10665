"""Read wells under the maps that were fitted without one fold of the controls."""

# N wells · M controls · D features · K components

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Floats
from phenoprints.alignment.folds import HeldOut, HeldOutControls
from phenoprints.alignment.methods import Method
from phenoprints.alignment.positions import Positions, fit_positions
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
        batch_of_well: NDArray[np.int16] | None,
        at: Positions | None,
    ) -> HeldOut:
        """Return the wells x (N, D) of one experiment under the maps without `fold`.

        `at` are the positions of the wells where effects of position are removed, else None.
        """
        controls = self.controls[experiment]
        is_fitted = _mask(len(x), controls.rows[controls.fold != fold])
        y = self._mapped(fold, x, is_fitted, batch_of_well)
        if at is not None:
            y -= fit_positions(y, is_fitted, at).of_wells(at)
        y[is_fitted] = np.nan
        vectors = padded(y, controls.vectors.shape[1])
        return HeldOut(fold, vectors, _mask(len(x), controls.rows[controls.fold == fold]))

    def _mapped(
        self,
        fold: int,
        x: Floats,
        is_fitted: NDArray[np.bool_],
        batch_of_well: NDArray[np.int16] | None,
    ) -> NDArray[np.float32]:
        if self.method is None:
            return np.array(x, np.float32)
        shared = self.folds[fold].shared
        if shared is None:
            return np.full(x.shape, np.nan, np.float32)
        y = np.full((len(x), shared.num_components), np.nan, np.float32)
        codes = np.zeros(len(x), np.int16) if batch_of_well is None else batch_of_well
        for code in np.unique(codes):
            rows = np.flatnonzero(codes == code)
            statistics = ControlStatistics.of_rows(x[rows[is_fitted[rows]]])
            if statistics.num_wells >= self.method.limits.min_controls:
                y[rows] = self.method.fit_batch(shared, statistics, np.float32)(x[rows])
        return y


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
