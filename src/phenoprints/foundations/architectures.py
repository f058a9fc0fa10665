"""Networks by name, known without torch: shapes, and floating-point operations on one crop.

`phenoprints.models` builds networks of these shapes and counts their operations by these formulas;
`phenoprints check` uses both before anything is built.
"""

# A multiplication and an addition are two operations; norms, biases and activations are left out.

from __future__ import annotations

import re
from dataclasses import dataclass

BACKWARD_FACTOR = 3
"""Forward and backward together cost three forward passes."""

HEADS = {"t": 3, "s": 6, "b": 12, "l": 16, "h": 16, "g": 16}
"""Attention heads of the transformers, by the letter of their size."""


@dataclass(frozen=True)
class Transformer:
    """The numbers of a vision transformer that decide its operations."""

    width: int
    num_blocks: int
    mlp_width: int
    patch_px: int
    is_agnostic: bool = False

    def num_tokens(self, crop_px: int, num_channels: int) -> int:
        """Return the patches of a crop, of every channel for a channel-agnostic encoder."""
        return (crop_px // self.patch_px) ** 2 * (num_channels if self.is_agnostic else 1)

    def pixels_of_patch(self, num_channels: int) -> int:
        """Return the pixels of one token."""
        return self.patch_px**2 * (1 if self.is_agnostic else num_channels)


SIZES = {
    "t": (192, 12, 768),
    "s": (384, 12, 1536),
    "b": (768, 12, 3072),
    "l": (1024, 24, 4096),
    "h": (1280, 32, 5120),
    "g": (1664, 48, 8192),  # Zhai et al. 2022
}
"""Width, blocks and MLP width of the transformers, by letter."""

TINY = (96, 4, 384, 4)
"""Width, blocks, MLP width and patch of the transformer for the simulated screen."""

_TIMM_SIZES = {
    "tiny": SIZES["t"],
    "small": SIZES["s"],
    "base": SIZES["b"],
    "large": SIZES["l"],
    "giant": (1536, 40, 6144),
}


@dataclass(frozen=True)
class Convolutional:
    """A convolutional network, with operations per pixel of crops of 6 channels."""

    flops_per_pixel: float
    width: int
    num_blocks: int


CONVOLUTIONAL = {
    "cnn-small": Convolutional(48_480, 256, 1),
    "cnn-tiny": Convolutional(28_896, 96, 1),
    "densenet161": Convolutional(315_000, 2208, 1),
    "mu-net": Convolutional(523_008, 1024, 1),
    "mu-net-tiny": Convolutional(20_160, 64, 1),
}


def architecture(name: str) -> Transformer | Convolutional:
    """Return the shape of a network by name: ours (`ca-vit-l8`) or timm's (`vit_large_patch14_…`).

    A transformer of timm with an unknown size is taken for a base one.
    """
    if name in CONVOLUTIONAL:
        return CONVOLUTIONAL[name]
    is_agnostic = name.startswith("ca-")
    if name.endswith("vit-tiny"):
        return Transformer(*TINY, is_agnostic)
    if ours := re.fullmatch(r"(?:ca-)?vit-([tsblhg])(\d+)", name):
        return Transformer(*SIZES[ours[1]], int(ours[2]), is_agnostic)
    patch = re.search(r"patch(\d+)", name)
    size = next((shape for word, shape in _TIMM_SIZES.items() if word in name), SIZES["b"])
    return Transformer(*size, int(patch[1]) if patch else 16)


def block_flops(width: int, mlp_width: int, num_tokens: int) -> int:
    """Return operations of one transformer block on one crop."""
    projections = 4 * width * width + 2 * width * mlp_width
    return 2 * num_tokens * projections + 4 * num_tokens**2 * width


def transformer_flops(
    shape: Transformer, *, crop_px: int, num_channels: int, num_visible: int | None = None
) -> int:
    """Return operations of a forward pass of one crop; of `num_visible` tokens where given."""
    patches = shape.num_tokens(crop_px, num_channels)
    tokens = 1 + (patches if num_visible is None else num_visible)
    blocks = shape.num_blocks * block_flops(shape.width, shape.mlp_width, tokens)
    return blocks + 2 * patches * shape.pixels_of_patch(num_channels) * shape.width


def decoder_flops(
    width: int, num_blocks: int, *, num_patches: int, num_channels: int, is_agnostic: bool
) -> int:
    """Return operations of a forward pass of a decoder on one crop."""
    if not is_agnostic:
        return num_blocks * block_flops(width, 4 * width, 1 + num_patches)
    own = num_patches // num_channels
    blocks = num_blocks * block_flops(width, 4 * width, own)
    # Queries and output once per token, keys and values of all tokens for every channel again.
    attention = 4 * own * width**2 + 4 * num_patches * width**2 + 4 * own * num_patches * width
    mlp = 16 * own * width**2
    return num_channels * (blocks + attention + mlp)


def masked_training_flops(
    shape: Transformer,
    decoder: tuple[int, int],
    *,
    crop_px: int,
    num_channels: int,
    mask_fraction: float,
    predicts_all: bool,
) -> int:
    """Return operations of training a masked autoencoder on one crop, forward and backward.

    Parameters
    ----------
    shape
        Of the encoder.
    decoder
        Width and blocks (of each channel's decoder, for a channel-agnostic encoder).
    crop_px, num_channels
        Of the crop.
    mask_fraction
        Share of the patches that is hidden.
    predicts_all
        Whether visible patches are predicted too.
    """
    patches = shape.num_tokens(crop_px, num_channels)
    kept = max(int(patches * (1.0 - mask_fraction)), 1)
    width, num_blocks = decoder
    bridge = 2 * (1 + kept) * shape.width * width
    predicted = patches if predicts_all else patches - kept
    head = 2 * predicted * width * shape.pixels_of_patch(num_channels)
    encoding = transformer_flops(
        shape, crop_px=crop_px, num_channels=num_channels, num_visible=kept
    )
    decoding = decoder_flops(
        width, num_blocks, num_patches=patches, num_channels=num_channels,
        is_agnostic=shape.is_agnostic,
    )  # fmt: skip
    return BACKWARD_FACTOR * (encoding + bridge + head + decoding)
