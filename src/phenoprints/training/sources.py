"""Where crops come from: images in memory, or wherever the screens' images lie."""

# n crops · C channels · p pixels along a crop

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from phenoprints.configuration.models.base import default_of
from phenoprints.configuration.models.training import Training
from phenoprints.foundations.errors import MissingInputError, Problem, raise_problems
from phenoprints.foundations.names import inside
from phenoprints.screens.images import ScreenImages
from phenoprints.training.dataset import Corpus
from phenoprints.training.sampling import Crops

ZARR_LOCATOR = "^zarr:(?P<path>[^#]*)#"
METADATA = "zarr.json"
"""What every array of Zarr v3 has."""


class CropSource(Protocol):
    """Anything that reads a batch of crops."""

    def read(self, crops: Crops, crop_px: int) -> NDArray[np.uint8]:
        """Return the pixels (n, C, p, p) of the crops, in their order and not flipped."""
        ...


class ArrayImages:
    """Images that are arrays in memory, one (C, H, W) uint8 per site."""

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        self.images = images

    def read(self, crops: Crops, crop_px: int) -> NDArray[np.uint8]:
        """Return the pixels (n, C, p, p) of the crops."""
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
        self,
        corpus: Corpus,
        screens: Mapping[str, ScreenImages],
        *,
        cache_mb: int = default_of(Training, "cache_mb"),
    ) -> None:
        self.corpus, self.screens = corpus, screens
        self._cache: dict[int, NDArray[np.uint8]] | None = None
        if corpus.num_bytes() <= cache_mb * 1_000_000:
            self._cache = {}

    def check_stores(self) -> None:
        """Raise MissingInputError that names every image store of the corpus that is not there."""
        raise_problems(
            (
                Problem(path, "no image store lies there", fix="run the target `screens` again")
                for path in sorted(self._stores())
                if not (Path(path) / METADATA).is_file()
            ),
            MissingInputError,
        )

    def _stores(self) -> set[str]:
        """Paths of the image stores that the locators name."""
        corpus = self.corpus
        of_site = np.repeat(corpus.screens.codes, np.diff(corpus.sites.first))
        found: set[tuple[str, str]] = set()
        for texts, screens in corpus.locators.pieces(of_site):
            paths = pc.struct_field(pc.extract_regex(texts, ZARR_LOCATOR), "path")
            pairs = pa.table({"path": paths, "screen": screens}).drop_null()
            for row in pairs.group_by(["path", "screen"]).aggregate([]).to_pylist():
                found.add((str(corpus.screens.names[row["screen"]]), row["path"]))
        return {str(inside(self.screens[screen].root, path)) for screen, path in found}

    def read(self, crops: Crops, crop_px: int) -> NDArray[np.uint8]:
        """Return the pixels (n, C, p, p) of the crops; all must have the same channels."""
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
