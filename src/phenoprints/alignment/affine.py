"""One affine map: what an alignment does to the wells of one batch."""

# N wells · D features · K components

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

CHUNK_ROWS = 1024
"""Rows mapped at a time: what is taken between centre and product stays in the cache."""


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
        """Return the mapped rows (N, K): float32 for float32, else float64. NaN rows stay NaN."""
        dtype = np.float32 if x.dtype == np.float32 else np.float64
        y: Floats = np.empty((len(x), self.num_components), dtype)
        self.write(x, y)
        return y

    def coloured(self, colour: Floats | None, dtype: type[np.floating]) -> Affine:
        """Return the map followed by the matrix `colour` (K, K), in `dtype`; None: as it is."""
        if colour is None or self.matrix is None:
            return replace(self, offset=self.offset.astype(dtype, copy=False))
        low = colour.astype(dtype, copy=False)
        return Affine(self.centre, self.matrix @ low, None, (self.offset @ low).astype(dtype))

    def write(self, x: Floats, y: Floats) -> None:
        """Write the mapped rows of x into y (N, K), in the type of y; few at a time."""
        dtype = y.dtype
        centre, offset = (part.astype(dtype, copy=False) for part in (self.centre, self.offset))
        matrix = None if self.matrix is None else self.matrix.astype(dtype, copy=False)
        for start in range(0, len(x), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            if matrix is None:
                np.subtract(x[rows], centre, out=y[rows])
            else:
                np.matmul(np.subtract(x[rows], centre, dtype=dtype), matrix, out=y[rows])
            if self.scale is not None:
                y[rows] *= self.scale.astype(dtype, copy=False)
            y[rows] += offset
