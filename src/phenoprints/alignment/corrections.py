"""What an alignment does to each experiment: affine map, then position, then chromosome arm."""

# N wells · D features · K components · A arms

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Affine, Floats
from phenoprints.alignment.positions import PositionEffects, Positions


@dataclass(frozen=True)
class PositionCorrection:
    """Effects of plate, row and column, and where the wells of the experiment stand."""

    at: Positions
    effects: PositionEffects


@dataclass(frozen=True)
class ArmCorrection:
    """The arm of each well's gene, (N,) with -1 for none, and the offset of each arm (A, K)."""

    codes: NDArray[np.int16]
    offsets: Floats


@dataclass(frozen=True)
class Correction:
    """All that is done to one experiment.

    `affines` has one map per batch of the experiment, None for a batch that was skipped; where
    there are several, `batch_of_well` (N,) says which is whose.
    """

    affines: tuple[Affine | None, ...]
    batch_of_well: NDArray[np.int16] | None = None
    position: PositionCorrection | None = None
    arm: ArmCorrection | None = None

    def __call__(self, x: Floats, num_components: int) -> NDArray[np.float32]:
        """Return the aligned vectors (N, K) in float32; NaN in skipped batches."""
        y = self._affine(np.asarray(x, np.float32), num_components)
        if self.position is not None:
            y -= self.position.effects.of_wells(self.position.at)
        if self.arm is not None:
            cut = self.arm.codes >= 0
            y[cut] -= self.arm.offsets[self.arm.codes[cut]]
        return y

    def _affine(self, x: NDArray[np.float32], num_components: int) -> NDArray[np.float32]:
        if self.batch_of_well is None and self.affines[0] is not None:
            whole: NDArray[np.float32] = self.affines[0](x).astype(np.float32, copy=False)
            return whole
        y = np.full((len(x), num_components), np.nan, np.float32)
        if self.batch_of_well is not None:
            for batch, affine in enumerate(self.affines):
                rows = np.flatnonzero(self.batch_of_well == batch)
                if affine is not None:
                    y[rows] = affine(x[rows])
        return y
