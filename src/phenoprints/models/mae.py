"""Masked autoencoders: hide most patches, predict them from the rest."""

# B crops · C channels · H W pixels · T tokens · V values of a token

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phenoprints.foundations.errors import DataError
from phenoprints.models.decoders import ChannelAgnosticDecoder, Decoder, DecoderShape
from phenoprints.models.losses import LossSettings, reconstruction_loss
from phenoprints.models.masking import Mask, random_mask, take_tokens
from phenoprints.models.patches import patchify, unpatchify
from phenoprints.models.vit import ViTEncoder


@dataclass(frozen=True)
class Reconstruction:
    """Standardised crops, what was hidden of them and what the model made of it.

    `target` and `prediction` are (B, C, H, W); `is_hidden` (B, C, H, W) says which pixels the
    model did not see.
    """

    target: Tensor
    prediction: Tensor
    is_hidden: Tensor


class MaskedAutoencoder(nn.Module):
    """An encoder of the visible tokens, a decoder of all, and a linear head to pixels.

    The head runs on hidden tokens only, unless the loss needs them all. Masks come from one
    64-bit key per crop. Channel-agnostic encoders need `num_channels` of the training screen:
    each channel has its own decoder.
    """

    def __init__(
        self,
        encoder: ViTEncoder,
        decoder: DecoderShape | None = None,
        *,
        mask_ratio: float = 0.75,
        loss: LossSettings | None = None,
        num_channels: int | None = None,
    ) -> None:
        super().__init__()
        shape = decoder or DecoderShape()
        self.encoder, self.mask_ratio = encoder, mask_ratio
        self.loss_settings = loss or LossSettings()
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

    def forward(self, images_BCHW: Tensor, keys_B: Tensor) -> dict[str, Tensor]:
        """The parts of the loss, `loss` first: scalars in float32.

        Parameters
        ----------
        images_BCHW
            uint8 or floating point crops from 0 to 255.
        keys_B
            One int64 per crop, from which its mask follows.
        """
        pixels, mask, decoded = self._decode(images_BCHW, keys_B)
        target = self._tokens(pixels)
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

    def _decode(self, images_BCHW: Tensor, keys_B: Tensor) -> tuple[Tensor, Mask, Tensor]:
        pixels = self.encoder.prepared(images_BCHW)
        num_tokens = self.encoder.num_tokens(pixels.shape[1])
        mask = random_mask(keys_B.to(pixels.device), num_tokens, self.mask_ratio)
        latent = self.encoder.encode_kept(pixels, mask.kept)
        return pixels, mask, self.decoder(self.encoder_decoder_proj(latent), mask)

    def _tokens(self, pixels_BCHW: Tensor) -> Tensor:
        patch_px = self.encoder.shape.patch_px
        return patchify(pixels_BCHW, patch_px, channel_agnostic=self.encoder.is_channel_agnostic)

    def reconstruct(self, images_BCHW: Tensor, keys_B: Tensor) -> Reconstruction:
        """What the model predicts for every pixel, without gradients."""
        with torch.inference_mode():
            pixels, mask, decoded = self._decode(images_BCHW, keys_B)
            prediction = self.decoder_pred(decoded).float()
            hidden = mask.is_hidden[..., None].expand_as(prediction)
            images = [
                unpatchify(t, pixels.shape[1], channel_agnostic=self.encoder.is_channel_agnostic)
                for t in (prediction, hidden)
            ]
        return Reconstruction(target=pixels, prediction=images[0], is_hidden=images[1])
