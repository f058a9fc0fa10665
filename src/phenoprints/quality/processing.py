"""Measure many sites, spread over workers; a site that cannot be read is a row with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import ConfigurationError, PhenoprintsError
from phenoprints.foundations.progress import Progress
from phenoprints.foundations.workers import Mapper
from phenoprints.quality.measurement import measure

SITES_AT_ONCE = 16
"""Sites that a worker measures before it hands back rows; pixels of one are held at a time."""
ROWS_AT_ONCE = 4096
"""Rows that become a table together."""
KEY = ["well_id", "site", "unreadable"]
SITES_PER_WORKER = 128
"""Sites that are worth a worker: starting one takes as long as measuring some fifty."""


class SiteReader(Protocol):
    """Gives the pixels of a site; `phenoprints.screens.images.ScreenImages` is one."""

    def read(
        self, locator: str, channels: Any, *, experiment: str, shape: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Return the pixels (C, H, W) of a site."""


def measure_sites(
    images: SiteReader,
    sites: pd.DataFrame,
    *,
    nucleus_channel: str | None = None,
    unreadable: pd.DataFrame | None = None,
    spread: Mapper = map,
) -> pd.DataFrame:
    """Return a row of metrics per site, in the order of `sites`, for `assess`.

    Parameters
    ----------
    images
        The reader; it is sent to the workers.
    sites
        The sites contract's columns and `experiment`.
    nucleus_channel
        As in `measure`.
    unreadable
        Sites known to be unreadable (well_id, site, reason), whose pixels are not asked for.
    spread
        What `foundations.workers.worker_pool` gives; `map` measures in this process. The result
        does not depend on it.

    Returns
    -------
    well_id, site, unreadable ("" where the image was read, else the error's first line), and the
    metrics of `measure`, NaN where the image could not be read.
    """
    sites = _with_reasons(sites, unreadable)
    parts = (sites.iloc[at : at + SITES_AT_ONCE] for at in range(0, len(sites), SITES_AT_ONCE))
    measured = spread(partial(measure_part, images, nucleus_channel=nucleus_channel), parts)
    counted = Progress("sites", len(sites)).each(measured, len)
    tables = [pd.DataFrame(rows) for rows in _pieces(chain.from_iterable(counted))]
    table = pd.concat(tables) if tables else pd.DataFrame(columns=KEY)
    return table.reset_index(drop=True).astype(
        {"well_id": np.uint64, "site": np.int32, "unreadable": "str"}
    )


def _pieces(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Return row lists as arrays, which take a tenth of the memory of Python rows."""
    while piece := list(islice(rows, ROWS_AT_ONCE)):
        yield piece


def _with_reasons(sites: pd.DataFrame, unreadable: pd.DataFrame | None) -> pd.DataFrame:
    """Return the sites with the column `unreadable`: why their pixels are known to be missing, or
    "".
    """
    if unreadable is None or unreadable.empty:
        return sites.assign(unreadable="")
    reasons = unreadable[["well_id", "site", "reason"]].rename(columns={"reason": "unreadable"})
    reasons = reasons.astype({"well_id": np.uint64, "site": np.int32})
    joined = sites.merge(reasons, on=["well_id", "site"], how="left")
    return joined.assign(unreadable=joined["unreadable"].fillna(""))


def measure_part(
    images: SiteReader, sites: pd.DataFrame, *, nucleus_channel: str | None = None
) -> list[dict[str, Any]]:
    """Return the metrics of some sites, one image in memory at a time."""
    return [_measure_site(images, site, nucleus_channel) for site in sites.to_dict("records")]


def _measure_site(
    images: SiteReader, site: dict[Any, Any], nucleus_channel: str | None
) -> dict[str, Any]:
    key = {"well_id": site["well_id"], "site": site["site"], "unreadable": site["unreadable"]}
    windows = getattr(images, "windows", {}).get(str(site["experiment"]))
    if key["unreadable"]:
        return key
    channels = [str(name) for name in site["channels"]]
    shape = (int(site["height"]), int(site["width"]))
    try:
        pixels = images.read(
            site["locator"], channels, experiment=str(site["experiment"]), shape=shape
        )
        return {
            **key,
            **measure(pixels, channels, nucleus_channel=nucleus_channel, windows=windows),
        }
    except ConfigurationError:
        raise
    except (PhenoprintsError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return {**key, "unreadable": reason[:300]}


def batch_of(sites: pd.DataFrame, batch: int, num_batches: int) -> pd.DataFrame:
    """Return sites of one of `num_batches` nearly equal, contiguous batches (counted from 0)."""
    return sites.iloc[batch * len(sites) // num_batches : (batch + 1) * len(sites) // num_batches]
