"""The pixels of a screen: read where they lie, or packed into an image store."""

from phenoprints.screens.images.opening import ScreenImages, open_images
from phenoprints.screens.images.packing import pack, with_packed_locators
from phenoprints.screens.images.sites import read_site, site_header

__all__ = [
    "ScreenImages", "open_images", "pack", "read_site", "site_header", "with_packed_locators"
]  # fmt: skip
