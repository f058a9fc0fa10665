"""The compiled drawing of cells.

Only + - * / and square roots are used, so that a seed gives the same bytes on every machine.
"""

# C channels · H W pixels · lengths in pixels, cell-centred coordinates u (long axis) and v

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.compiling import compiled

Image = NDArray[np.float32]
Floats = NDArray[np.float64]
State = NDArray[np.uint64]

DNA, NUCLEOLI, ER, AGP, MITO, RNA = range(6)
(
    NUCLEUS_SIZE, CHROMATIN_CONTRAST, CHROMATIN_GRAIN, NUCLEOLUS_NUMBER, NUCLEOLUS_SIZE,
    NUCLEUS_ELONGATION, ER_GRAIN, ER_SPREAD, GOLGI_SPREAD, FILAMENT_CONTRAST, CORTEX,
    CELL_ELONGATION, MITO_LENGTH, MITO_SPREAD, MITO_ALIGNMENT, GRANULE_NUMBER, GRANULE_SIZE,
    CELL_SIZE,
) = range(18)  # fmt: skip

NUM_TRAITS = 18
TABLE_SIZE = 4096
"""Entries of the table of uniform numbers in [-1, 1] that textures look up; a power of two."""


strict = compiled(error_model="numpy")
"""Compiles a function with strict arithmetic; a division by 0 gives infinity, not an error."""


