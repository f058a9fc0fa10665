"""Decoders of masked autoencoders: from the visible tokens to the hidden patches."""

# B crops · C channels · K visible tokens · T tokens of the crop · D features of the decoder

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from phenoprints.models.masking import Mask
from phenoprints.models.positions import sincos_positions

NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class DecoderShape:
    """The numbers that make a decoder; the paper's is 512 wide with 8 blocks of 16 heads."""

    width: int = 512
    num_blocks: int = 8
    num_heads: int = 16


def _blocks(shape: DecoderShape) -> nn.Sequential:
    from timm.models.vision_transformer import Block

    norm = partial(nn.LayerNorm, eps=NORM_EPSILON)
    return nn.Sequential(
        *[
            Block(shape.width, shape.num_heads, qkv_bias=True, norm_layer=norm)
            for _ in range(shape.num_blocks)
        ]
    )


def restored(tokens_BKD: Tensor, mask_token: Tensor, mask: Mask) -> Tensor:
    """Visible tokens put back to their places, the mask token everywhere else: (B, T, D)."""
    B, T = mask.order.shape
    full = mask_token.to(tokens_BKD.dtype).expand(B, T, -1)
    index = mask.kept[..., None].expand(-1, -1, tokens_BKD.shape[-1])
    return full.scatter(1, index, tokens_BKD)


class Decoder(nn.Module):
    """The decoder of He et al. 2022: mask tokens, fixed positions, plain transformer blocks."""

    def __init__(self, shape: DecoderShape, grid: int) -> None:
        super().__init__()
        self.shape = shape
        self.mask_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        nn.init.normal_(self.mask_token, std=0.02)
        self.pos_embeddings = nn.Parameter(sincos_positions(shape.width, grid), requires_grad=False)
        self.blocks = _blocks(shape)
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPSILON)

    def forward(self, latent_BKD: Tensor, mask: Mask) -> Tensor:
        """Return decoded tokens (B, T, D) in patch order, without the class token."""
        tokens = restored(latent_BKD[:, 1:], self.mask_token, mask)
        tokens = torch.cat([latent_BKD[:, :1], tokens], dim=1) + self.pos_embeddings
        decoded: Tensor = self.norm(self.blocks(tokens))
        return decoded[:, 1:]


class CrossAttention(nn.Module):
    """Attention of one channel's tokens to the tokens of all channels (8 heads, as published)."""

    def __init__(self, width: int, num_heads: int = 8) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BND: Tensor, context_BMD: Tensor) -> Tensor:
        """(B, N, D) from queries (B, N, D) and context (B, M, D)."""
        k, v = self.kv(context_BMD).chunk(2, dim=-1)
        q, k, v = (self._heads(t) for t in (self.q(x_BND), k, v))
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return out

    def _heads(self, t_BND: Tensor) -> Tensor:
        B, N, D = t_BND.shape
        return t_BND.reshape(B, N, self.num_heads, D // self.num_heads).transpose(1, 2)


class ChannelAgnosticDecoder(nn.Module):
    """The decoder of Kraus et al. 2024: per channel, cross-attention and blocks of its own.

    Names of the weights are the published ones. A crop may have fewer channels than there are
    decoders when `channels` says which of them it has; the class token does not take part.
    """

    def __init__(self, shape: DecoderShape, grid: int, num_channels: int) -> None:
        from timm.layers import Mlp

        super().__init__()
        self.shape, self.num_patches = shape, grid**2
        width = shape.width
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.normal_(self.mask_token, std=0.02)
        # Stands for the class token in the published weights; always zero.
        self.placeholder = nn.Parameter(torch.zeros(1, 1, width), requires_grad=False)
        self.modality_tokens = nn.ParameterList(
            [nn.Parameter(torch.zeros(1, 1, width)) for _ in range(num_channels)]
        )
        self.pos_embeddings = nn.Parameter(
            sincos_positions(width, grid, num_repeats=num_channels), requires_grad=False
        )
        self.cross_attention = CrossAttention(width)
        self.mlp = Mlp(width, hidden_features=4 * width)
        self.decoders = nn.ModuleList([_blocks(shape) for _ in range(num_channels)])
        self.context_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.query_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.out_norm = nn.LayerNorm(width, eps=NORM_EPSILON)

    def forward(
        self, latent_BKD: Tensor, mask: Mask, channels: Sequence[int] | None = None
    ) -> Tensor:
        """Return decoded tokens (B, C·N, D), channel after channel.

        `channels` names the decoder of each channel of the crops; None: 0, 1, 2, …
        """
        tokens = restored(latent_BKD[:, 1:], self.mask_token, mask)
        if channels is None:
            channels = list(range(tokens.shape[1] // self.num_patches))
        kinds = torch.cat([self.modality_tokens[c] for c in channels], dim=1)
        kinds = kinds.repeat_interleave(self.num_patches, dim=1)
        tokens = tokens + self.pos_embeddings[:, 1 : 1 + tokens.shape[1]] + kinds
        context = self.context_norm(tokens)
        parts = torch.split(tokens, self.num_patches, dim=1)
        return torch.cat(
            [self._decoded(p, context, c) for p, c in zip(parts, channels, strict=True)], dim=1
        )

    def _decoded(self, tokens_BND: Tensor, context_BMD: Tensor, channel: int) -> Tensor:
        tokens = self.cross_attention(self.query_norm(tokens_BND), context_BMD)
        tokens = tokens + self.mlp(self.out_norm(tokens))
        decoded: Tensor = self.decoders[channel](tokens)
        return decoded
