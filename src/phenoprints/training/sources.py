"""Where crops come from: images in memory, or wherever the screens' images lie."""

# n crops · C channels · p pixels along a crop

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from phenoprints.screens.images import ScreenImages
from phenoprints.training.corpus import Corpus
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


class StoredImages:
    """The images of a corpus, read from their screens; kept in memory when all of them fit.

    Parameters
    ----------
    corpus
        Whose sites are read.
    screens
        The images of each screen, by its name.
    cache_mb
        Megabytes that decoded images may take in all. A corpus that needs more is not cached at
        all: its crops are read from the packed store, a batch of reads at once.
    """

    def __init__(
        self, corpus: Corpus, screens: Mapping[str, ScreenImages], *, cache_mb: int = 0
    ) -> None:
        self.corpus, self.screens = corpus, screens
        self._cache: dict[int, NDArray[np.uint8]] | None = None
        if corpus.num_bytes() <= cache_mb * 1_000_000:
            self._cache = {}

    def read(self, crops: Crops, crop_px: int) -> NDArray[np.uint8]:
        """The pixels (n, C, p, p) of the crops; all must have the same channels."""
        if self._cache is not None:
            images = [self._cached(w, s) for w, s in zip(crops.wells, crops.sites, strict=True)]
            corners = zip(images, crops.tops, crops.lefts, strict=True)
            return np.stack(
                [image[:, t : t + crop_px, left : left + crop_px] for image, t, left in corners]
            )
        names = self.corpus.screens[crops.wells]
        parts = {name: np.flatnonzero(names == name) for name in np.unique(names)}
        pixels = {
            name: self._crops(crops, rows, str(name), crop_px) for name, rows in parts.items()
        }
        if len(pixels) == 1:
            return next(iter(pixels.values()))
        whole = np.empty((len(crops), *next(iter(pixels.values())).shape[1:]), dtype=np.uint8)
        for name, rows in parts.items():
            whole[rows] = pixels[name]
        return whole

    def _cached(self, well: int, site: int) -> NDArray[np.uint8]:
        assert self._cache is not None
        if site not in self._cache:
            self._cache[site] = self._image(well, site)
        return self._cache[site]

    def _image(self, well: int, site: int) -> NDArray[np.uint8]:
        corpus = self.corpus
        return self.screens[str(corpus.screens[well])].read(
            corpus.locators[site],
            corpus.channels_of(well),
            experiment=str(corpus.experiments[well]),
            shape=(int(corpus.sites.heights[site]), int(corpus.sites.widths[site])),
        )

    def _crops(
        self, crops: Crops, rows: NDArray[np.int64], name: str, crop_px: int
    ) -> NDArray[np.uint8]:
        wells, sites, corpus = crops.wells[rows], crops.sites[rows], self.corpus
        sizes = zip(corpus.sites.heights[sites], corpus.sites.widths[sites], strict=True)
        return self.screens[name].crops(
            [corpus.locators[site] for site in sites],
            list(zip(crops.tops[rows].tolist(), crops.lefts[rows].tolist(), strict=True)),
            crop_px,
            channels=corpus.channels_of(int(wells[0])),
            experiments=[str(name) for name in corpus.experiments[wells]],
            shapes=[(int(height), int(width)) for height, width in sizes],
        )
