"""Look at a few images of each plate by their headers, before a run depends on them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.screens.images.sites import check_site
from phenoprints.screens.listing import Screen

SITES_OF_PLATE = 3


def unreadable_sites(root: str, screen: Screen) -> Iterator[tuple[str, int, int, str]]:
    """Yield plate, sites that cannot be read, sites looked at, and why, of plates with such sites.

    Of each plate the first, middle and last site are looked at, by the headers of their images.
    """
    packed = screen.extras.get("origins")
    sites = screen.sites.merge(screen.wells[["well_id", "plate"]], on="well_id")
    sites = sites if packed is None else packed
    for plate, own in sites.groupby("plate", sort=True):
        some = np.unique(np.linspace(0, len(own) - 1, SITES_OF_PLATE).round().astype(int))
        reasons = []
        for site in own.iloc[some].itertuples():
            try:
                shape = (int(site.height), int(site.width))  # type: ignore[arg-type]
                check_site(root, str(site.locator), list(site.channels), shape)  # type: ignore[call-overload,arg-type]
            except PhenoprintsError as error:
                reasons.append(str(error).splitlines()[0])
        if reasons:
            yield str(plate), len(reasons), len(some), reasons[0]
