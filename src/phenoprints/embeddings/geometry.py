"""Which crops of an image an encoder sees: a centred grid, its outer ring left out."""

# C channels · H W pixels · K crops

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phenoprints.configuration.models.base import default_of
from phenoprints.configuration.models.screens import CropKeys
from phenoprints.foundations.errors import ConfigurationError, ImageError

RING_FROM = 8
"""Crops across from which the outer ring is left out (ViTally Consistent, A.2: 36 of 8 × 8)."""


@dataclass(frozen=True)
class Geometry:
    """The crops of every image of a screen.

    Attributes
    ----------
    crop_px
        Side of a square crop.
    exclude_border_crops
        Leave out the outer ring of the grid; `auto` does so when it is at least 8 wide and high.
    overlap_px
        Pixels that neighbouring crops share; 0 tiles the image.
    """

    crop_px: int = default_of(CropKeys, "crop_px")
    exclude_border_crops: Literal["auto", True, False] = default_of(
        CropKeys, "exclude_border_crops"
    )
    overlap_px: int = default_of(CropKeys, "overlap_px")

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_px < self.crop_px:
            raise ConfigurationError(
                f"overlap_px: {self.overlap_px} of crops of {self.crop_px} px. Expected at least "
                "0 and less than crop_px."
            )

    def origins(self, height_px: int, width_px: int) -> NDArray[np.int64]:
        """Return the upper left corners (K, 2) as y, x, row by row.

        Without overlap the grid has floor(H/crop) × floor(W/crop) crops and is centred; odd
        remainders leave the larger margin below and to the right. An image that holds no crop is
        an ImageError.
        """
        counts = [self._count(side) for side in (height_px, width_px)]
        if 0 in counts:
            raise ImageError(
                f"an image of {height_px}×{width_px} px holds no crop of {self.crop_px} px. "
                "To fix: set a smaller crop_px for the screen."
            )
        ring = (
            min(counts) >= RING_FROM
            if self.exclude_border_crops == "auto"
            else self.exclude_border_crops
        )
        ys, xs = (
            self._starts(side, count, ring=ring)
            for side, count in zip((height_px, width_px), counts, strict=True)
        )
        return np.stack(np.meshgrid(ys, xs, indexing="ij"), axis=-1).reshape(-1, 2)

    def num_crops(self, height_px: int, width_px: int) -> int:
        """Return the number of crops of an image; 0 where it holds none."""
        if 0 in (self._count(height_px), self._count(width_px)):
            return 0
        return len(self.origins(height_px, width_px))

    def _count(self, side_px: int) -> int:
        stride = self.crop_px - self.overlap_px
        return max(0, (side_px - self.crop_px) // stride + 1)

    def _starts(self, side_px: int, count: int, *, ring: bool) -> NDArray[np.int64]:
        stride = self.crop_px - self.overlap_px
        margin = (side_px - (count - 1) * stride - self.crop_px) // 2
        starts = margin + stride * np.arange(count)
        # A ring of a grid of 1 or 2 crops is all of it; such a grid stays whole.
        return starts[1:-1] if ring and count > 2 else starts

    def crops(self, image_CHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the crops (K, C, crop, crop) of an image, a copy."""
        side = self.crop_px
        origins = self.origins(*image_CHW.shape[1:])
        crops = np.empty((len(origins), len(image_CHW), side, side), np.uint8)
        for crop, (y, x) in zip(crops, origins.tolist(), strict=True):
            crop[...] = image_CHW[:, y : y + side, x : x + side]
        return crops

    def as_dict(self) -> dict[str, Any]:
        """Return the geometry as plain JSON values, for keys and attributes."""
        return asdict(self)
