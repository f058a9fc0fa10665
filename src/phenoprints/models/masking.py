"""Which patches a masked autoencoder hides: a pure function of one key per crop."""

# B crops · T tokens (patches, of each channel for channel-agnostic models) · K kept · D features

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


class Mask(NamedTuple):
    """A random `order` (B, T) of each crop's tokens, of which the first `num_kept` stay visible."""

    order: Tensor
    num_kept: int

    @property
    def kept(self) -> Tensor:
        """Indices (B, K) of the visible tokens."""
        return self.order[:, : self.num_kept]

    @property
    def hidden(self) -> Tensor:
        """Indices (B, T - K) of the hidden tokens."""
        return self.order[:, self.num_kept :]

    @property
    def is_hidden(self) -> Tensor:
        """Whether each token is hidden, (B, T) in the tokens' own order."""
        hidden = torch.ones_like(self.order, dtype=torch.bool)
        return hidden.scatter(1, self.kept, False)


def token_noise(keys_B: Tensor, num_tokens: int) -> Tensor:
    """One pseudo-random integer per crop and token, (B, T) int64, from a 64-bit key per crop.

    splitmix64 of key + token·golden ratio: the same on every device and in every batch, so that
    neither the number of processes nor a restart changes what is hidden.
    """
    tokens = torch.arange(1, num_tokens + 1, device=keys_B.device, dtype=torch.int64)
    z = keys_B[:, None] + tokens * _GOLDEN
    z = (z ^ _shift_right(z, 30)) * _MIX_1
    z = (z ^ _shift_right(z, 27)) * _MIX_2
    return z ^ _shift_right(z, 31)


def _shift_right(z: Tensor, bits: int) -> Tensor:
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def random_mask(keys_B: Tensor, num_tokens: int, mask_ratio: float) -> Mask:
    """Return a mask that keeps int(T·(1 - mask_ratio)) tokens of every crop, at least one.

    Raises ValueError when the ratio hides nothing or is outside (0, 1).
    """
    if not 0.0 < mask_ratio < 1.0:
        raise ValueError(f"mask_ratio must lie between 0 and 1, got {mask_ratio}.")
    num_kept = max(int(num_tokens * (1.0 - mask_ratio)), 1)
    if num_kept >= num_tokens:
        raise ValueError(f"mask_ratio {mask_ratio} hides none of {num_tokens} tokens.")
    return Mask(torch.argsort(token_noise(keys_B, num_tokens), dim=1, stable=True), num_kept)


def take_tokens(tokens_BTD: Tensor, indices_BK: Tensor) -> Tensor:
    """Return the tokens at `indices_BK` of each crop, (B, K, D)."""
    return tokens_BTD.gather(1, indices_BK[..., None].expand(-1, -1, tokens_BTD.shape[-1]))
