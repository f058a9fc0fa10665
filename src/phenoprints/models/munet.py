"""MU-Net: a U-Net that fills in hidden patches, the convolutional masked autoencoder of 2023."""

# B crops · C channels · H W pixels · N patches · p pixels along a patch

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from phenoprints.models.cnn import ConvolutionalEncoder
from phenoprints.models.encoder import EncoderConfig
from phenoprints.models.losses import LossSettings, reconstruction_loss
from phenoprints.models.mae import Reconstruction
from phenoprints.models.masking import Mask, random_mask
from phenoprints.models.patches import patchify


def _double_convolution(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class MuNetEncoder(ConvolutionalEncoder):
    """The way down of a U-Net: two convolutions per stage, the side halved between stages.

    The features are the mean of the last and smallest map.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.widths = [int(w) for w in config.architecture["widths"]]
        self.patch_px = int(config.architecture["patch_px"])
        befores = [len(config.channels), *self.widths[:-1]]
        self.stages = nn.ModuleList(
            [_double_convolution(b, a) for b, a in zip(befores, self.widths, strict=True)]
        )

    @property
    @override
    def width(self) -> int:
        return self.widths[-1]

    def feature_maps(self, pixels_BCHW: Tensor) -> list[Tensor]:
        """Return the map of every stage, the largest first."""
        maps: list[Tensor] = []
        for number, stage in enumerate(self.stages):
            below = maps[-1] if maps else pixels_BCHW
            maps.append(stage(functional.max_pool2d(below, 2) if number else below))
        return maps

    @override
    def feature_map(self, pixels_BCHW: Tensor) -> Tensor:
        return self.feature_maps(pixels_BCHW)[-1]


class MuNetDecoder(nn.Module):
    """The way up: maps are doubled in side and joined with those of the way down."""

    def __init__(self, widths: list[int], num_channels: int) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(reversed(widths)))
        self.up = nn.ModuleList([nn.ConvTranspose2d(b, a, 2, stride=2) for b, a in pairs])
        self.stages = nn.ModuleList([_double_convolution(2 * a, a) for _, a in pairs])
        self.head = nn.Conv2d(widths[0], num_channels, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Pixels (B, C, H, W) from the maps of the way down, the largest first."""
        x = maps[-1]
        skips = reversed(maps[:-1])
        for up, stage, skip in zip(self.up, self.stages, skips, strict=True):
            x = stage(torch.cat([up(x), skip], dim=1))
        pixels: Tensor = self.head(x)
        return pixels


class ConvolutionalMaskedAutoencoder(nn.Module):
    """MU-Net: patches of the standardised crop are set to 0, their mean, and filled in again.

    The same masks, losses and methods as `MaskedAutoencoder`. Kraus et al. 2023 hide a quarter.
    """

    def __init__(
        self,
        encoder: MuNetEncoder,
        *,
        mask_ratio: float = 0.25,
        loss: LossSettings | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.mask_ratio = encoder, mask_ratio
        self.loss_settings = loss or LossSettings()
        self.decoder = MuNetDecoder(encoder.widths, len(encoder.channels))

    def forward(
        self, images_BCHW: Tensor, keys_B: Tensor, _channels: Sequence[int] | None = None
    ) -> dict[str, Tensor]:
        """Return the parts of the loss over hidden patches, `loss` first: scalars in float32."""
        pixels, hidden, prediction = self._filled(images_BCHW, keys_B)
        p = self.encoder.patch_px
        return reconstruction_loss(
            patchify(prediction, p),
            patchify(pixels, p),
            hidden.float(),
            self.loss_settings,
            num_channels=pixels.shape[1],
        )

    def _filled(self, images_BCHW: Tensor, keys_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised pixels, whether each patch is hidden (B, N), and the prediction."""
        pixels = self.encoder.prepared(images_BCHW)
        grid = pixels.shape[-1] // self.encoder.patch_px
        mask: Mask = random_mask(keys_B.to(pixels.device), grid**2, self.mask_ratio)
        seen = pixels * (~self._of_pixels(mask.is_hidden, grid)).to(pixels.dtype)
        return pixels, mask.is_hidden, self.decoder(self.encoder.feature_maps(seen))

    def _of_pixels(self, hidden_BN: Tensor, grid: int) -> Tensor:
        """Whether each pixel is hidden, (B, 1, H, W)."""
        p = self.encoder.patch_px
        patches = hidden_BN.reshape(-1, 1, grid, grid)
        return patches.repeat_interleave(p, dim=2).repeat_interleave(p, dim=3)

    def reconstruct(
        self,
        images_BCHW: Tensor,
        keys_B: Tensor,
        _channels: Sequence[int] | None = None,
        *,
        every_block: bool = False,
    ) -> Reconstruction:
        """Predict every pixel, without gradients; the network counts as one block."""
        with torch.inference_mode():
            pixels, hidden, prediction = self._filled(images_BCHW, keys_B)
            grid = pixels.shape[-1] // self.encoder.patch_px
            shown = self._of_pixels(hidden, grid).expand_as(pixels)
        by_block = prediction.float()[None] if every_block else None
        return Reconstruction(pixels, prediction.float(), shown, by_block)
