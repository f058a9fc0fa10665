"""Embeddings of a screen in memory: the library's way, without stores, units or jobs."""

# n wells · B blocks · D features

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.embeddings.failures import failures_table
from phenoprints.embeddings.forward import EmbeddingSettings, Precision, ReadImage, embed_sites
from phenoprints.embeddings.geometry import Geometry
from phenoprints.embeddings.reading import ReadAhead
from phenoprints.embeddings.selection import Selection
from phenoprints.embeddings.store import Unit
from phenoprints.embeddings.unit_runner import failure_rows
from phenoprints.foundations.errors import DataError
from phenoprints.screens.listing import Screen
from phenoprints.wells import failed_sites

if TYPE_CHECKING:
    from phenoprints.models import Encoder


def embed(
    encoder: Encoder,
    screen: Screen,
    read: ReadImage,
    *,
    geometry: Geometry | None = None,
    quality: pd.DataFrame | None = None,
    blocks: Literal["last", "all"] = "last",
    precision: Precision = "float32",
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Embed every well of a screen; report the wells and sites that failed.

    Parameters
    ----------
    encoder
        A network on the device where it shall run.
    screen
        Its wells and sites tables are used.
    read
        Gives the pixels, uint8 (C, H, W), of a site.
    geometry
        Crops of every image; None tiles it with crops of the encoder's size.
    quality
        The quality table; sites that fail are left out. None keeps all.
    blocks
        The last block, or all of them, in one pass.
    precision
        `float32`, or `bfloat16` by autocast.

    Returns
    -------
    float32 rows in the order of the wells table, (n, D) for `last` and (n, B, D) for `all`, with
    NaN for a well that failed; and the failures (`phenoprints.embeddings.failures`).
    """
    bad = None if quality is None else failed_sites(quality)
    selection = Selection(screen.wells, screen.sites, bad_sites=bad)
    settings = EmbeddingSettings(
        encoder, geometry or Geometry(encoder.crop_px), precision=precision
    )
    rows, failures = [], []
    for experiment, ids in selection.ids.items():
        unit = Unit(experiment, 0, len(ids))
        sites = selection.sites_of(unit)
        block_rows = range(len(ids)) if blocks == "all" else ()
        seen = embed_sites(sites, ReadAhead(read, sites), len(ids), settings, block_rows)
        failures += failure_rows(unit, selection, seen, sites=sites)
        rows.append(seen.last if seen.blocks is None else seen.blocks)
    return np.concatenate(rows), failures_table(failures)


def embed_images(
    encoder: Encoder,
    images: NDArray[np.uint8],
    *,
    channels: Sequence[str] | None = None,
    geometry: Geometry | None = None,
    blocks: Literal["last", "all"] = "last",
) -> NDArray[np.float32]:
    """Return the embedding of every image of a stack.

    Parameters
    ----------
    encoder
        A network on the device that computes.
    images
        uint8 (N, C, H, W).
    channels
        Names of the C channels; by default those of the encoder, else `channel 1`, ….
    geometry
        Crops of every image; None tiles it with crops of the encoder's size.
    blocks
        The last block, or all of them.

    Returns
    -------
    float32 (N, D) for `last` and (N, B, D) for `all`: means over the crops of an image.

    Raises
    ------
    DataError
        `images` is no uint8 stack, or an image cannot be embedded.
    """
    if images.ndim != 4 or images.dtype != np.uint8:
        raise DataError(
            f"images: {images.dtype} of shape {images.shape}. Expected uint8 (N, C, H, W)."
        )
    own = encoder.config.channels or [f"channel {c + 1}" for c in range(images.shape[1])]
    wells = pd.DataFrame({"well_id": np.arange(len(images), dtype=np.uint64), "experiment": ""})
    height, width = images.shape[2:]
    sites = wells[["well_id"]].assign(
        site=1, locator=wells["well_id"].astype(str), height=height, width=width,
        channels=pd.Series([tuple(channels or own)] * len(images), dtype=object),
    )  # fmt: skip
    rows, failures = embed(
        encoder,
        Screen("images", wells.assign(plate="", well=""), sites, pd.DataFrame(), {}),
        lambda site: images[int(site.locator)],
        geometry=geometry,
        blocks=blocks,
    )
    if len(failures):
        raise DataError(f"images: {len(failures)} failed; the first: {failures.iloc[0].to_dict()}")
    return rows
