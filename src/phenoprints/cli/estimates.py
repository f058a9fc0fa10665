"""What a run would take: crops, disk and GPU hours, by stated assumptions.

Arithmetic per 256-pixel crop of 6 channels, in GFLOP, is counted for the paper's encoders (masked
autoencoder with 75 % masking for training); other networks are scaled from parameters and tokens.
A GPU is an H100 at 40 % of its dense bfloat16 peak; published runs reached 4 to 15 %.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GFLOP_PER_SECOND = 395_000.0
SECONDS_PER_HOUR = 3600.0
BYTES = {"float32": 4, "float16": 2}
RING_FROM = 8
DECODED_BYTES_PER_SECOND = 100e6  # PNG and LZW on one core
WELLS_PER_SECOND = {"screens": 70_000.0, "consistency": 14_000.0, "curation": 4_000_000.0}
ALIGNED_NUMBERS_PER_SECOND = 8e6  # wells × features of TVN on one core


@dataclass(frozen=True)
class Network:
    """Cost of a network: GFLOP per crop in training and inference, features, blocks."""

    training: float
    inference: float
    features: int
    blocks: int


_NETWORKS = {
    "vit-tiny": Network(0.3, 0.3, 96, 4),
    "ca-vit-tiny": Network(1.0, 1.0, 96, 4),
    "vit-s16": Network(48, 11.5, 384, 12),
    "ca-vit-s16": Network(87.8, 108.8, 384, 12),
    "vit-b8": Network(210, 190, 768, 12),
    "vit-b16": Network(100, 46, 768, 12),
    "vit-l8": Network(695, 722, 1024, 24),
    "vit-l16": Network(190, 160, 1024, 24),
    "vit-g8": Network(3113, 4108, 1664, 48),
    "mu-net": Network(100, 20, 512, 5),
    "densenet-tiny": Network(1, 0.4, 128, 4),
    "densenet161": Network(62, 20.5, 2208, 4),
}
_TIMM_SIZES = {"tiny": (6, 192, 12), "small": (22, 384, 12), "base": (86, 768, 12),
               "large": (304, 1024, 24), "giant": (1137, 1536, 40)}  # fmt: skip
_UNKNOWN = Network(100, 50, 1024, 24)


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

    @property
    def image_bytes(self) -> float:
        """Bytes of all pixels at one byte each."""
        return self.wells * self.sites * self.channels * self.height_px * self.width_px


def num_crops(height_px: int, width_px: int, screen: Mapping[str, Any]) -> int:
    """Crops of a site: floor(H/crop) × floor(W/crop), without the outer ring where configured."""
    crop_px = int(screen["crop_px"])
    rows, columns = height_px // crop_px, width_px // crop_px
    ring = screen["drop_ring"]
    if ring is True or (ring == "auto" and min(rows, columns) >= RING_FROM):
        rows, columns = rows - 2, columns - 2
    return max(rows, 0) * max(columns, 0)


def network_of(encoder: Mapping[str, Any]) -> Network:
    """The cost of an encoder's network."""
    if encoder["kind"] == "openphenom":
        return _NETWORKS["ca-vit-s16"]
    if encoder["kind"] == "timm":
        return _timm(encoder["model"])
    return _NETWORKS.get(encoder.get("architecture", ""), _UNKNOWN)


def _timm(model: str) -> Network:
    size = next((numbers for word, numbers in _TIMM_SIZES.items() if word in model), None)
    patch = re.search(r"patch(\d+)", model)
    if size is None or patch is None:
        return _UNKNOWN
    parameters, features, blocks = size
    tokens = (256 // int(patch[1])) ** 2
    return Network(0, 2e-3 * parameters * tokens, features, blocks)


@dataclass(frozen=True)
class Cost:
    """GPU hours and bytes of one encoder or pair."""

    gpu_hours: float = 0.0
    stored_bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.gpu_hours + other.gpu_hours, self.stored_bytes + other.stored_bytes)


def embedding_cost(encoder: Mapping[str, Any], size: Size, stored_as: str) -> Cost:
    """What it takes to look at every well of a screen once, and to keep a vector of each."""
    network = network_of(encoder)
    crops = size.wells * size.sites * size.crops
    stored = size.wells * network.features * BYTES[stored_as]
    return Cost(_gpu_hours(crops * network.inference), stored)


def blocks_cost(encoder: Mapping[str, Any], size: Size, stored_as: str) -> Cost:
    """What the features of every block take: one more pass, and a vector per block and well."""
    once = embedding_cost(encoder, size, stored_as)
    return Cost(once.gpu_hours, once.stored_bytes * network_of(encoder).blocks)


def training_cost(encoder: Mapping[str, Any], num_wells: int) -> Cost:
    """What training takes on at most `num_wells` wells: one crop per well and epoch."""
    settings = encoder["training"]
    crops = settings["num_epochs"] * num_wells
    if settings["max_crops"] is not None:
        crops = min(crops, settings["max_crops"])
    return Cost(_gpu_hours(crops * network_of(encoder).training))


def processor_hours(size: Size, features: int, num_judges: int) -> float:
    """Hours of one core for tables, alignment and tests; decoding of pixels where there are any."""
    seconds = size.wells / WELLS_PER_SECOND["screens"] + size.wells / WELLS_PER_SECOND["curation"]
    seconds += num_judges * size.wells / WELLS_PER_SECOND["consistency"]
    seconds += size.wells * features / ALIGNED_NUMBERS_PER_SECOND
    seconds += 2 * size.image_bytes / DECODED_BYTES_PER_SECOND  # quality once, an encoder once
    return seconds / SECONDS_PER_HOUR


def _gpu_hours(gflop: float) -> float:
    return gflop / GFLOP_PER_SECOND / SECONDS_PER_HOUR
