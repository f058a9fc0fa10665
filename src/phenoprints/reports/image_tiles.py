"""Microscopy as small pictures: single channels in grey with name and range, and composites."""

# C channels · H W pixels

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from phenoprints.reports.scatter import png_uri

MAX_CROP_PX = 256
MAX_TILE_PX = 128
"""A crop is shown at this many pixels at most, so that a tile stays below 30 kB."""

SIDE = 104
GAP = 6
LABEL = 14

COMPOSITE = {
    "DNA": (0xCA, 0xDB, 0xF6),
    "ER": (0x79, 0xEA, 0xA8),
    "RNA": (0xF0, 0xE5, 0x14),
    "AGP": (0xFB, 0x5A, 0x20),
    "Mito": (0xFA, 0x6F, 0xF6),
}
"""Colours of composites that stay apart for colour-blind readers; other channels stay out."""

COMPOSITE_BRIGHTNESS = 1.6
"""Over the mean of the colours: bright enough to see, dark enough to keep them apart."""

COMPOSITE_LEGEND = "DNA pale blue, ER green, RNA yellow, AGP orange, Mito magenta"

Ranges = Sequence[tuple[float, float]]


def centre_crop(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the central square (C, h, h) of an image (C, H, W), at most 256 pixels, thinned to
    128.
    """
    size = min(*image.shape[1:], MAX_CROP_PX)
    y, x = (image.shape[1] - size) // 2, (image.shape[2] - size) // 2
    crop = image[:, y : y + size, x : x + size]
    step = -(-size // MAX_TILE_PX)
    size -= size % step
    blocks = crop[:, :size, :size].reshape(len(crop), size // step, step, size // step, step)
    thinned: NDArray[np.uint8] = np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)
    return thinned


def display_ranges(images: Sequence[NDArray[np.uint8]]) -> list[tuple[float, float]]:
    """Per channel the 1st and 99.5th percentile over some images, which become black and white."""
    pixels = np.concatenate([image.reshape(len(image), -1) for image in images], axis=1)
    low, high = np.percentile(pixels, [1, 99.5], axis=1)
    return [(float(a), float(max(b, a + 1))) for a, b in zip(low, high, strict=True)]


def grey(plane: NDArray[np.uint8], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """One channel stretched from its display range to 0 … 255; values beyond are clipped."""
    share = (plane.astype(np.float32) - limits[0]) / (limits[1] - limits[0])
    shown: NDArray[np.uint8] = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return shown


def composite(
    image: NDArray[np.uint8], ranges: Ranges, channels: Sequence[str]
) -> NDArray[np.uint8] | None:
    """Return the named channels in their colours, added and clipped (H, W, 3); None below two of
    them.
    """
    known = [at for at, name in enumerate(channels) if name in COMPOSITE]
    if len(known) < 2:
        return None
    total = np.zeros((*image.shape[1:], 3), dtype=np.float32)
    for at in known:
        share = grey(image[at], ranges[at]).astype(np.float32)[..., None] / 255
        total += share * np.array(COMPOSITE[channels[at]], dtype=np.float32)
    brightness = COMPOSITE_BRIGHTNESS / len(known)
    mixed: NDArray[np.uint8] = np.rint(np.clip(total * brightness, 0, 255)).astype(np.uint8)
    return mixed


def well_strip(
    image: NDArray[np.uint8], ranges: Ranges, channels: Sequence[str], title: str
) -> Markup:
    """One well as a row of tiles: every channel in grey with name and range, then a composite."""
    crop = centre_crop(image)
    tiles = [
        (f"{name} {low:.0f}–{high:.0f}", grey(plane, (low, high)))
        for name, plane, (low, high) in zip(channels, crop, ranges, strict=True)
    ]
    mixed = composite(crop, ranges, channels)
    if mixed is not None:
        tiles.append(("composite", mixed))
    return Markup("<p><strong>{}</strong></p>").format(title) + tile_row(tiles, title)


def tile_row(tiles: Sequence[tuple[str, NDArray[np.uint8]]], title: str) -> Markup:
    """Named pictures side by side in one SVG."""
    width, height = len(tiles) * (SIDE + GAP) - GAP, SIDE + LABEL
    parts = []
    for at, (name, picture) in enumerate(tiles):
        x = at * (SIDE + GAP)
        parts.append(
            _svg_text(x, 10, name) + f'<image x="{x}" y="{LABEL}" width="{SIDE}" height="{SIDE}" '
            f'href="{png_uri(encode_png(picture))}"/>'
        )
    return Markup(  # noqa: S704  (numbers, escaped words and base64 only)
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" '
        f'font-family="sans-serif" font-size="9.5">{"".join(parts)}</svg>'
    )


RANGE_SD = 3.0
HIDDEN_GREY = 96
CROP_SIDE = 64
MAX_CROPS = 4
COLUMNS = ("input", "seen", "predicted", "difference")
MAX_BLOCKS = 12


def reconstruction_panel(
    target: NDArray[np.floating],
    prediction: NDArray[np.floating],
    is_hidden: NDArray[np.bool_],
    channels: Sequence[str],
    *,
    title: str,
) -> Markup:
    """Draw masked inputs and reconstructions: a row per channel, four columns per crop.

    Arrays are (crops, C, H, W), standardised per crop and channel; at most four crops are shown.
    """
    target, prediction = (x[:MAX_CROPS].astype(np.float32) for x in (target, prediction))
    seen = np.where(is_hidden[:MAX_CROPS], np.uint8(HIDDEN_GREY), _standardised_grey(target))
    grids = (
        _standardised_grey(target), seen, _standardised_grey(prediction),
        _standardised_grey(prediction - target),
    )  # fmt: skip
    crops = [
        [(name, grid[crop]) for name, grid in zip(COLUMNS, grids, strict=True)]
        for crop in range(len(target))
    ]
    return _columns_of_channels(crops, channels, title)


def block_panel(
    target: NDArray[np.floating],
    by_block: NDArray[np.floating],
    is_hidden: NDArray[np.bool_],
    channels: Sequence[str],
    *,
    title: str,
) -> Markup:
    """Draw the decoder's output for each block's tokens of the first crop, a row per channel.

    `by_block` is (L, crops, C, H, W), the others as in `reconstruction_panel`; of more than twelve
    blocks some are shown, the last among them.
    """
    grey = _standardised_grey(target[0].astype(np.float32))
    columns = [("input", grey), ("seen", np.where(is_hidden[0], np.uint8(HIDDEN_GREY), grey))]
    last = len(by_block) - 1
    for block in np.unique(np.linspace(0, last, min(len(by_block), MAX_BLOCKS)).round()).astype(
        int
    ):
        predicted = _standardised_grey(by_block[block, 0].astype(np.float32))
        columns.append((f"block {block + 1}", predicted))
    return _columns_of_channels([columns], channels, title)


def _columns_of_channels(
    groups: Sequence[Sequence[tuple[str, NDArray[np.uint8]]]], channels: Sequence[str], title: str
) -> Markup:
    """Arrange named groups of columns, each (C, H, W), channels stacked vertically."""
    left, step, gap = 62, CROP_SIDE + 2, 10
    width = left + sum(len(columns) * step + gap for columns in groups)
    height = LABEL + len(channels) * step
    parts = [_svg_text(0, LABEL + (c + 0.6) * step, name) for c, name in enumerate(channels)]
    x = left
    for columns in groups:
        for name, grid in columns:
            uri = png_uri(encode_png(np.concatenate(list(grid))))
            parts.append(_svg_text(x, 10, name))
            parts.append(
                f'<image x="{x}" y="{LABEL}" width="{CROP_SIDE}" height="{len(channels) * step}" '
                f'preserveAspectRatio="none" href="{uri}"/>'
            )
            x += step
        x += gap
    return Markup(  # noqa: S704  (numbers, escaped words and base64 only)
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" '
        f'font-family="sans-serif" font-size="9.5">{"".join(parts)}</svg>'
    )


def _standardised_grey(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    share = (values.astype(np.float32) + RANGE_SD) / (2 * RANGE_SD)
    shown: NDArray[np.uint8] = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return shown


def _svg_text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="currentColor">{escape(text)}</text>'


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """Return a grey (H, W) or coloured (H, W, 3) picture as PNG, the same bytes every time."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", compress_level=9)
    return stream.getvalue()
