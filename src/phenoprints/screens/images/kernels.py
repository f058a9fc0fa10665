"""The compiled loop that takes 16-bit pixels through a look-up table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled


@compiled()
def look_up(table: NDArray[np.uint8], plane: NDArray[np.uint16], target: NDArray[np.uint8]) -> None:
    """Set `target` (H, W) to the entry of `table` (65536,) for each pixel of `plane` (H, W)."""
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            target[y, x] = table[plane[y, x]]