@strict
def uniform(state: State) -> float:
    """Return the next number in [0, 1) of a splitmix64 stream."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@strict
def bell(state: State) -> float:
    """Return a number of mean 0 and variance 1, nearly normal: the scaled sum of
    four uniform ones.
    """
    total = uniform(state) + uniform(state) + uniform(state) + uniform(state)
    return (total - 2.0) * 1.7320508075688772


@strict
def grow(trait: float, rate: float) -> float:
    """Return a positive factor, 1 at 0, that rises with the trait: 1 + r·t above 0, 1/(1 - r·t)
    below.
    """
    if trait >= 0.0:
        return 1.0 + rate * trait
    return 1.0 / (1.0 - rate * trait)


@strict
def clamp(value: float) -> float:
    """Return the value cut to [0, 1]."""
    return min(max(value, 0.0), 1.0)


@strict
def texture(table: Floats, x: float, y: float, key: int) -> float:
    """Smooth noise in [-1, 1] of unit grain at (x, y); `key` chooses one of many textures."""
    left, top = np.floor(x), np.floor(y)
    fx, fy = x - left, y - top
    fx, fy = fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy)
    at = int(left) * 157 + int(top) * 1117 + key
    mask = TABLE_SIZE - 1
    upper = table[at & mask] * (1.0 - fx) + table[(at + 157) & mask] * fx
    lower = table[(at + 1117) & mask] * (1.0 - fx) + table[(at + 1274) & mask] * fx
    value: float = upper * (1.0 - fy) + lower * fy
    return value


@strict
def stamp_dot(plane: Image, x: float, y: float, radius: float, height: float) -> None:
    """Add a round bump (1 - d²/r²)² of a height."""
    num_rows, num_columns = plane.shape
    for i in range(max(int(y - radius), 0), min(int(y + radius) + 2, num_rows)):
        for j in range(max(int(x - radius), 0), min(int(x + radius) + 2, num_columns)):
            q = ((j - x) * (j - x) + (i - y) * (i - y)) / (radius * radius)
            if q < 1.0:
                plane[i, j] += np.float32(height * (1.0 - q) * (1.0 - q))


@strict
def stamp_rod(
    plane: Image, x: float, y: float, along_x: float, along_y: float, width: float, height: float
) -> None:
    """Add a rod centred at (x, y) that reaches ±(along_x, along_y), a bump across its width."""
    num_rows, num_columns = plane.shape
    squared = along_x * along_x + along_y * along_y + 1e-9
    reach_x, reach_y = abs(along_x) + width, abs(along_y) + width
    for i in range(max(int(y - reach_y), 0), min(int(y + reach_y) + 2, num_rows)):
        for j in range(max(int(x - reach_x), 0), min(int(x + reach_x) + 2, num_columns)):
            dx, dy = j - x, i - y
            t = min(max((dx * along_x + dy * along_y) / squared, -1.0), 1.0)
            dx, dy = dx - t * along_x, dy - t * along_y
            q = (dx * dx + dy * dy) / (width * width)
            if q < 1.0:
                plane[i, j] += np.float32(height * (1.0 - q) * (1.0 - q))


@strict
def draw_body(
    image: Image,
    x: float,
    y: float,
    axis: Floats,
    sizes: Floats,
    z: Floats,
    table: Floats,
    key: int,
) -> None:
    """Add what fills a cell: chromatin, ER, filaments with the cortex, and faint backgrounds.

    `axis` is the long axis (cos, sin); `sizes` the half axes of cell and nucleus (a, b, na, nb).
    """
    num_rows, num_columns = image.shape[1:]
    a, b, na, nb = sizes[0], sizes[1], sizes[2], sizes[3]
    reach = max(a, b)
    grain = 0.55 / grow(z[CHROMATIN_GRAIN], 0.45)
    contrast = 0.40 * grow(z[CHROMATIN_CONTRAST], 0.60)
    er_grain = 0.36 / grow(z[ER_GRAIN], 0.80)
    er_fall = 0.80 / grow(z[ER_SPREAD], 2.00)
    bundles = 0.50 * grow(z[FILAMENT_CONTRAST], 0.60)
    cortex = 0.60 * grow(z[CORTEX], 1.20)
    for i in range(max(int(y - reach), 0), min(int(y + reach) + 2, num_rows)):
        for j in range(max(int(x - reach), 0), min(int(x + reach) + 2, num_columns)):
            u = (j - x) * axis[0] + (i - y) * axis[1]
            v = (i - y) * axis[0] - (j - x) * axis[1]
            q = u * u / (a * a) + v * v / (b * b)
            if q >= 1.0:
                continue
            body = clamp(2.5 * (1.0 - q))
            qn = u * u / (na * na) + v * v / (nb * nb)
            nucleus = clamp(2.5 * (1.0 - qn))
            outside = body * (1.0 - 0.8 * nucleus)
            if nucleus > 0.0:
                clumps = 1.0 + contrast * texture(table, u * grain, v * grain, key)
                image[DNA, i, j] += np.float32(nucleus * clumps * 40.0 / (na * nb))
            image[NUCLEOLI, i, j] += np.float32(0.10 * body + 0.15 * nucleus)
            net = 1.0 + 0.85 * texture(table, u * er_grain, v * er_grain, key + 71)
            image[ER, i, j] += np.float32(outside * net * 2.0 / (1.0 + er_fall * qn))
            phase = 0.16 * v + 0.8 * texture(table, u * 0.14, v * 0.07, key + 137)
            ridge = 4.0 * abs(phase - np.floor(phase) - 0.5) - 1.0
            ring = clamp(1.0 - abs(q - 0.78) * 5.0)
            image[AGP, i, j] += np.float32(
                body * 0.5 * max(1.0 + bundles * ridge, 0.0) + cortex * ring
            )
            image[MITO, i, j] += np.float32(0.12 * outside)
            image[RNA, i, j] += np.float32(0.35 * outside + 0.12 * nucleus)


@strict
def draw_organelles(
    image: Image, x: float, y: float, axis: Floats, sizes: Floats, z: Floats, state: State
) -> None:
    """Add a cell's separate bodies: nucleoli, Golgi, mitochondria and RNA granules."""
    a, b, na, nb = sizes[0], sizes[1], sizes[2], sizes[3]
    num = int(2.2 * grow(z[NUCLEOLUS_NUMBER], 0.60) + uniform(state))
    radius = 1.7 * grow(z[NUCLEOLUS_SIZE], 0.35)
    for _ in range(max(num, 1)):
        u, v = 0.6 * na * (2.0 * uniform(state) - 1.0), 0.6 * nb * (2.0 * uniform(state) - 1.0)
        px, py = x + u * axis[0] - v * axis[1], y + u * axis[1] + v * axis[0]
        stamp_dot(image[NUCLEOLI], px, py, radius, 2.0)
        stamp_dot(image[RNA], px, py, radius, 0.8)

    side = 1.0 if uniform(state) < 0.5 else -1.0
    spread = 1.2 * grow(z[GOLGI_SPREAD], 1.00)
    for _ in range(5):
        u, v = side * 1.35 * na + spread * bell(state), 1.3 * spread * bell(state)
        px, py = x + u * axis[0] - v * axis[1], y + u * axis[1] + v * axis[0]
        stamp_dot(image[AGP], px, py, 2.0, 3.2)

    half = 2.4 * grow(z[MITO_LENGTH], 0.70)
    spread = clamp(0.5 + 0.30 * z[MITO_SPREAD])
    order = clamp(0.45 + 0.30 * z[MITO_ALIGNMENT])
    for _ in range(int(36.0 / (half + 0.9) + uniform(state))):
        cu, cv = direction(state)
        r = uniform(state)
        r = (1.0 - spread) * r * r + spread * np.sqrt(r)
        u, v = cu * (na + (0.92 * a - na) * r), cv * (nb + (0.92 * b - nb) * r)
        du, dv = direction(state)
        du, dv = order * np.sign(du) + (1.0 - order) * du, (1.0 - order) * dv
        norm = half / np.sqrt(du * du + dv * dv + 1e-9)
        du, dv = du * norm, dv * norm
        px, py = x + u * axis[0] - v * axis[1], y + u * axis[1] + v * axis[0]
        ax, ay = du * axis[0] - dv * axis[1], du * axis[1] + dv * axis[0]
        stamp_rod(image[MITO], px, py, ax, ay, 1.5, 1.0)

    radius = 1.8 * grow(z[GRANULE_SIZE], 0.40)
    for _ in range(int(5.0 * grow(z[GRANULE_NUMBER], 0.65) + uniform(state))):
        cu, cv = direction(state)
        r = np.sqrt(uniform(state))
        u, v = cu * (na + (0.85 * a - na) * r), cv * (nb + (0.85 * b - nb) * r)
        px, py = x + u * axis[0] - v * axis[1], y + u * axis[1] + v * axis[0]
        stamp_dot(image[RNA], px, py, radius, 1.1)


