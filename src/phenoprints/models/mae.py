"""Masked autoencoders: hide most patches, predict them from the rest."""

# B crops · C channels · H W pixels · T tokens · V values of a token

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phenoprints.foundations.errors import DataError
from phenoprints.models.decoders import ChannelAgnosticDecoder, Decoder, DecoderShape
from phenoprints.models.losses import LossSettings, reconstruction_loss
from phenoprints.models.masking import Mask, random_mask, take_tokens
from phenoprints.models.patches import patchify, unpatchify
from phenoprints.models.vit import ViTEncoder

PATCH_EPSILON = 1e-6
"""Added to the variance of a patch that is normalised, as He et al. 2022 do."""


@dataclass(frozen=True)
class Reconstruction:
    """Standardised crops, what was hidden of them and what the model made of it.

    `target` and `prediction` are (B, C, H, W); `is_hidden` (B, C, H, W) says which pixels the
    model did not see. `by_block` (L, B, C, H, W) are the predictions from each block's tokens,
    where they were asked for.
    """

    target: Tensor
    prediction: Tensor
    is_hidden: Tensor
    by_block: Tensor | None = None


def patch_statistics(tokens_BTV: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the SD of each token's values, (B, T, 1) each, the SD above 0."""
    mean = tokens_BTV.mean(dim=-1, keepdim=True)
    variance = tokens_BTV.var(dim=-1, keepdim=True)
    return mean, torch.sqrt(variance + PATCH_EPSILON)


class MaskedAutoencoder(nn.Module):
    """An encoder of the visible tokens, a decoder of all, and a linear head to pixels.

    The head runs on hidden tokens only, unless the loss needs them all. Masks come from one
    64-bit key per crop. Channel-agnostic encoders need `num_channels` of the training screen:
    each channel has its own decoder. `latent_norm` puts the encoder's last norm between encoder and
    decoder, as He et al. 2022; OpenPhenom has none there.
    """

    def __init__(
        self,
        encoder: ViTEncoder,
        decoder: DecoderShape | None = None,
        *,
        mask_ratio: float = 0.75,
        loss: LossSettings | None = None,
        num_channels: int | None = None,
        latent_norm: bool = True,
    ) -> None:
        super().__init__()
        shape = decoder or DecoderShape()
        self.encoder, self.mask_ratio = encoder, mask_ratio
        self.loss_settings = loss or LossSettings()
        self.has_latent_norm = latent_norm
        # Without gradients DDP would wait for it.
        encoder.backbone.norm.requires_grad_(latent_norm)
        channels = encoder.num_channels or num_channels
        if channels is None:
            raise DataError("A channel-agnostic autoencoder needs num_channels for its decoders.")
        self.decoder: Decoder | ChannelAgnosticDecoder
        if encoder.is_channel_agnostic:
            self.decoder = ChannelAgnosticDecoder(shape, encoder.grid, channels)
        else:
            self.decoder = Decoder(shape, encoder.grid)
        values = encoder.shape.patch_px**2 * (1 if encoder.is_channel_agnostic else channels)
        self.encoder_decoder_proj = nn.Linear(encoder.width, shape.width)
        self.decoder_pred = nn.Linear(shape.width, values)

    @property
    def num_decoders(self) -> int:
        """Decoders: of a channel-agnostic autoencoder one for each channel, else 1."""
        if isinstance(self.decoder, ChannelAgnosticDecoder):
            return len(self.decoder.decoders)
        return 1

    def forward(
        self, images_BCHW: Tensor, keys_B: Tensor, channels: Sequence[int] | None = None
    ) -> dict[str, Tensor]:
        """Return the parts of the loss, `loss` first: scalars in float32.

        Parameters
        ----------
        images_BCHW
            uint8 or floating point crops from 0 to 255.
        keys_B
            One int64 per crop, from which its mask follows.
        channels
            For channel-agnostic autoencoders the number of the decoder of each channel of the
            crops; None: 0, 1, 2, …
        """
        pixels, mask, decoded = self._decode(images_BCHW, keys_B, channels)
        target = self._target(pixels)
        hidden: Tensor | None = None
        if self.loss_settings.needs_all_tokens:
            hidden = mask.is_hidden.float()
        else:
            decoded = take_tokens(decoded, mask.hidden)
            target = take_tokens(target, mask.hidden)
        return reconstruction_loss(
            self.decoder_pred(decoded),
            target,
            hidden,
            self.loss_settings,
            num_channels=pixels.shape[1],
            channel_agnostic=self.encoder.is_channel_agnostic,
        )

    def _decode(
        self, images_BCHW: Tensor, keys_B: Tensor, channels: Sequence[int] | None
    ) -> tuple[Tensor, Mask, Tensor]:
        pixels = self.encoder.prepared(images_BCHW)
        num_tokens = self.encoder.num_tokens(pixels.shape[1])
        mask = random_mask(keys_B.to(pixels.device), num_tokens, self.mask_ratio)
        latents = self.encoder.encode_kept(pixels, mask.kept)
        return pixels, mask, self._decoded(deque(latents, maxlen=1).pop(), mask, channels)

    def _decoded(self, latent_BKD: Tensor, mask: Mask, channels: Sequence[int] | None) -> Tensor:
        latent = self.encoder.backbone.norm(latent_BKD) if self.has_latent_norm else latent_BKD
        bridged = self.encoder_decoder_proj(latent)
        decoded: Tensor
        if isinstance(self.decoder, ChannelAgnosticDecoder):
            decoded = self.decoder(bridged, mask, channels)
        else:
            decoded = self.decoder(bridged, mask)
        return decoded

    def _target(self, pixels_BCHW: Tensor) -> Tensor:
        """Return what is predicted of every patch: its pixels, or these normalised."""
        tokens = self._tokens(pixels_BCHW)
        if not self.loss_settings.normalize_patches:
            return tokens
        mean, scale = patch_statistics(tokens)
        return (tokens - mean) / scale

    def _tokens(self, pixels_BCHW: Tensor) -> Tensor:
        patch_px = self.encoder.shape.patch_px
        return patchify(pixels_BCHW, patch_px, channel_agnostic=self.encoder.is_channel_agnostic)

    def reconstruct(
        self,
        images_BCHW: Tensor,
        keys_B: Tensor,
        channels: Sequence[int] | None = None,
        *,
        every_block: bool = False,
    ) -> Reconstruction:
        """Predict every pixel, without gradients.

        `every_block` adds what the decoder makes of each block's tokens, as if the encoder ended
        there: what a block still knows of the pixels, in the terms of the last. Patches that are
        predicted normalised get the mean and the SD of the target back.
        """
        with torch.inference_mode():
            pixels = self.encoder.prepared(images_BCHW)
            num_tokens = self.encoder.num_tokens(pixels.shape[1])
            mask = random_mask(keys_B.to(pixels.device), num_tokens, self.mask_ratio)
            latents = self.encoder.encode_kept(pixels, mask.kept)
            kept = list(latents) if every_block else [deque(latents, maxlen=1).pop()]
            images = [self._predicted(latent, mask, pixels, channels) for latent in kept]
            hidden = mask.is_hidden[..., None].expand(-1, -1, self.decoder_pred.out_features)
            shown = self._image(hidden, pixels.shape[1])
        by_block = torch.stack(images) if every_block else None
        return Reconstruction(pixels, images[-1], shown, by_block)

    def _predicted(
        self, latent_BKD: Tensor, mask: Mask, pixels: Tensor, channels: Sequence[int] | None
    ) -> Tensor:
        prediction = self.decoder_pred(self._decoded(latent_BKD, mask, channels)).float()
        if self.loss_settings.normalize_patches:
            mean, scale = patch_statistics(self._tokens(pixels))
            prediction = prediction * scale + mean
        return self._image(prediction, pixels.shape[1])

    def _image(self, tokens_BTV: Tensor, num_channels: int) -> Tensor:
        agnostic = self.encoder.is_channel_agnostic
        return unpatchify(tokens_BTV, num_channels, channel_agnostic=agnostic)
