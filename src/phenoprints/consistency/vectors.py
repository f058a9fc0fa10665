"""Embeddings as the consistency test reads them: rows of a matrix with their inverse norms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phenoprints.consistency import kernels


@dataclass(frozen=True)
class Vectors:
    """Embeddings (N, D) with their inverse norms (NaN: not finite, infinite: zero)."""

    x: NDArray[np.floating]
    inverse_norm: NDArray[np.float64]

    @classmethod
    def of(cls, x: NDArray[np.floating]) -> Vectors:
        """Wrap a matrix; anything but float32 becomes float64."""
        x = np.ascontiguousarray(x, dtype=np.float32 if x.dtype == np.float32 else np.float64)
        return cls(x, kernels.inverse_norms(x))

    @property
    def matrix(self) -> kernels.Matrix:
        """The vectors for the compiled loops."""
        return kernels.Matrix(self.x, self.inverse_norm)

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Whether each row has a direction."""
        return np.isfinite(self.inverse_norm)

    def statistics(self, sets: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the statistic of the first n rows of every set, for each n of `sizes` (ascending).

        `sets` is (K, n) row numbers; the result is (len(sizes), K).
        """
        slots = np.full(sets.shape[1] + 1, -1, dtype=np.int64)
        slots[sizes] = np.arange(len(sizes))
        return kernels.prefix_statistics(self.x, self.inverse_norm, sets, slots)

    def units(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the unit vectors of some rows, (len(rows), D) float32."""
        return kernels.unit_rows(self.x, self.inverse_norm, rows)
