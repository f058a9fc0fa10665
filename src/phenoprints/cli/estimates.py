"""What a run would take: crops, disk and GPU hours, by stated assumptions.

Operations of networks are counted by the formulas of `foundations.architectures`, as training does.
A GPU is an H100 at 40 % of its dense bfloat16 peak; published runs reached 4 to 15 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from phenoprints.configuration.models.training import Training
from phenoprints.configuration.references import STATISTICS_KINDS
from phenoprints.foundations.architectures import (
    BACKWARD_FACTOR,
    Convolutional,
    Transformer,
    architecture,
    masked_training_flops,
    transformer_flops,
)

GFLOP_PER_SECOND = 395_000.0
CORE_GFLOP_PER_SECOND = 90.0  # 8 crops of S/16 a second in float32 on one core
SECONDS_PER_HOUR = 3600.0
BYTES = {"float32": 4, "float16": 2}
DECODED_BYTES_PER_SECOND = 100e6  # PNG and LZW on one core
WELLS_PER_SECOND = {"screens": 70_000.0, "consistency": 14_000.0, "curation": 4_000_000.0}
ALIGNED_NUMBERS_PER_SECOND = 8e6  # wells × features of TVN on one core


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
    """Return the cost of an encoder's network on crops of `crop_px` with this many channels."""
    if encoder["kind"] in STATISTICS_KINDS:
        features = channels * 6 + channels * (channels - 1) // 2
        return Network(0.0, 0.0, features if encoder["kind"] == "simple" else 1, 1)
    name = {"openphenom": "ca-vit-s16"}.get(encoder["kind"], encoder.get("architecture", ""))
    shape = architecture(encoder["model"] if encoder["kind"] == "timm" else name)
    patch_px = encoder.get("patch_px") or encoder.get("training", {}).get("patch_px")
    if isinstance(shape, Transformer) and patch_px:
        shape = replace(shape, patch_px=int(patch_px))
    if isinstance(shape, Convolutional):
        once = shape.flops_per_pixel * crop_px**2
    else:
        once = transformer_flops(shape, crop_px=crop_px, num_channels=channels)
    step = BACKWARD_FACTOR * once
    if encoder["kind"] == "mae" and isinstance(shape, Transformer):
        step = _masked_step(encoder, shape, crop_px, channels)
    return Network(step / 1e9, once / 1e9, shape.width, shape.num_blocks)


def _masked_step(
    encoder: Mapping[str, Any], shape: Transformer, crop_px: int, channels: int
) -> float:
    """Operations of one crop in the training of a masked autoencoder."""
    training = {**Training().given(), **encoder.get("training", {})}
    return masked_training_flops(
        shape,
        (training["decoder_width"], training["decoder_blocks"]),
        crop_px=crop_px,
        num_channels=channels,
        mask_fraction=training["mask_fraction"],
        predicts_all=training["fourier_weight"] > 0 and training["fourier_loss"] != "patch",
    )


@dataclass(frozen=True)
class Cost:
    """GPU hours and bytes of one encoder or pair."""

    gpu_hours: float = 0.0
    stored_bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.gpu_hours + other.gpu_hours, self.stored_bytes + other.stored_bytes)


def embedding_cost(encoder: Mapping[str, Any], size: Size, stored_as: str) -> Cost:
    """Estimate the cost of embedding every well of a screen once."""
    network = network_of(encoder, size.crop_px, size.channels)
    crops = size.wells * size.sites * size.crops
    stored = size.wells * network.features * BYTES[stored_as]
    return Cost(_gpu_hours(crops * network.inference), stored)


def crops_cost(encoder: Mapping[str, Any], size: Size, stored_as: str) -> Cost:
    """Estimate the additional cost of storing the vector of every crop."""
    once = embedding_cost(encoder, size, stored_as)
    return Cost(stored_bytes=once.stored_bytes * size.sites * size.crops)


def blocks_cost(encoder: Mapping[str, Any], size: Size, stored_as: str) -> Cost:
    """Estimate the cost of block features: one more pass, and a vector per block and well."""
    once = embedding_cost(encoder, size, stored_as)
    return Cost(once.gpu_hours, once.stored_bytes * network_of(encoder).blocks)


def training_cost(encoder: Mapping[str, Any], sizes: Sequence[Size]) -> Cost:
    """Estimate the cost of training on at most all wells of some screens."""
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
