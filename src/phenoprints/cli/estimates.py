"""What a run would take: crops, disk and GPU hours, by stated assumptions.

Arithmetic of a transformer: 2 FLOP per weight and token, 4 per pair of tokens and width in each
block; training is three forward passes, of a masked autoencoder over a quarter of the tokens and
over all of them in the decoder. That gives 722 GFLOP a crop for L/8 and 4,108 for G/8, as counted.
A GPU is an H100 at 40 % of its dense bfloat16 peak; published runs reached 4 to 15 %.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GFLOP_PER_SECOND = 395_000.0
CORE_GFLOP_PER_SECOND = 90.0  # 8 crops of S/16 a second in float32 on one core
SECONDS_PER_HOUR = 3600.0
BYTES = {"float32": 4, "float16": 2}
DECODED_BYTES_PER_SECOND = 100e6  # PNG and LZW on one core
WELLS_PER_SECOND = {"screens": 70_000.0, "consistency": 14_000.0, "curation": 4_000_000.0}
ALIGNED_NUMBERS_PER_SECOND = 8e6  # wells × features of TVN on one core


MASKED_SHARE = 0.25
DECODER = {"decoder_width": 512, "decoder_blocks": 8}
PASSES_OF_TRAINING = 3

# Width, blocks and MLP width by size.
_SIZES = {
    "t": (192, 12, 768),
    "s": (384, 12, 1536),
    "b": (768, 12, 3072),
    "l": (1024, 24, 4096),
    "h": (1280, 32, 5120),
    "g": (1664, 48, 8192),
}
_TIMM_SIZES = {
    "tiny": (192, 12, 768),
    "small": (384, 12, 1536),
    "base": (768, 12, 3072),
    "large": (1024, 24, 4096),
    "giant": (1536, 40, 6144),
}
# GFLOP per megapixel of one crop, features and blocks of networks that are no transformers.
_CONVOLUTIONAL = {
    "cnn-small": (48, 256, 1),
    "cnn-tiny": (29, 96, 1),
    "densenet161": (315, 2208, 1),
    "mu-net": (523, 1024, 1),
    "mu-net-tiny": (20, 64, 1),
}


@dataclass(frozen=True)
class Size:
    """How large a screen is; `crops` are those of one site, pixels those of one channel."""

    wells: int
    experiments: int
    sites: float = 0.0
    channels: int = 0
    height_px: int = 0
    width_px: int = 0
    crops: int = 0
    crop_px: int = 256

    @property
    def image_bytes(self) -> float:
        """Bytes of all pixels at one byte each."""
        return self.wells * self.sites * self.channels * self.height_px * self.width_px


@dataclass(frozen=True)
class Network:
    """Cost of a network: GFLOP per crop in training and in inference, features, blocks."""

    training: float
    inference: float
    features: int
    blocks: int


def network_of(encoder: Mapping[str, Any], crop_px: int = 256, channels: int = 6) -> Network:
    """The cost of an encoder's network on crops of `crop_px` with this many channels."""
    name = {"openphenom": "ca-vit-s16"}.get(encoder["kind"], encoder.get("architecture", ""))
    if encoder["kind"] == "timm":
        name = encoder["model"]
    for family, numbers in _CONVOLUTIONAL.items():
        if name == family:
            gflop = numbers[0] * crop_px**2 / 1e6
            return Network(PASSES_OF_TRAINING * gflop, gflop, *numbers[1:])
    shape, patch_px = _transformer(name)
    patches = (crop_px / patch_px) ** 2
    is_agnostic = name.startswith("ca-")
    tokens = patches * channels if is_agnostic else patches
    once = _gflop(shape, tokens)
    width, blocks, _ = shape
    if encoder["kind"] != "mae":
        return Network(PASSES_OF_TRAINING * once, once, width, blocks)
    decoder = {**DECODER, **encoder.get("training", {})}
    wide = decoder["decoder_width"]
    if is_agnostic:  # a decoder of one block for each channel
        decoding = channels * _gflop((wide, 1, 4 * wide), patches)
    else:
        decoding = _gflop((wide, decoder["decoder_blocks"], 4 * wide), tokens)
    step = _gflop(shape, MASKED_SHARE * tokens) + decoding
    return Network(PASSES_OF_TRAINING * step, once, width, blocks)


