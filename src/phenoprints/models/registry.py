"""Every encoder by name: its numbers, and how to build it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import torch

from phenoprints.foundations.architectures import HEADS, SIZES, TINY
from phenoprints.foundations.errors import ConfigurationError
from phenoprints.models.cnn import DenseNet161, SmallCNN
from phenoprints.models.encoder import Encoder, EncoderConfig, channel_names
from phenoprints.models.initialization import WeightInit, xavier_weights
from phenoprints.models.munet import MuNetEncoder
from phenoprints.models.pretrained import TimmEncoder
from phenoprints.models.simple import StatisticsEncoder
from phenoprints.models.vit import ViTEncoder, ViTShape, vit_config

DEFAULT_CROP_PX = 256
"""Crops of every microscopy encoder of the paper."""


def _vit(width: int, num_blocks: int, mlp_width: int, patch_px: int, num_heads: int) -> ViTShape:
    return ViTShape(width, num_blocks, num_heads, patch_px, mlp_width)


VITS: dict[str, tuple[ViTShape, int]] = {
    # 4 blocks of width 96 for the simulated screen's crops of 32 px
    "vit-tiny": (_vit(*TINY, 3), 32),
    **{
        f"vit-{letter}{patch_px}": (_vit(*sizes, patch_px, HEADS[letter]), DEFAULT_CROP_PX)
        for letter, sizes in SIZES.items()
        for patch_px in (8, 16)
    },
}
"""Shape and crop of each vision transformer."""

OPENPHENOM_CHANNELS = 11
"""Channels for which OpenPhenom's weights hold positions."""

_CNNS: dict[str, tuple[dict[str, object], int]] = {
    "cnn-tiny": ({"widths": [32, 64, 96]}, 32),
    "cnn-small": ({"widths": [32, 64, 128, 256]}, 64),
}

_MU_NETS: dict[str, tuple[dict[str, object], int]] = {
    "mu-net": ({"widths": [64, 128, 256, 512, 1024], "patch_px": 16}, DEFAULT_CROP_PX),
    "mu-net-tiny": ({"widths": [16, 32, 64], "patch_px": 8}, 32),
}

FAMILIES: dict[str, type[Encoder]] = {
    "vit": ViTEncoder,
    "cnn": SmallCNN,
    "densenet161": DenseNet161,
    "mu-net": MuNetEncoder,
    "timm": TimmEncoder,
    "statistics": StatisticsEncoder,
}
"""The class that builds each family."""


def names() -> list[str]:
    """Every registered name, sorted."""
    agnostic = [f"ca-{name}" for name in VITS]
    return sorted([*VITS, *agnostic, *_CNNS, *_MU_NETS, "densenet161"])


def build(
    name: str,
    *,
    channels: int | Sequence[str] = 6,
    crop_px: int | None = None,
    seed: int = 0,
    patch_px: int | None = None,
    layer_scale: float | None = None,
    drop_path: float = 0.0,
    weight_init: WeightInit = "timm",
) -> Encoder:
    """Return a fresh encoder with seeded weights, in evaluation mode.

    Parameters
    ----------
    name
        One of `names()`: `vit-s16`, `vit-l8`, `vit-g8`, `vit-tiny`, `ca-vit-s16`, `densenet161` …
    channels
        Names of the channels in their order, or their number. Channel-agnostic encoders take any;
        they hold positions for this many, at least OpenPhenom's 11.
    crop_px
        Side of the crops; None takes the architecture's own (256, or 32 for the tiny ones).
    seed
        Of the weights: the same seed gives the same weights on every machine.
    patch_px, layer_scale, drop_path
        Change a vision transformer's patch, layer scale (1e-4) and stochastic depth (0).
    weight_init
        First weights of a vision transformer: `timm` or `mae` (see `xavier_weights`).

    Raises
    ------
    ConfigurationError
        Nothing is registered under this name, or an option does not fit the family.
    """
    given = channel_names(tuple(channels) if not isinstance(channels, int) else channels)
    changes = {"patch_px": patch_px, "layer_scale": layer_scale, "drop_path": drop_path or None}
    config = configure(name, given, crop_px=crop_px, changes=changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = from_config(config)
        if weight_init == "mae" and isinstance(encoder, ViTEncoder):
            xavier_weights(encoder)
        return encoder


def configure(
    name: str,
    channels: tuple[str, ...],
    *,
    crop_px: int | None,
    changes: dict[str, int | float | None],
) -> EncoderConfig:
    """Return the configuration of a registered encoder, with the changes that are not None."""
    changed = {key: value for key, value in changes.items() if value is not None}
    if name.removeprefix("ca-") in VITS:
        return _vit_config(name, channels, crop_px, changed)
    if changed:
        raise ConfigurationError(f"{name}: {', '.join(changed)} are options of vit encoders only.")
    architecture: dict[str, object]
    if name in _CNNS:
        family, (architecture, default_px) = "cnn", _CNNS[name]
    elif name in _MU_NETS:
        family, (architecture, default_px) = "mu-net", _MU_NETS[name]
    elif name == "densenet161":
        family, default_px, architecture = name, DEFAULT_CROP_PX, {}
    else:
        raise ConfigurationError(_unknown(name))
    return EncoderConfig(
        name, family, architecture, channels, crop_px or default_px, pool="mean", num_blocks=1
    )


def _vit_config(
    name: str,
    channels: tuple[str, ...],
    crop_px: int | None,
    changed: dict[str, int | float],
) -> EncoderConfig:
    shape, default_px = VITS[name.removeprefix("ca-")]
    numbers = {**vars(shape), **changed}
    if name.startswith("ca-"):
        numbers["max_channels"] = max(len(channels), OPENPHENOM_CHANNELS)
    return vit_config(name, ViTShape(**numbers), channels=channels, crop_px=crop_px or default_px)


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, names(), n=3)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    return f"No encoder is registered as {name!r}.{hint} There are: {', '.join(names())}."


def from_config(config: EncoderConfig) -> Encoder:
    """Return the encoder that a configuration describes, with weights from torch's random state."""
    if config.family not in FAMILIES:
        raise ConfigurationError(
            f"No family of encoders is called {config.family!r}; there are {sorted(FAMILIES)}."
        )
    encoder = FAMILIES[config.family](config)
    return encoder.eval()
