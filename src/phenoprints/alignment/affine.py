"""One affine map: what an alignment does to the wells of one batch."""

# N wells · D features · K components

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Affine:
    """The map y = ((x - centre) @ matrix) · scale + offset.

    `centre` (D,) is taken off first, so that float32 keeps its digits where features are large
    beside their spread. `matrix` (D, K) and `scale` (K,) may be None: identity and 1.
    """

    centre: Floats
    matrix: Floats | None
    scale: Floats | None
    offset: Floats

    @property
    def num_components(self) -> int:
        """The width K of the mapped vectors."""
        return len(self.offset)

    def __call__(self, x: Floats) -> Floats:
        """The mapped rows (N, K): float32 for float32, else float64. NaN rows stay NaN."""
        dtype = np.float32 if x.dtype == np.float32 else np.float64
        y: Floats = x.astype(dtype, copy=False) - self.centre.astype(dtype, copy=False)
        if self.matrix is not None:
            y = y @ self.matrix.astype(dtype, copy=False)
        if self.scale is not None:
            y *= self.scale.astype(dtype, copy=False)
        y += self.offset.astype(dtype, copy=False)
        return y
