"""What every encoder is: crops go in, one vector per crop and block comes out."""

# B crops · C channels · H W pixels · N tokens · D features · L blocks

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from phenoprints.foundations.errors import DataError
from phenoprints.foundations.fingerprints import canonical_json
from phenoprints.models.standardization import self_standardize

Pool = Literal["mean", "class", "channel"]
POOLS: tuple[Pool, ...] = ("mean", "class", "channel")


@dataclass(frozen=True)
class EncoderConfig:
    """All that is needed to build an encoder again, apart from its weights.

    Attributes
    ----------
    name
        The registered name, e.g. `vit-l8`.
    family
        Which class builds it: vit, cnn, densenet161, mu-net, timm.
    architecture
        The family's own numbers: width, blocks, heads, patch and so on.
    channels
        Names of the input channels in their order; empty where any channels will do.
    crop_px
        Side of the square crops that the encoder takes.
    pool
        How a block's output becomes one vector: `mean` of the patch tokens, `class` token, or the
        mean per `channel` one after the other (channel-agnostic encoders).
    num_blocks
        Blocks that are there; fewer than the architecture's when the encoder was trimmed.
    """

    name: str
    family: str
    architecture: Mapping[str, Any]
    channels: tuple[str, ...]
    crop_px: int
    pool: Pool
    num_blocks: int
    trimmed_from: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return {**asdict(self), "channels": list(self.channels)}


