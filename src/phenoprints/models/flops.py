"""Floating-point operations of an encoder and of a training step, counted from its shape."""

# A multiplication and an addition are two operations; norms, biases and activations are left out.

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from phenoprints.models.classifier import Classifier
from phenoprints.models.decoders import ChannelAgnosticDecoder, Decoder
from phenoprints.models.dino import MASK_RATIO, Dino, DinoHead
from phenoprints.models.encoder import Encoder
from phenoprints.models.mae import MaskedAutoencoder
from phenoprints.models.munet import ConvolutionalMaskedAutoencoder, MuNetEncoder
from phenoprints.models.registry import from_config
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


def training_flops(model: nn.Module, num_channels: int) -> float:
    """Operations of training on one crop, forward and backward.

    Parameters
    ----------
    model
        A MaskedAutoencoder, ConvolutionalMaskedAutoencoder, Classifier or Dino.
    num_channels
        Channels of the crop.

    Transformers are counted by formula, convolutional networks by torch's own counter on tensors
    without data. Raises TypeError for any other module.
    """
    if isinstance(model, MaskedAutoencoder):
        return _masked_flops(model, num_channels)
    if isinstance(model, ConvolutionalMaskedAutoencoder):
        return BACKWARD_FACTOR * _mu_net_flops(model)
    if isinstance(model, Classifier):
        head = 2 * model.head.in_features * model.head.out_features / model.crops_per_visit
        return BACKWARD_FACTOR * (forward_flops(model.encoder, num_channels) + head)
    if isinstance(model, Dino):
        return _dino_flops(model)
    raise TypeError(f"the operations of a {type(model).__name__} are not counted.")


def forward_flops(encoder: Encoder, num_channels: int) -> int:
    """Operations of a forward pass of one crop through any encoder."""
    if isinstance(encoder, ViTEncoder):
        return encoder_flops(encoder, num_channels)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        same = from_config(encoder.config)
        for _ in same.block_outputs(torch.empty(1, num_channels, *[encoder.crop_px] * 2)):
            pass
    return int(counter.get_total_flops())


def _mu_net_flops(model: ConvolutionalMaskedAutoencoder) -> int:
    config = model.encoder.config
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        same = ConvolutionalMaskedAutoencoder(MuNetEncoder(config))
        pixels = torch.empty(1, len(config.channels), *[config.crop_px] * 2)
        same.decoder(same.encoder.feature_maps(pixels))
    return int(counter.get_total_flops())


def _dino_flops(model: Dino) -> int:
    """Two global views through the teacher, forward; those and the local ones for the student."""
    encoder, branch = model.student.encoder, model.student
    num_hidden = round(MASK_RATIO * encoder.num_patches)
    view = _view_flops(encoder, encoder.num_patches) + _head_flops(branch.crop_head)
    seen = 2 * (view + num_hidden * _head_flops(branch.patch_head))
    local = _view_flops(encoder, model.num_local_patches) + _head_flops(branch.crop_head)
    return seen + BACKWARD_FACTOR * (seen + model.settings.num_local * local)


def _view_flops(encoder: ViTEncoder, num_patches: int) -> int:
    shape = encoder.shape
    inputs = shape.patch_px**2 * len(encoder.channels)
    blocks = encoder.num_blocks * block_flops(shape.width, shape.mlp_width, 1 + num_patches)
    return blocks + 2 * num_patches * inputs * shape.width


def _head_flops(head: DinoHead) -> int:
    weights = [m.weight.numel() for m in head.layers if isinstance(m, nn.Linear)]
    return 2 * (sum(weights) + head.directions.numel())


def _masked_flops(model: MaskedAutoencoder, num_channels: int) -> int:
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
