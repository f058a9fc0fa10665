"""All metrics of one image."""

# C channels · H W pixels

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.errors import ConfigurationError, DataError
from phenoprints.quality.artefacts import (
    channel_correlations,
    copied_percent,
    debris_percent,
    image_fingerprint,
)
from phenoprints.quality.metrics import (
    blank_percent,
    illumination_unevenness,
    intensity_metrics,
    laplacian_variance,
    power_log_log_slope,
    slopes_across,
)
from phenoprints.quality.nuclei import nuclei_metrics

NUCLEUS_NAMES = re.compile(r"(^|_|orig)(dna|hoechst|dapi|nuclei|nucleus|nuclear|draq5|h2b)")
"""What the names of channels with nuclei contain, as `column_name` writes them."""
MIN_SIDE_PX = 32
LEVELS = (50, 99)


def measure(
    image: NDArray[np.unsignedinteger],
    channels: Sequence[str] | None = None,
    *,
    nucleus_channel: str | None = None,
    max_value: int | None = None,
    windows: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """Return the metrics of an image (C, H, W) by name; those of a channel end with `_<channel>`.

    Parameters
    ----------
    image
        uint8 or uint16, at least 32 pixels on each side.
    channels
        Names of the channels; `channel_1`, … when absent.
    nucleus_channel
        The channel with nuclei; None takes the first named DNA, Hoechst, DAPI or nuclei. Where none
        is, what is known of nuclei is NaN.
    max_value
        The value of a saturated pixel; the largest of the image's type when absent.
    windows
        Where 16 bits became 8: the values of each channel that became 0 and 255.

    Returns
    -------
    Per channel: mean, std, percentile_1 … percentile_99, minimum_percent, maximum_percent,
    saturated_percent, blank_percent, background_slope_x and _y, background_range, noise_slope_x and
    _y, level_50 and level_99 (percentiles on the camera's scale, before a window),
    power_log_log_slope, laplacian_variance, sharpness (Laplacian variance over variance),
    illumination_unevenness, copied_percent. Of the image: nuclei_count, nuclei_area,
    nuclei_intensity, nuclei_condensation_10 … _90, debris_percent, correlation_<a>_<b>, and
    `fingerprint`, a text. What cannot be told is NaN.

    Raises
    ------
    DataError
        Not three axes, another type, too small, or names that do not match the channels.
    ConfigurationError
        `nucleus_channel` is no channel of the image.
    """
    names = _channel_names(image, channels)
    top = int(np.iinfo(image.dtype).max if max_value is None else max_value)
    pixels = image.astype(np.float32)
    result: dict[str, Any] = {}
    for name, plane in zip(names, image, strict=True):
        result |= {f"{key}_{name}": value for key, value in intensity_metrics(plane, top).items()}
        result[f"copied_percent_{name}"] = copied_percent(plane)
        result[f"blank_percent_{name}"] = blank_percent(plane)
    result |= _levels(result, names, channels, windows or {})
    sharpness = laplacian_variance(image)
    for c, name in enumerate(names):
        variance = result[f"std_{name}"] ** 2
        result[f"sharpness_{name}"] = sharpness[c] / variance if variance > 0 else np.nan
    result |= _named("laplacian_variance", names, sharpness)
    result |= _named("power_log_log_slope", names, power_log_log_slope(pixels))
    result |= _named("illumination_unevenness", names, illumination_unevenness(pixels))
    for metric, values in slopes_across(image).items():
        result |= _named(metric, names, values)
    pairs = [f"{a}_{b}" for a, b in combinations(names, 2)]
    result |= _named("correlation", pairs, channel_correlations(pixels))
    nucleus = find_nucleus_channel(names, nucleus_channel)
    result |= nuclei_metrics(image[names.index(nucleus)] if nucleus is not None else None)
    result["debris_percent"] = debris_percent(image, top)
    result["fingerprint"] = image_fingerprint(image)
    return result


def _levels(
    metrics: Mapping[str, Any],
    names: Sequence[str],
    channels: Sequence[str] | None,
    windows: Mapping[str, tuple[int, int]],
) -> dict[str, float]:
    """Two percentiles of each channel before its window was applied."""
    levels = {}
    for name, channel in zip(names, channels or names, strict=True):
        low, high = windows.get(channel, (0, 255))
        for p in LEVELS:
            value = metrics[f"percentile_{p}_{name}"]
            levels[f"level_{p}_{name}"] = low + value * (high - low) / 255
    return levels


def _named(metric: str, names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    return {f"{metric}_{name}": float(value) for name, value in zip(names, values, strict=True)}


def column_name(channel: str) -> str:
    """Return the channel's name as it ends metric names: lower case, letters and digits."""
    return re.sub(r"[^a-z0-9]+", "_", channel.lower()).strip("_")


def _channel_names(image: NDArray[Any], channels: Sequence[str] | None) -> list[str]:
    if image.ndim != 3 or image.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"image: {image.dtype} of shape {image.shape}. Expected uint8 or uint16 (C, H, W)."
        )
    if min(image.shape[1:]) < MIN_SIDE_PX:
        raise DataError(f"image: {image.shape[1:]} pixels. Expected at least 32 on each side.")
    given = channels if channels is not None else [f"channel {c + 1}" for c in range(len(image))]
    names = [column_name(name) for name in given]
    if len(names) != len(image) or len(set(names)) != len(names):
        raise DataError(
            f"channels: {list(given)} for {len(image)} channels. Expected one distinct name each."
        )
    return names


def find_nucleus_channel(channels: Sequence[str], chosen: str | None = None) -> str | None:
    """Return the name, as metrics end with it, of the channel that shows nuclei; None if unknown.

    Parameters
    ----------
    channels
        Names of the channels.
    chosen
        The channel that the configuration names (`quality.nucleus_channel`).

    Raises
    ------
    ConfigurationError
        `chosen` is not one of the channels.
    """
    names = [column_name(name) for name in channels]
    if chosen is None:
        return next((name for name in names if NUCLEUS_NAMES.search(name)), None)
    if column_name(chosen) not in names:
        raise ConfigurationError(
            f"quality.nucleus_channel: {chosen!r} is no channel. Expected one of "
            f"{', '.join(names)}."
        )
    return column_name(chosen)
