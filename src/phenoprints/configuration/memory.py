"""Memory that a training job asks for: it follows from its wells, its crops and its network."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROCESS_MB = 3_500
"""A process with torch and a card, before it holds anything."""
VALIDATION_MB = 500
WELL_BYTES, SITE_BYTES = 120, 180
"""Largest while a training set is read, a locator of 60 characters and its index included."""
MODEL_BYTES = 16
"""Of each weight: itself, its gradient and two averages, or what a checkpoint gathers of them."""
DECODER_MILLIONS, NUM_CHANNELS = 25, 6
MILLIONS = {"tiny": 1, "t": 6, "s": 22, "b": 86, "l": 304, "h": 630, "g": 1843}
"""Weights of the transformers, in millions, by the letter of their size."""
OTHER_MILLIONS = 40
CROP_PX, TINY_CROP_PX = 256, 32


def training_memory_mb(
    encoder: Mapping[str, Any], *, num_wells: int = 0, num_sites: int = 0
) -> int:
    """Megabytes of main memory for a training job on each of its nodes.

    Every device has a process with the training set, decoded images, crops kept aside and crops
    read ahead; the first one gathers the checkpoint.

    Parameters
    ----------
    encoder
        The encoder's entry in the resolved configuration.
    num_wells, num_sites
        Of the training set; 0 where they are not known yet.
    """
    training = encoder["training"]
    corpus = (num_wells * WELL_BYTES + num_sites * SITE_BYTES) / 1e6
    own = PROCESS_MB + VALIDATION_MB + training["cache_mb"] + corpus + _read_ahead_mb(encoder)
    return int(training["devices"] * own + _model_mb(encoder["architecture"]))


def _read_ahead_mb(encoder: Mapping[str, Any]) -> float:
    training = encoder["training"]
    is_tiny = "tiny" in encoder["architecture"]
    crop_px = encoder.get("crop_px") or (TINY_CROP_PX if is_tiny else CROP_PX)
    share = training["batch_size"] / (training["devices"] * training["nodes"])
    num_crops = min(training["micro_batch_size"] or share, share)
    num_batches = 2 * training["num_workers"] + 2
    return float(num_batches * num_crops * NUM_CHANNELS * crop_px**2 / 1e6)


def _model_mb(architecture: str) -> float:
    found = re.fullmatch(r"(ca-)?vit-(tiny|[a-z])\d*", architecture)
    millions = MILLIONS.get(found[2], OTHER_MILLIONS) if found else OTHER_MILLIONS
    decoders = 1 if not found or not found[1] else NUM_CHANNELS
    return MODEL_BYTES * (millions + decoders * DECODER_MILLIONS)


def learned_counts(images: Sequence[str], manifest: str | None) -> tuple[int, int]:
    """Wells and sites that a training job learns from, as the files beside its inputs state them.

    Parameters
    ----------
    images
        Paths of images.json of each screen; notes.json beside it counts wells and sites.
    manifest
        Path of the provenance of a manifest, which counts its wells; None: all wells.

    0 and 0 while these files are not there, as on a dry run.
    """
    try:
        counts = [_read(Path(path).with_name("notes.json"))["counts"] for path in images]
        num_wells = sum(count["wells"] for count in counts)
        num_sites = sum(count["sites"] for count in counts)
        if manifest is None:
            return num_wells, num_sites
        chosen = int(_read(Path(manifest))["rows"]["out"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0
    return chosen, -(-chosen * num_sites // max(num_wells, 1))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