def _transformer(name: str) -> tuple[tuple[int, int, int], int]:
    """Shape and patch by name: ours (`ca-vit-l8`), or timm's (`vit_large_patch14_…`)."""
    if name.endswith("vit-tiny"):
        return (96, 4, 384), 8
    if ours := re.fullmatch(r"(?:ca-)?vit-([tsblhg])(\d+)", name):
        return _SIZES[ours[1]], int(ours[2])
    patch = re.search(r"patch(\d+)", name)
    size = next((shape for word, shape in _TIMM_SIZES.items() if word in name), _SIZES["b"])
    return size, int(patch[1]) if patch else 16


def _gflop(shape: tuple[int, int, int], tokens: float) -> float:
    width, blocks, mlp_width = shape
    weights = blocks * (4 * width**2 + 2 * width * mlp_width)
    return (2 * weights * tokens + 4 * tokens**2 * width * blocks) / 1e9


@dataclass(frozen=True)
class Cost:
    """GPU hours and bytes of one encoder or pair."""

    gpu_hours: float = 0.0
    stored_bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.gpu_hours + other.gpu_hours, self.stored_bytes + other.stored_bytes)


def embedding_cost(encoder: Mapping[str, Any], size: Size, stored_as: str) -> Cost:
    """What it takes to look at every well of a screen once, and to keep a vector of each."""
    network = network_of(encoder, size.crop_px, size.channels)
    crops = size.wells * size.sites * size.crops
    stored = size.wells * network.features * BYTES[stored_as]
    return Cost(_gpu_hours(crops * network.inference), stored)


def crops_cost(encoder: Mapping[str, Any], size: Size, stored_as: str) -> Cost:
    """What it takes to keep the vector of every crop, beside looking."""
    once = embedding_cost(encoder, size, stored_as)
    return Cost(stored_bytes=once.stored_bytes * size.sites * size.crops)


def blocks_cost(encoder: Mapping[str, Any], size: Size, stored_as: str) -> Cost:
    """What the features of every block take: one more pass, and a vector per block and well."""
    once = embedding_cost(encoder, size, stored_as)
    return Cost(once.gpu_hours, once.stored_bytes * network_of(encoder).blocks)


def training_cost(encoder: Mapping[str, Any], sizes: Sequence[Size]) -> Cost:
    """What training takes on at most all wells of some screens: one crop per well and epoch."""
    num_wells = sum(size.wells for size in sizes)
    crop_px, channels = (sizes[0].crop_px, sizes[0].channels) if sizes else (256, 6)
    settings = encoder["training"]
    crops = settings["num_epochs"] * num_wells
    if settings["max_crops"] is not None:
        crops = min(crops, settings["max_crops"])
    return Cost(_gpu_hours(crops * network_of(encoder, crop_px, channels).training))


def processor_hours(size: Size, features: int, num_judges: int) -> float:
    """Hours of one core for tables, alignment and tests; decoding of pixels where there are any."""
    seconds = size.wells / WELLS_PER_SECOND["screens"] + size.wells / WELLS_PER_SECOND["curation"]
    seconds += num_judges * size.wells / WELLS_PER_SECOND["consistency"]
    seconds += size.wells * features / ALIGNED_NUMBERS_PER_SECOND
    seconds += 2 * size.image_bytes / DECODED_BYTES_PER_SECOND  # quality once, an encoder once
    return seconds / SECONDS_PER_HOUR


def _gpu_hours(gflop: float) -> float:
    return gflop / GFLOP_PER_SECOND / SECONDS_PER_HOUR
