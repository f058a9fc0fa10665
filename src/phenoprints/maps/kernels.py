"""The compiled search for nearest neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled


@compiled()
def keep_nearest(
    block: NDArray[np.floating],
    start: int,
    indices: NDArray[np.intp],
    cosines: NDArray[np.float64],
) -> None:
    """Put the largest entries of each row of a block into its row of `cosines`, largest first.

    The block's first row is row `start` of all; an entry with itself does not count. Of equal
    entries the earlier stays before the later.
    """
    count = cosines.shape[1]
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            value = block[i, j]
            if value > cosines[i, count - 1] and j != start + i:
                place = count - 1
                while place > 0 and cosines[i, place - 1] < value:
                    cosines[i, place] = cosines[i, place - 1]
                    indices[i, place] = indices[i, place - 1]
                    place -= 1
                cosines[i, place], indices[i, place] = value, j
