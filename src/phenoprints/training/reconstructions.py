"""Pictures of what a masked autoencoder sees, misses and predicts."""

# n crops · C channels · p pixels along a crop

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.publishing import publish_bytes, published
from phenoprints.models import Reconstruction

ARRAYS, PICTURE = "reconstructions.npz", "reconstructions.png"
BLOCKS = "reconstructions_by_block.png"
RANGE = 3.0
"""Standard deviations below and above the mean that become black and white."""
BORDER_PX = 2
MASK_GRAY = 96
"""Gray of hidden patches in the masked input."""


def publish_panels(folder: Path, made: Reconstruction, channels: tuple[str, ...]) -> None:
    """Write reconstructions.npz and reconstructions.png into an encoder's folder.

    The arrays are `target`, `prediction` (float16, standardised), `is_hidden` (bool), each
    (n, C, p, p), and `channels`; `by_block` (L, n, C, p, p) where the blocks are shown too. The
    picture has a row per crop and channel and the columns input, masked input, prediction and
    difference; reconstructions_by_block.png has a column per block instead of the last two.
    """
    arrays: dict[str, Any] = {
        "target": made.target.cpu().numpy().astype(np.float16),
        "prediction": made.prediction.cpu().numpy().astype(np.float16),
        "is_hidden": made.is_hidden.cpu().numpy(),
        "channels": np.array(channels),
    }
    if made.by_block is not None:
        arrays["by_block"] = made.by_block.cpu().numpy().astype(np.float16)
    with published(folder / ARRAYS) as partial, open(partial, "wb") as stream:
        np.savez_compressed(stream, **arrays)
    target, prediction, is_hidden = (arrays[n] for n in ("target", "prediction", "is_hidden"))
    picture = panel(target, is_hidden, [prediction, prediction - target])
    publish_bytes(folder / PICTURE, png(picture))
    if made.by_block is not None:
        publish_bytes(folder / BLOCKS, png(panel(target, is_hidden, list(arrays["by_block"]))))


def panel(
    target: NDArray[np.float16],
    is_hidden: NDArray[np.bool_],
    others: Sequence[NDArray[np.float16]],
) -> NDArray[np.uint8]:
    """Return a gray picture: n·C rows of input, masked input and the others, framed in white."""
    seen = np.where(is_hidden, np.uint8(MASK_GRAY), _gray(target))
    columns = [_gray(target), seen, *(_gray(values) for values in others)]
    framed = [np.pad(c, ((0, 0), (0, 0), *[(BORDER_PX, BORDER_PX)] * 2), constant_values=255)
              for c in columns]  # fmt: skip
    rows = np.concatenate(framed, axis=-1)
    return rows.reshape(-1, rows.shape[-1])


def _gray(values: NDArray[np.float16]) -> NDArray[np.uint8]:
    scaled = (values.astype(np.float32) + RANGE) * (255.0 / (2 * RANGE))
    gray: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return gray


def png(picture: NDArray[np.uint8]) -> bytes:
    """Return the picture as PNG."""
    import imagecodecs

    return bytes(imagecodecs.png_encode(picture))
