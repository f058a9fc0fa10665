"""Fixed sine and cosine positions of the patches of a square crop."""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10_000.0
"""The longest wavelength, as in Vaswani et al. 2017 and He et al. 2022."""


def sincos_positions(width: int, grid: int, *, num_repeats: int = 1) -> Tensor:
    """Positions (1, 1 + num_repeats·grid², width): zeros for the class token, then row by row.

    The four quarters of the width are sine and cosine of the row, then sine and cosine of the
    column, at frequencies BASE^(-i/(width/4)). `num_repeats` repeats the patches' positions once
    per channel, for channel-agnostic encoders. Raises ValueError unless width divides by 4.

    Source: maes_microscopy (the same order of quarters, so its weights fit).
    """
    if width % 4:
        raise ValueError(f"Fixed positions need a width that divides by 4, got {width}.")
    frequencies = BASE ** (-torch.arange(width // 4, dtype=torch.float32) / (width // 4))
    steps = torch.arange(grid, dtype=torch.float32)
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    row_angles = torch.outer(rows.flatten(), frequencies)
    column_angles = torch.outer(columns.flatten(), frequencies)
    quarters = [row_angles.sin(), row_angles.cos(), column_angles.sin(), column_angles.cos()]
    patches = torch.cat(quarters, dim=1).repeat(num_repeats, 1)
    return torch.cat([torch.zeros(1, width), patches])[None]