@strict
def direction(state: State) -> tuple[float, float]:
    """Return a unit vector of uniform angle, by rejection from the square."""
    while True:
        u, v = 2.0 * uniform(state) - 1.0, 2.0 * uniform(state) - 1.0
        squared = u * u + v * v
        if 0.01 < squared < 1.0:
            norm = np.sqrt(squared)
            return u / norm, v / norm


@strict
def place_cells(num: int, size: int, gap: float, state: State) -> Floats:
    """Centres (n, 2) of at most `num` cells that stay `gap` apart, in and just around the image."""
    places = np.empty((num, 2))
    found = 0
    for _ in range(30 * num):
        if found == num:
            break
        x, y = uniform(state) * (size + 16.0) - 8.0, uniform(state) * (size + 16.0) - 8.0
        is_free = True
        for k in range(found):
            dx, dy = places[k, 0] - x, places[k, 1] - y
            if dx * dx + dy * dy < gap * gap:
                is_free = False
                break
        if is_free:
            places[found, 0], places[found, 1] = x, y
            found += 1
    return places[:found]


@strict
def draw_dead_cell(image: Image, x: float, y: float, state: State) -> None:
    """Add a dead cell: a small, bright, condensed nucleus in a shrunken body."""
    radius = 2.8 + 0.6 * uniform(state)
    stamp_dot(image[DNA], x, y, radius, 9.0)
    for channel in range(1, 6):
        stamp_dot(image[channel], x, y, 4.5, 0.8)


@strict
def draw_cells(
    image: Image,
    places: Floats,
    traits: Floats,
    jitter: float,
    dead_share: float,
    table: Floats,
    state: State,
) -> None:
    """Add every cell; its traits are the well's plus `jitter` times its own variation."""
    z = np.empty(NUM_TRAITS)
    axis, sizes = np.empty(2), np.empty(4)
    for k in range(places.shape[0]):
        x, y = places[k, 0], places[k, 1]
        if uniform(state) < dead_share:
            draw_dead_cell(image, x, y, state)
            continue
        for t in range(NUM_TRAITS):
            z[t] = min(max(traits[t] + jitter * bell(state), -4.5), 4.5)
        axis[0], axis[1] = direction(state)
        radius = 11.5 * grow(z[CELL_SIZE], 0.10) * (1.0 + 0.08 * bell(state))
        elongation = 1.14 * grow(z[CELL_ELONGATION], 0.17)
        nucleus, oval = 4.9 * grow(z[NUCLEUS_SIZE], 0.17), 1.12 * grow(z[NUCLEUS_ELONGATION], 0.17)
        sizes[0], sizes[1] = radius * elongation, radius / elongation
        sizes[2], sizes[3] = nucleus * oval, nucleus / oval
        draw_body(image, x, y, axis, sizes, z, table, int(uniform(state) * TABLE_SIZE))
        draw_organelles(image, x, y, axis, sizes, z, state)


