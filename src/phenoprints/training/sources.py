"""Where crops come from: images in memory, or whatever the screens' readers open."""

# n crops · C channels · p pixels along a crop

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from phenoprints.training.sampling import Crops


class CropSource(Protocol):
    """Anything that reads a batch of crops."""

    def read(self, crops: Crops, crop_px: int) -> NDArray[np.uint8]:
        """The pixels (n, C, p, p) of the crops, in their order and not flipped."""
        ...


class ArrayImages:
    """Images that are arrays in memory, one (C, H, W) uint8 per site."""

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        self.images = images

    def read(self, crops: Crops, crop_px: int) -> NDArray[np.uint8]:
        """The pixels (n, C, p, p) of the crops."""
        corners = zip(crops.sites, crops.tops, crops.lefts, strict=True)
        return np.stack(
            [self.images[s][:, t : t + crop_px, left : left + crop_px] for s, t, left in corners]
        )
