"""The compiled loops over pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled

Pixels = NDArray[np.unsignedinteger[Any]]


@compiled()
def laplacian_sums(plane: Pixels) -> tuple[np.int64, np.int64]:
    """The sum and the sum of squares of the 4-neighbour Laplacian inside a plane (H, W), exactly.

    Squares of 16-bit pixels stay below 2^63 up to 10^8 pixels.
    """
    total, squares = np.int64(0), np.int64(0)
    for i in range(1, plane.shape[0] - 1):
        for j in range(1, plane.shape[1] - 1):
            around = np.int64(plane[i - 1, j]) + np.int64(plane[i + 1, j])
            around += np.int64(plane[i, j - 1]) + np.int64(plane[i, j + 1])
            value = around - 4 * np.int64(plane[i, j])
            total += value
            squares += value * value
    return total, squares


@compiled()
def chosen_run_hashes(plane: Pixels, length: int, min_span: int) -> NDArray[np.uint32]:
    """32-bit hashes of runs of `length` pixels (a power of two) along the rows of a plane (H, W).

    Only the sixteenth of runs that their own hash chooses, and only those that span at least
    `min_span` grey values.
    """
    num_rows, num_columns = plane.shape
    hashes = np.empty(num_rows * max(num_columns - length + 1, 0), np.uint32)
    run = np.empty(num_columns, np.uint32)
    found = 0
    for i in range(num_rows):
        for j in range(num_columns):
            run[j] = np.uint32(plane[i, j]) + np.uint32(1)
        num, size = num_columns, 1
        while size < length:
            factor = np.uint32((0x9E3779B1 ^ (size * 0x10002)) | 1)
            num -= size
            for j in range(num):
                mixed = np.uint32(np.uint32(run[j] * factor) + run[j + size])
                run[j] = mixed ^ (mixed >> np.uint32(15))
            size *= 2
        for j in range(num):
            if run[j] & np.uint32(15) == 0:
                low = high = plane[i, j]
                for k in range(j + 1, j + length):
                    low, high = min(low, plane[i, k]), max(high, plane[i, k])
                if np.int64(high) - np.int64(low) >= min_span:
                    hashes[found] = run[j]
                    found += 1
    return hashes[:found]
