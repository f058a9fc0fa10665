"""Hand-made statistics of crops as encoders: what a network has to beat."""

# B crops · C channels · H W pixels · D features

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from phenoprints.models.encoder import Encoder, EncoderConfig

GRANULARITY_PX = (3, 5, 9, 17)
"""Sides of the squares of the openings, in pixels."""
SPOT_SD_PX, SPOT_PX = 2.0, 7
"""Smoothing before cells are counted, and the side of the square in which a cell is a maximum."""
SPOT_CONTRAST = 1.0
"""Standard deviations above the mean of the smoothed crop from which a maximum is a cell."""
EPSILON = 1e-6


def granularity(pixels_BCHW: Tensor) -> Tensor:
    """Return the share of each channel's signal that openings of growing squares take away.

    (B, C, 4), in [0, 1]; the signal is what lies above the channel's minimum in the crop. Source:
    Maragos 1989, doi:10.1109/34.192465 (pattern spectrum), with flat squares.
    """
    above = pixels_BCHW - pixels_BCHW.amin(dim=(-2, -1), keepdim=True)
    total = above.mean(dim=(-2, -1)) + EPSILON
    means = [above.mean(dim=(-2, -1))]
    means += [_opened(above, side).mean(dim=(-2, -1)) for side in GRANULARITY_PX]
    return torch.stack([(a - b) / total for a, b in itertools.pairwise(means)], dim=-1)


def _opened(pixels_BCHW: Tensor, side: int) -> Tensor:
    eroded = -functional.max_pool2d(-pixels_BCHW, side, stride=1, padding=side // 2)
    return functional.max_pool2d(eroded, side, stride=1, padding=side // 2)


def correlations(pixels_BCHW: Tensor) -> Tensor:
    """Return Pearson's correlation of each pair of channels in each crop, (B, C·(C - 1)/2).

    0 where a channel is constant.
    """
    flat = pixels_BCHW.flatten(2)
    flat = flat - flat.mean(dim=-1, keepdim=True)
    unit = flat / (flat.norm(dim=-1, keepdim=True) + EPSILON)
    first, second = torch.triu_indices(flat.shape[1], flat.shape[1], 1)
    products: Tensor = unit @ unit.transpose(1, 2)
    return products[:, first, second]


def count_cells(pixels_BCHW: Tensor) -> Tensor:
    """Return the number of bright spots in the first channel of each crop, (B, 1).

    A spot is a maximum of the smoothed channel within SPOT_PX pixels that stands out. Crops cut
    cells, so a well's mean counts density, not whole cells.
    """
    smooth = _smoothed(pixels_BCHW[:, :1])
    mean, sd = smooth.mean(dim=(-2, -1), keepdim=True), smooth.std(dim=(-2, -1), keepdim=True)
    highest = functional.max_pool2d(smooth, SPOT_PX, stride=1, padding=SPOT_PX // 2)
    is_spot = (smooth == highest) & (smooth > mean + SPOT_CONTRAST * sd)
    return is_spot.sum(dim=(-2, -1)).float()


def _smoothed(pixels_B1HW: Tensor) -> Tensor:
    reach = int(3 * SPOT_SD_PX)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=pixels_B1HW.device)
    weights = torch.exp(-0.5 * (offsets / SPOT_SD_PX) ** 2)
    weights = weights / weights.sum()
    padded = functional.pad(pixels_B1HW, [reach] * 4, mode="reflect")
    rows = functional.conv2d(padded, weights[None, None, :, None])
    return functional.conv2d(rows, weights[None, None, None, :])


class StatisticsEncoder(Encoder):
    """Statistics of crops as they are, without standardisation and without weights.

    `simple`: mean and SD of each channel, granularity at four sizes, correlations of the channels.
    `cell-count`: bright spots of the first channel, which must show nuclei.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.is_count = config.name == "cell-count"

    @property
    @override
    def width(self) -> int:
        num_channels = len(self.config.channels)
        if self.is_count:
            return 1
        return num_channels * (2 + len(GRANULARITY_PX)) + num_channels * (num_channels - 1) // 2

    @property
    @override
    def is_channel_agnostic(self) -> bool:
        return False

    @override
    def prepared(self, images_BCHW: Tensor) -> Tensor:
        self._check(images_BCHW)
        return images_BCHW.float()

    @override
    def block_outputs(self, pixels_BCHW: Tensor) -> Iterator[Tensor]:
        with torch.autocast(pixels_BCHW.device.type, enabled=False):
            vectors = self._statistics(pixels_BCHW.float())
        yield vectors[:, None].expand(-1, 2, -1)

    def _statistics(self, pixels_BCHW: Tensor) -> Tensor:
        if self.is_count:
            return count_cells(pixels_BCHW)
        moments = [pixels_BCHW.mean(dim=(-2, -1)), pixels_BCHW.std(dim=(-2, -1))]
        grains = granularity(pixels_BCHW).flatten(1)
        return torch.cat([*moments, grains, correlations(pixels_BCHW)], dim=1)


def statistics_config(name: str, channels: tuple[str, ...], crop_px: int) -> EncoderConfig:
    """Return the configuration of `simple` or `cell-count` on these channels and crops."""
    return EncoderConfig(name, "statistics", {}, channels, crop_px, pool="mean", num_blocks=1)
