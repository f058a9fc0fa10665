"""The compiled loops over pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled

Pixels = NDArray[np.unsignedinteger[Any]]

BLOCK_PX = 8
"""Side of the blocks that are sought twice in a plane; a power of two."""

HASH_FACTOR = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio (Knuth, The Art of Computer Programming 3, 6.4)."""


@compiled()
def laplacian_sums(plane: Pixels) -> tuple[np.int64, np.int64]:
    """Compute the exact sum and sum of squares of a plane's 4-neighbour Laplacian (H, W).

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
def chosen_blocks(plane: Pixels, min_bent: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """64-bit hashes and places (row · W + column) of square blocks of a plane (H, W), by place.

    Blocks of BLOCK_PX pixels on a side lie at all places. Only the sixteenth that their own hash
    chooses, and only those with at least `min_bent` bent squares, are returned. Rows are hashed
    along, then down: a ring holds the last BLOCK_PX rows.
    """
    num_rows, num_columns = plane.shape
    num = max(num_columns - BLOCK_PX + 1, 0)
    hashes = np.empty(max(num_rows - BLOCK_PX + 1, 0) * num, np.uint64)
    places = np.empty(len(hashes), np.int64)
    ring = np.empty((BLOCK_PX, num_columns), np.uint64)
    found = 0
    for i in range(num_rows):
        _hash_along(plane[i], ring[i % BLOCK_PX])
        _hash_down(ring, i, num)
        top = i - BLOCK_PX + 1
        if top < 0:
            continue
        blocks = ring[top % BLOCK_PX]
        for j in range(num):
            if blocks[j] & np.uint64(15) == 0 and _num_bent(plane, top, j) >= min_bent:
                hashes[found] = blocks[j]
                places[found] = top * num_columns + j
                found += 1
    return hashes[:found], places[:found]


@compiled()
def _hash_along(pixels: Pixels, row: NDArray[np.uint64]) -> None:
    """Fill `row` with the hashes of the next BLOCK_PX pixels at each place, by doubling."""
    num = len(pixels)
    for j in range(num):
        row[j] = np.uint64(pixels[j]) + np.uint64(1)
    size = 1
    while size < BLOCK_PX:
        factor = np.uint64((HASH_FACTOR ^ (size * 0x10002)) | 1)
        num -= size
        for j in range(num):
            mixed = np.uint64(row[j] * factor) + row[j + size]
            row[j] = mixed ^ (mixed >> np.uint64(29))
        size *= 2


@compiled()
def _hash_down(ring: NDArray[np.uint64], last: int, num: int) -> None:
    """Join row `last` with those above it, so that the topmost of the ring covers whole blocks."""
    size, top = 1, last
    while size < BLOCK_PX and top >= size:
        factor = np.uint64((HASH_FACTOR ^ (size * 0x20004)) | 1)
        top -= size
        upper, lower = ring[top % BLOCK_PX], ring[(top + size) % BLOCK_PX]
        for j in range(num):
            mixed = np.uint64(upper[j] * factor) + lower[j]
            upper[j] = mixed ^ (mixed >> np.uint64(29))
        size *= 2


@compiled()
def _num_bent(plane: Pixels, top: int, left: int) -> np.int64:
    """How many of a block's 49 squares of 2 × 2 pixels are bent: their diagonals' sums differ.

    Noise bends most of them, smooth and flat places few: a measure of how much a block tells.
    """
    num = np.int64(0)
    for i in range(top, top + BLOCK_PX - 1):
        for j in range(left, left + BLOCK_PX - 1):
            falling = np.int64(plane[i, j]) + np.int64(plane[i + 1, j + 1])
            rising = np.int64(plane[i + 1, j]) + np.int64(plane[i, j + 1])
            num += falling != rising
    return num