class Encoder(nn.Module, ABC):
    """An encoder of crops. Weights are parameters; nothing is read from or written to files.

    Families implement `block_outputs`, which yields each block's tokens, and `width`.
    """

    config: EncoderConfig

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config

    @property
    @abstractmethod
    def width(self) -> int:
        """Features of one token."""

    @abstractmethod
    def block_outputs(self, pixels_BCHW: Tensor) -> Iterator[Tensor]:
        """Yield the output (B, 1 + N, D) of each block: class token first, then patch tokens.

        `pixels_BCHW` is standardised already. Networks without a class token put the mean there.
        """

    @property
    def crop_px(self) -> int:
        """Side in pixels of the crops that the encoder takes."""
        return self.config.crop_px

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in the order in which they must come; empty: any will do."""
        return self.config.channels

    @property
    def num_channels(self) -> int | None:
        """Channels that the encoder takes, None when any number will do."""
        return len(self.config.channels) or None

    @property
    def num_blocks(self) -> int:
        """Blocks, each of which gives features; counted from 1."""
        return self.config.num_blocks

    @property
    def num_features(self) -> int:
        """Length D of a feature vector (per channel, with the pool `channel`)."""
        return self.width

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def prepared(self, images_BCHW: Tensor) -> Tensor:
        """Return crops checked, on the encoder's device and standardised, float32 (B, C, H, W)."""
        self._check(images_BCHW)
        return self_standardize(images_BCHW.to(self.device, non_blocking=True))

    def features(
        self,
        images_BCHW: Tensor,
        blocks: Literal["last", "all"] = "last",
        pool: Pool | None = None,
    ) -> Tensor:
        """One vector per crop, from one forward pass, pooled inside and never normed.

        Parameters
        ----------
        images_BCHW
            uint8, or floating point from 0 to 255, (B, C, crop_px, crop_px) on any device.
        blocks
            `last`, or `all` blocks at once.
        pool
            `mean`, `class` or `channel`; None takes the encoder's own.

        Returns
        -------
        Tensor
            float32 on the encoder's device: (B, D) for `last`, (B, L, D) for `all`. With the pool
            `channel`, D is the number of channels times `num_features`.

        Raises
        ------
        DataError
            The crops have another size or number of channels than the encoder takes.
        """
        chosen = pool or self.config.pool
        with torch.inference_mode():
            outputs = self.block_outputs(self.prepared(images_BCHW))
            num_channels = images_BCHW.shape[1]
            if blocks == "all":
                pooled = [self.pooled(tokens, chosen, num_channels) for tokens in outputs]
                return torch.stack(pooled, dim=1)
            last = None
            for last in outputs:  # noqa: B007 - only the last block's tokens are wanted
                pass
            assert last is not None
            return self.pooled(last, chosen, num_channels)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the features of the last block, with gradients: (B, D)."""
        *_, last = self.block_outputs(self.prepared(images_BCHW))
        return self.pooled(last, self.config.pool, images_BCHW.shape[1])

    def pooled(self, tokens_BND: Tensor, pool: Pool, num_channels: int) -> Tensor:
        """Return the block's tokens as one float32 vector per crop."""
        if pool == "class":
            return tokens_BND[:, 0].float()
        patches_BND = tokens_BND[:, 1:]
        if pool == "mean":
            return patches_BND.mean(dim=1, dtype=torch.float32)
        if not self.is_channel_agnostic:
            raise DataError(
                f"{self.config.name}: the pool 'channel' needs a channel-agnostic encoder. "
                "Choose 'mean' or 'class'."
            )
        B, _, D = patches_BND.shape
        per_channel = patches_BND.reshape(B, num_channels, -1, D)
        return per_channel.mean(dim=2, dtype=torch.float32).flatten(1)

    @property
    def is_channel_agnostic(self) -> bool:
        """Whether any number and order of channels will do."""
        return self.num_channels is None

    def trimmed(self, block: int) -> Encoder:
        """Return an encoder that ends after `block` (from 1), without the later blocks' weights.

        It shares the remaining weights with this one. Raises DataError for a block that is not
        there or a network that cannot be cut.
        """
        if not 1 <= block <= self.num_blocks:
            raise DataError(
                f"{self.config.name}: cannot end after block {block}; it has blocks 1 to "
                f"{self.num_blocks}."
            )
        if block == self.num_blocks:
            return self
        config = replace(self.config, num_blocks=block, trimmed_from=self.fingerprint())
        return self._cut(config)

    def _cut(self, config: EncoderConfig) -> Encoder:
        raise DataError(f"{config.name}: a {config.family} network cannot be trimmed.")

    def fingerprint(self) -> str:
        """Return the sha256 of the configuration and of every weight, the same on every machine."""
        digest = hashlib.sha256(canonical_json(self.config.as_dict()))
        for name, tensor in sorted(self.state_dict().items()):
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{name}:{values.dtype}:{tuple(values.shape)}".encode())
            digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _check(self, images_BCHW: Tensor) -> None:
        if images_BCHW.ndim != 4:
            raise DataError(
                f"{self.config.name}: expected crops (B, C, H, W), got {tuple(images_BCHW.shape)}."
            )
        _, C, H, W = images_BCHW.shape
        if not H == W == self.crop_px:
            raise DataError(
                f"{self.config.name}: expected crops of {self.crop_px}×{self.crop_px} px, got "
                f"{H}×{W}. To fix: set crop_px of the screen, or resize by choice."
            )
        if self.num_channels is not None and self.num_channels != C:
            raise DataError(
                f"{self.config.name}: expected {self.num_channels} channels "
                f"({', '.join(self.channels)}), got {C}. To fix: choose a screen with these "
                "channels, or a channel-agnostic encoder."
            )


def channel_names(channels: int | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Names of the channels; a number gives channel-1, channel-2 and so on."""
    if isinstance(channels, int):
        return tuple(f"channel-{i + 1}" for i in range(channels))
    return tuple(channels)


def resized(pixels_BCHW: Tensor, side_px: int) -> Tensor:
    """Return crops resized to `side_px` (bilinear, antialiased), unchanged when they have it."""
    if pixels_BCHW.shape[-1] == side_px:
        return pixels_BCHW
    size = (side_px, side_px)
    return functional.interpolate(pixels_BCHW, size=size, mode="bilinear", antialias=True)