@strict
def scale_to_mean(image: Image, means: Floats) -> None:
    """Give each channel the stated mean (C,), so that no trait shows in it; leave empty ones."""
    num_channels, num_rows, num_columns = image.shape
    for c in range(num_channels):
        total = 0.0
        for i in range(num_rows):
            for j in range(num_columns):
                total += image[c, i, j]
        if total > 0.0:
            factor = np.float32(means[c] * num_rows * num_columns / total)
            for i in range(num_rows):
                for j in range(num_columns):
                    image[c, i, j] *= factor


@strict
def blur(image: Image, radius: float) -> None:
    """Blur in place with the kernel (1 - d²/r²)³, whose standard deviation is near r/3 pixels.

    Below a radius of 1 the image stays as it is. Edges are mirrored without repeating the edge.
    """
    if radius <= 1.0:
        return
    reach = int(radius)
    weights = np.empty(2 * reach + 1, np.float32)
    total = np.float32(0.0)
    for k in range(2 * reach + 1):
        q = 1.0 - (k - reach) * (k - reach) / (radius * radius)
        weights[k] = np.float32(q * q * q)
        total += weights[k]
    for k in range(2 * reach + 1):
        weights[k] /= total
    for c in range(image.shape[0]):
        blur_plane(image[c], weights, reach)


@strict
def blur_plane(plane: Image, weights: Image, reach: int) -> None:
    """Convolve the columns, then the rows, of one plane with `weights` (2·reach + 1,)."""
    num_rows, num_columns = plane.shape
    between = np.zeros((num_rows, num_columns), np.float32)
    for i in range(num_rows):
        for k in range(2 * reach + 1):
            source = mirrored(i + k - reach, num_rows)
            weight = weights[k]
            for j in range(num_columns):
                between[i, j] += weight * plane[source, j]
    padded = np.empty(num_columns + 2 * reach, np.float32)
    line = np.empty(num_columns, np.float32)
    for i in range(num_rows):
        for j in range(num_columns + 2 * reach):
            padded[j] = between[i, mirrored(j - reach, num_columns)]
        line[:] = np.float32(0.0)
        for k in range(2 * reach + 1):
            weight = weights[k]
            for j in range(num_columns):
                line[j] += weight * padded[j + k]
        plane[i] = line


@strict
def mirrored(index: int, size: int) -> int:
    """Return the index inside [0, size) that stands for one at most `size` - 1 outside."""
    if index < 0:
        return -index
    return index if index < size else 2 * size - 2 - index


@strict
def expose(
    image: Image,
    mixing: Floats,
    shading: Floats,
    gain: Floats,
    offset: Floats,
    noise: float,
    state: State,
) -> NDArray[np.uint8]:
    """Simulate the camera: bleed-through, uneven light, gain, offset, shot and read noise, 8 bits.

    `mixing` (C, C) adds other channels to each; `shading` (C, 5) are the coefficients of
    x, y, x², y², xy with x and y in [-1, 1]; values above 255 saturate.
    """
    num_channels, num_rows, num_columns = image.shape
    result = np.empty((num_channels, num_rows, num_columns), np.uint8)
    for i in range(num_rows):
        y = 2.0 * i / (num_rows - 1.0) - 1.0
        for j in range(num_columns):
            x = 2.0 * j / (num_columns - 1.0) - 1.0
            for c in range(num_channels):
                signal = 0.0
                for d in range(num_channels):
                    signal += mixing[c, d] * image[d, i, j]
                s = shading[c]
                light = 1.0 + s[0] * x + s[1] * y + s[2] * x * x + s[3] * y * y + s[4] * x * y
                value = gain[c] * (light * signal + offset[c])
                value += noise * np.sqrt(value + 4.0) * bell(state)
                result[c, i, j] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
    return result
