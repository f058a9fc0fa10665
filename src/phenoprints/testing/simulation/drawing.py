"""From a well's traits and nuisance to its image."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator
from phenoprints.testing.simulation import kernels
from phenoprints.testing.simulation.nuisance import Nuisance

MEANS = np.array([10.0, 10.0, 26.0, 14.0, 18.0, 24.0])
"""Mean of each channel at usual density, before gain; the grey values stay below 255."""

DEAD_SHARES = np.array([1.0, 0.3, 0.3, 0.3, 0.3, 0.3])
"""What is left of the means where cells are dead: condensed nuclei keep their DNA."""

CELL_AREA_PX = 350.0
"""One cell for this many pixels at usual density."""

GAP_PX = 15.0
CELL_JITTER = 0.4
"""Standard deviation of each trait between the cells of a well."""


@cache
def texture_table() -> NDArray[np.float64]:
    """Return the uniform numbers in [-1, 1] that all textures are made of."""
    return 2.0 * generator(0, "simulation", "texture").random(kernels.TABLE_SIZE) - 1.0


def draw_well(
    *,
    state: NDArray[np.uint64],
    size: int,
    traits: NDArray[np.float64],
    nuisance: Nuisance,
    well: int,
    kind: str,
) -> NDArray[np.uint8]:
    """Draw the image (6, size, size) of one well; `state` (1,) seeds it and is advanced.

    `kind` is one of the planted accidents or "".
    """
    usual = size * size / CELL_AREA_PX
    num = round(usual * float(nuisance.density[well]))
    num = {"empty": min(1, num), "dead": round(0.6 * num)}.get(kind, num)
    image = np.zeros((6, size, size), np.float32)
    places = kernels.place_cells(num, size, GAP_PX, state)
    dead_share = 0.9 if kind == "dead" else 0.01
    kernels.draw_cells(image, places, traits, CELL_JITTER, dead_share, texture_table(), state)
    means = MEANS * len(places) / usual
    kernels.scale_to_mean(image, means * (DEAD_SHARES if kind == "dead" else 1.0))
    if kind == "debris":
        draw_debris(image, state)
    kernels.blur(image, 9.0 if kind == "blurred" else float(nuisance.focus_px[well]))
    return kernels.expose(
        image,
        nuisance.mixing[well],
        nuisance.shading[well],
        nuisance.gain[well] * (6.0 if kind == "saturated" else 1.0),
        nuisance.offset[well],
        float(nuisance.noise[well]),
        state,
    )


def draw_debris(image: NDArray[np.float32], state: NDArray[np.uint64]) -> None:
    """Add a bright fibre of several bends across the image and some clumps, in all channels."""
    size = image.shape[1]
    x, y = kernels.uniform(state) * size, kernels.uniform(state) * size
    du, dv = kernels.direction(state)
    for _ in range(8):
        bend_u, bend_v = kernels.direction(state)
        du, dv = 0.8 * du + 0.3 * bend_u, 0.8 * dv + 0.3 * bend_v
        step_x, step_y = size / 12.0 * du, size / 12.0 * dv
        for plane in image:
            kernels.stamp_rod(plane, x + step_x, y + step_y, step_x, step_y, 5.0, 400.0)
        x, y = (x + 2.0 * step_x) % size, (y + 2.0 * step_y) % size
    for _ in range(4):
        x, y = kernels.uniform(state) * size, kernels.uniform(state) * size
        radius = 5.0 + 7.0 * kernels.uniform(state)
        for plane in image:
            kernels.stamp_dot(plane, x, y, radius, 300.0)
