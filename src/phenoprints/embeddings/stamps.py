"""What is known of image files without reading them, so that changed ones are looked at again."""

from __future__ import annotations

from collections.abc import Sequence

from phenoprints.embeddings.forward import Site
from phenoprints.foundations.fingerprints import fingerprint
from phenoprints.screens.images.opening import ScreenImages
from phenoprints.screens.images.stamps import file_states


def image_stamp(images: ScreenImages, sites: Sequence[Site]) -> str:
    """Return a key of the size and time of every file behind the sites, and of their 8-bit windows.

    A file that is not there counts as such; whether that is a failure is found when it is read.
    Of an OME-Zarr plate only the description of the array counts.
    """
    listed = [list(pair) for pair in file_states(images.root, (site.locator for site in sites))]
    windows = {name: images.windows.get(name, {}) for name in {site.experiment for site in sites}}
    return fingerprint(
        [listed, {e: {c: list(w) for c, w in v.items()} for e, v in windows.items()}]
    )
