"""Floating-point operations of an encoder and of a training step, counted from its shape."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from phenoprints.foundations.architectures import (
    BACKWARD_FACTOR,
    Transformer,
    block_flops,
    masked_training_flops,
    transformer_flops,
)
from phenoprints.models.classifier import Classifier
from phenoprints.models.dino import MASK_RATIO, Dino, DinoHead
from phenoprints.models.encoder import Encoder
from phenoprints.models.mae import MaskedAutoencoder
from phenoprints.models.munet import ConvolutionalMaskedAutoencoder, MuNetEncoder
from phenoprints.models.registry import from_config
from phenoprints.models.vit import ViTEncoder


def shape_of(encoder: ViTEncoder) -> Transformer:
    """Return the numbers of a transformer that decide its operations."""
    shape = encoder.shape
    return Transformer(
        shape.width, encoder.num_blocks, shape.mlp_width, shape.patch_px,
        is_agnostic=encoder.is_channel_agnostic,
    )  # fmt: skip


def encoder_flops(encoder: ViTEncoder, num_channels: int, num_tokens: int | None = None) -> int:
    """Return operations of a forward pass of one crop; of `num_tokens` visible ones where given."""
    return transformer_flops(
        shape_of(encoder),
        crop_px=encoder.crop_px,
        num_channels=num_channels,
        num_visible=num_tokens,
    )


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
    decoder = model.decoder.shape
    return masked_training_flops(
        shape_of(model.encoder),
        (decoder.width, decoder.num_blocks),
        crop_px=model.encoder.crop_px,
        num_channels=num_channels,
        mask_fraction=model.mask_ratio,
        predicts_all=model.loss_settings.needs_all_tokens,
    )
