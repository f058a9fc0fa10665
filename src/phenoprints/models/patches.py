"""Crops as tokens and back: which pixels belong to which patch."""

# B crops · C channels · N patches of one channel · p pixels along a patch · T tokens · V values

from __future__ import annotations

import math

from torch import Tensor


def patchify(images_BCHW: Tensor, patch_px: int, *, channel_agnostic: bool = False) -> Tensor:
    """Tokens (B, N, p·p·C) with channels fastest, or (B, C·N, p·p) for channel-agnostic models.

    Patches stand row by row. The crop must be square and divide by `patch_px`.
    """
    B, C, H, W = images_BCHW.shape
    if H != W or H % patch_px:
        raise ValueError(f"Crops of {H}×{W} px do not divide into square patches of {patch_px} px.")
    grid = H // patch_px
    patches = images_BCHW.reshape(B, C, grid, patch_px, grid, patch_px)
    if channel_agnostic:
        return patches.permute(0, 1, 2, 4, 3, 5).reshape(B, C * grid**2, patch_px**2)
    return patches.permute(0, 2, 4, 3, 5, 1).reshape(B, grid**2, patch_px**2 * C)


def unpatchify(tokens_BTV: Tensor, num_channels: int, *, channel_agnostic: bool = False) -> Tensor:
    """Images (B, C, H, W) from tokens as `patchify` makes them: its inverse."""
    patches = per_channel_patches(tokens_BTV, num_channels, channel_agnostic=channel_agnostic)
    B, N, C, p, _ = patches.shape
    grid = math.isqrt(N)
    grouped = patches.reshape(B, grid, grid, C, p, p)
    return grouped.permute(0, 3, 1, 4, 2, 5).reshape(B, C, grid * p, grid * p)


def per_channel_patches(
    tokens_BTV: Tensor, num_channels: int, *, channel_agnostic: bool = False
) -> Tensor:
    """Tokens folded to (B, N, C, p, p), one square of pixels per patch and channel.

    For channel-agnostic models T = C·N, else V = p·p·C. Any number of patches N will do.
    """
    B, T, V = tokens_BTV.shape
    if channel_agnostic:
        p = math.isqrt(V)
        return tokens_BTV.reshape(B, num_channels, T // num_channels, p, p).transpose(1, 2)
    p = math.isqrt(V // num_channels)
    return tokens_BTV.reshape(B, T, p, p, num_channels).permute(0, 1, 4, 2, 3)
