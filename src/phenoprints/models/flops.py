"""Floating-point operations of an encoder and of a training step, counted from its shape."""

# A multiplication and an addition are two operations; norms, biases and activations are left out.

from __future__ import annotations

from phenoprints.models.decoders import ChannelAgnosticDecoder, Decoder
from phenoprints.models.mae import MaskedAutoencoder
from phenoprints.models.vit import ViTEncoder

BACKWARD_FACTOR = 3
"""Forward and backward together cost three forward passes."""


def block_flops(width: int, mlp_width: int, num_tokens: int) -> int:
    """Operations of one transformer block on one crop."""
    projections = 4 * width * width + 2 * width * mlp_width
    return 2 * num_tokens * projections + 4 * num_tokens**2 * width


def encoder_flops(encoder: ViTEncoder, num_channels: int, num_tokens: int | None = None) -> int:
    """Operations of a forward pass of one crop; of `num_tokens` visible ones where given."""
    shape = encoder.shape
    patches = encoder.num_tokens(num_channels)
    inputs = shape.patch_px**2 * (1 if encoder.is_channel_agnostic else num_channels)
    tokens = 1 + (patches if num_tokens is None else num_tokens)
    blocks = encoder.num_blocks * block_flops(shape.width, shape.mlp_width, tokens)
    return blocks + 2 * patches * inputs * shape.width


def training_flops(model: MaskedAutoencoder, num_channels: int) -> int:
    """Operations of a training step of a masked autoencoder, forward and backward, per crop."""
    encoder, decoder = model.encoder, model.decoder
    patches = encoder.num_tokens(num_channels)
    kept = max(int(patches * (1.0 - model.mask_ratio)), 1)
    width = decoder.shape.width
    bridge = 2 * (1 + kept) * encoder.width * width
    predicted = patches if model.loss_settings.needs_all_tokens else patches - kept
    head = 2 * predicted * width * model.decoder_pred.out_features
    forward = encoder_flops(encoder, num_channels, kept) + bridge + head
    return BACKWARD_FACTOR * (forward + decoder_flops(decoder, patches, num_channels))


def decoder_flops(
    decoder: Decoder | ChannelAgnosticDecoder, num_patches: int, num_channels: int
) -> int:
    """Operations of a forward pass of a decoder on one crop."""
    width, num_blocks = decoder.shape.width, decoder.shape.num_blocks
    if isinstance(decoder, Decoder):
        return num_blocks * block_flops(width, 4 * width, 1 + num_patches)
    own = num_patches // num_channels
    blocks = num_blocks * block_flops(width, 4 * width, own)
    # Queries and output once per token, keys and values of all tokens for every channel again.
    attention = 4 * own * width**2 + 4 * num_patches * width**2 + 4 * own * num_patches * width
    mlp = 16 * own * width**2
    return num_channels * (blocks + attention + mlp)
