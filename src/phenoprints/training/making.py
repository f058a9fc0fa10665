"""Encoders that are not trained here: untrained networks, and the weights of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from phenoprints.foundations.errors import ConfigurationError
from phenoprints.models import Encoder, build, openphenom, timm_encoder


def make_encoder(
    settings: Mapping[str, Any], *, channel_sets: Iterable[tuple[str, ...]] = (), seed: int = 0
) -> Encoder:
    """The encoder that an entry of the configuration's `encoders` describes.

    Parameters
    ----------
    settings
        `kind` (untrained, openphenom or timm) and that kind's own keys.
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
    encoder = build(
        settings["architecture"],
        channels=_channels(settings, sorted(set(channel_sets))),
        crop_px=settings.get("crop_px"),
        seed=seed,
        layer_scale=settings.get("layer_scale"),
    )
    encoder.config = replace(encoder.config, pool=settings.get("pool") or encoder.config.pool)
    return encoder


def training_record(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the folder of an encoder made here says about its training.

    An untrained one has cost nothing; what the weights of others have cost is not known.
    """
    kind = settings["kind"]
    return {"kind": kind, "flops": 0.0 if kind == "untrained" else None}


def _channels(
    settings: Mapping[str, Any], channel_sets: list[tuple[str, ...]]
) -> int | tuple[str, ...]:
    if settings.get("num_channels"):
        return int(settings["num_channels"])
    if len(channel_sets) == 1:
        return channel_sets[0]
    if settings["architecture"].startswith("ca-"):
        return max((len(names) for names in channel_sets), default=6)
    found = "; ".join(", ".join(names) for names in channel_sets) or "none"
    raise ConfigurationError(
        f"{settings['architecture']}: an untrained encoder with fixed channels needs screens with "
        f"equal channels, got {found}. To fix: give num_channels, or a ca- architecture."
    )
