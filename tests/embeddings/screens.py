"""A small screen with seeded pixels in memory, shared by the tests of this room."""

from __future__ import annotations

import numpy as np
import pandas as pd

from phenoprints.embeddings.passes import Site
from phenoprints.foundations.errors import ImageError
from phenoprints.foundations.randomness import generator, well_ids

CHANNELS = ("DNA", "ER", "RNA")


def wells_of(counts: dict[str, int]) -> pd.DataFrame:
    rows = [
        (e, "p1", f"{chr(65 + i // 24)}{i % 24 + 1:02d}")
        for e, n in counts.items()
        for i in range(n)
    ]
    wells = pd.DataFrame(rows, columns=["experiment", "plate", "well"])
    return wells.assign(well_id=well_ids("s", wells["experiment"], wells["plate"], wells["well"]))


def sites_of(wells: pd.DataFrame, num_sites: int = 2) -> pd.DataFrame:
    places = wells["experiment"] + "/" + wells["well"]
    channels = pd.Series([list(CHANNELS)] * len(wells))
    parts = [
        wells[["well_id"]].assign(
            site=site,
            locator="memory:" + places + f"/{site}",
            channels=channels,
            height=64,
            width=64,
        )
        for site in range(1, num_sites + 1)
    ]
    return pd.concat(parts, ignore_index=True)


def read(site: Site) -> np.ndarray:
    """The pixels of a site, or an error where its locator says `bad`."""
    return pixels(site.locator)


def pixels(locator: str) -> np.ndarray:
    """The pixels of a locator, or an error where it says `bad`."""
    if "bad" in locator:
        raise ImageError(f"{locator}: cut off\n  at byte 7")
    return generator(0, "test", locator).integers(0, 256, (len(CHANNELS), 64, 64), dtype=np.uint8)
