"""Encoders that are not trained here: untrained networks, and the weights of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from phenoprints.foundations.errors import ConfigurationError, DataError, ImageError
from phenoprints.models import (
    Encoder,
    StatisticsEncoder,
    build,
    openphenom,
    openphenom_autoencoder,
    statistics_config,
    timm_encoder,
)
from phenoprints.models.encoder import channel_names
from phenoprints.screens.images import ScreenImages
from phenoprints.training.reconstructions import publish_panels

STATISTICS_KINDS = ("simple", "cell-count")
PANEL_CROPS = 4
"""Crops that are shown reconstructed."""


def make_encoder(
    settings: Mapping[str, Any], *, channel_sets: Iterable[tuple[str, ...]] = (), seed: int = 0
) -> Encoder:
    """Return the encoder that an entry of the configuration's `encoders` describes.

    Parameters
    ----------
    settings
        `kind` (untrained, simple, cell-count, openphenom or timm) and that kind's own keys.
    channel_sets
        The distinct channels of the screens that it will see; an untrained encoder takes them.
    seed
        Of an untrained encoder's weights.

    Raises
    ------
    ConfigurationError
        An untrained encoder with fixed channels would see screens with different ones.
    """
    kind = settings["kind"]
    if kind == "openphenom":
        return openphenom(settings["weights"], channelwise=settings.get("channelwise", False))
    if kind == "timm":
        return timm_encoder(
            settings["model"],
            crop_px=settings.get("crop_px") or 256,
            pool=settings.get("pool"),
            weights=settings.get("weights") or "download",
        )
    channels = _channels(settings, sorted(set(channel_sets)))
    if kind in STATISTICS_KINDS:
        if isinstance(channels, int):
            channels = channel_names(channels)
        return StatisticsEncoder(statistics_config(kind, channels, settings["crop_px"])).eval()
    encoder = build(
        settings["architecture"],
        channels=channels,
        crop_px=settings.get("crop_px"),
        seed=seed,
        **_vit_options(settings),
    )
    encoder.config = replace(encoder.config, pool=settings.get("pool") or encoder.config.pool)
    return encoder


def show_openphenom(
    folder: Path, weights: str | Path, sites: pd.DataFrame, images: ScreenImages
) -> bool:
    """Write what OpenPhenom reconstructs of a screen's first crops into its folder, if it can.

    `sites` has the column experiment too. The crops are the centres of the first readable sites
    that have the channels of the first one and are large enough. Returns False, and writes nothing,
    where the screen has more channels than the weights have decoders, where there is no such site,
    or where the file has no decoder.
    """
    try:
        model = openphenom_autoencoder(weights)
    except DataError as error:
        if "decoder" not in str(error):
            raise
        return False
    side, channels = model.encoder.crop_px, [tuple(names) for names in sites["channels"]]
    fits = (sites["height"] >= side) & (sites["width"] >= side)
    fits &= pd.Series([names == channels[0] for names in channels], index=sites.index, dtype=bool)
    if not fits.any() or len(channels[0]) > model.num_decoders:
        return False
    crops = list(islice(_centres(sites[fits], images, side), PANEL_CROPS))
    if not crops:
        return False
    keys = torch.arange(len(crops), dtype=torch.int64)
    publish_panels(folder, model.reconstruct(torch.from_numpy(np.stack(crops)), keys), channels[0])
    return True


def _centres(sites: pd.DataFrame, images: ScreenImages, side: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the central crop of each site whose image can be read."""
    for row in sites.to_dict("records"):
        with suppress(ImageError):
            pixels = images.read(row["locator"], row["channels"], experiment=row["experiment"])
            top, left = ((length - side) // 2 for length in pixels.shape[1:])
            yield pixels[:, top : top + side, left : left + side]


def training_record(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the training record of an encoder made by Phenoprints.

    One that learned nothing has cost nothing; what the weights of others have cost is not known.
    """
    kind = settings["kind"]
    return {"kind": kind, "flops": None if kind in ("openphenom", "timm") else 0.0}


def _vit_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a transformer shares with the trained encoder that it is the baseline of."""
    if not settings["architecture"].removeprefix("ca-").startswith("vit-"):
        return {}
    return {
        "layer_scale": settings.get("layer_scale") or 1.0,
        "patch_px": settings.get("patch_px"),
        "weight_init": settings.get("weight_init") or "mae",
    }


def _channels(
    settings: Mapping[str, Any], channel_sets: list[tuple[str, ...]]
) -> int | tuple[str, ...]:
    if settings.get("num_channels"):
        return int(settings["num_channels"])
    if len(channel_sets) == 1:
        return channel_sets[0]
    name = settings.get("architecture", settings["kind"])
    if name.startswith("ca-"):
        return max((len(names) for names in channel_sets), default=6)
    found = "; ".join(", ".join(names) for names in channel_sets) or "none"
    raise ConfigurationError(
        f"{name}: an untrained encoder with fixed channels needs screens with "
        f"equal channels, got {found}. To fix: give num_channels, or a ca- architecture."
    )
