"""Make the images of a screen ready: packed into the store, or windows for 16-bit images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import ImageError, MissingInputError, PhenoprintsError
from phenoprints.foundations.progress import Progress
from phenoprints.foundations.publishing import publish_json, publish_table
from phenoprints.foundations.randomness import hash_uint64
from phenoprints.foundations.remote import is_remote
from phenoprints.screens.images.locators import locator_files
from phenoprints.screens.images.opening import ScreenImages, images_content
from phenoprints.screens.images.packing import ReadSite, pack
from phenoprints.screens.images.sites import read_site, size_and_bits
from phenoprints.screens.images.windows import windows
from phenoprints.wells.contracts import SITES, WELLS

WINDOW_SITES = 48
"""Sites of an experiment that its windows are measured on, chosen by a hash of the well."""

Windows = dict[str, dict[str, tuple[int, int]]]
Result = TypeVar("Result")


def prepare_images(
    folder: str | Path,
    settings: Mapping[str, Any],
    *,
    name: str,
    seed: int = 0,
    threads: int = 1,
    version: int = 0,
) -> dict[str, Any]:
    """Publish `images.json` and `unreadable.parquet` of a screen, and its store if it has one.

    Parameters
    ----------
    folder
        The screen's folder with its tables.
    settings
        The screen's section of the configuration.
    name, seed
        The screen's name and the run's seed: simulated images depend on the seed.
    threads
        Sites that are read at once.
    version
        How often the image files have changed; another one packs them again.

    Returns
    -------
    What provenance should say: the windows, the number of sites, of packed and unreadable ones.

    Raises
    ------
    ImageError
        More sites than `max_failed_fraction` cannot be read.
    """
    place = Path(folder)
    if needs_store(settings):
        sites = _origins(place)
        read, chosen = _site_reader(sites, settings, name, seed)
        unreadable = pack(
            sites,
            place,
            read,
            chunk_px=int(settings.get("pack_chunk_px", 256)),
            compression=str(settings.get("pack_compression", "zstd")),
            max_failed_fraction=float(settings.get("max_failed_fraction", 0.01)),
            threads=threads,
            settings={"windows": chosen, "seed": seed, **({"version": version} if version else {})},
            root=None if settings["source"] == "simulated" else image_root(settings),
        )
        root = None
    else:
        sites = keyed_sites(place)
        root = image_root(settings)
        chosen = measure_windows(root, sites, settings.get("window_percentiles", (0.1, 99.9)))
        unreadable = pd.DataFrame(columns=["well_id", "site", "locator", "reason"])
    publish_table(place / "unreadable.parquet", unreadable)
    publish_json(place / "images.json", images_content(root, chosen))
    packed = len(sites) if root is None else 0
    num_unreadable = len(unreadable)
    return {"windows": chosen, "sites": len(sites), "packed": packed, "unreadable": num_unreadable}


def local_image_files(folder: str | Path, settings: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the root of a screen's images and the files below it that its sites are read from.

    Of an OME-Zarr plate these are the folders of its arrays. Simulated and remote images have none.
    """
    root = image_root(settings)
    if settings.get("source") == "simulated" or is_remote(root):
        return root, []
    origins = Path(folder) / "origins.parquet"
    table = origins if needs_store(settings) and origins.is_file() else Path(folder) / SITES_FILE
    locators = pd.read_parquet(table, columns=["locator"])["locator"].unique()
    return root, sorted({path for text in locators for path in locator_files(text)})


SITES_FILE = "sites.parquet"


def image_root(settings: Mapping[str, Any]) -> str:
    """Return the folder or address that a screen's images are below."""
    return str(settings.get("image_root") or settings.get("root", "."))


def keyed_sites(folder: str | Path) -> pd.DataFrame:
    """Return the sites of a screen's folder, with the experiment of each."""
    wells = WELLS.read(Path(folder) / "wells.parquet", ["well_id", "experiment"])
    return SITES.read(Path(folder) / "sites.parquet").merge(wells, on="well_id", how="left")


def needs_store(settings: Mapping[str, Any]) -> bool:
    """Whether a screen's images are packed: where it says so, and always when simulated."""
    return bool(settings.get("pack")) or settings.get("source") == "simulated"


def _origins(folder: Path) -> pd.DataFrame:
    path = folder / "origins.parquet"
    if not path.is_file():
        raise MissingInputError(f"{path}: the table is not there. Run the target `screens` again.")
    return pd.read_parquet(path)


def _site_reader(
    sites: pd.DataFrame, settings: Mapping[str, Any], name: str, seed: int
) -> tuple[ReadSite, Windows]:
    if settings["source"] == "simulated":
        return _drawer(settings, name, seed), {}
    root = image_root(settings)
    chosen = measure_windows(root, sites, settings.get("window_percentiles", (0.1, 99.9)))
    images = ScreenImages(root, chosen)

    def read(row: Any) -> NDArray[np.uint8]:
        shape = (int(row.height), int(row.width))
        return images.read(row.locator, row.channels, experiment=row.experiment, shape=shape)

    return read, chosen


def _drawer(settings: Mapping[str, Any], name: str, seed: int) -> ReadSite:
    from phenoprints.screens.reading import own_settings
    from phenoprints.testing.simulation import design, draw

    own = {key: value for key, value in own_settings(settings).items() if key != "root"}
    designed = design(own, seed, screen=name)
    return lambda row: draw(designed, int(row.locator.removeprefix("simulated:")))


def measure_windows(
    root: str, sites: pd.DataFrame, percentiles: tuple[float, float] | list[float]
) -> Windows:
    """Return the window of each channel in every experiment whose images have 16 bits.

    Parameters
    ----------
    root
        The folder that locators lie below.
    sites
        well_id, site, locator, height, width, channels, experiment.
    percentiles
        Percentiles of the pixels of up to 48 sites (one per well first) that become 0 and 255.

    Raises
    ------
    ImageError
        None of an experiment's chosen sites can be read.
    """
    chosen: Windows = {}
    experiments = sites.groupby("experiment", sort=True)
    progress = Progress("experiments", len(experiments), name="measuring windows")
    for experiment, group in progress.each(experiments):
        rank = hash_uint64(0, group["well_id"].to_numpy(np.uint64))
        order = np.lexsort((rank, group["site"].to_numpy()))[:WINDOW_SITES]
        found = _experiment_windows(root, group.iloc[order], list(percentiles))
        if found:
            chosen[str(experiment)] = found
    return chosen


def _experiment_windows(
    root: str, sites: pd.DataFrame, percentiles: list[float]
) -> dict[str, tuple[int, int]]:
    """Return the windows of one experiment, one image in memory at a time; none for 8-bit images.

    The depth of the experiment is that of most of its images, by the headers of those that have
    the declared size; where none has, every one is refused when it is read, and needs no window.
    """
    channels = list(sites["channels"].iloc[0])
    alike = sites[sites["channels"].map(list).map(lambda names: names == channels)]
    reasons: list[str] = []

    def shape_of(site: Any) -> tuple[int, int]:
        return int(site.height), int(site.width)

    def look(site: Any) -> tuple[bool, int]:
        *size, bits = size_and_bits(root, str(site.locator))
        return tuple(size) == shape_of(site), bits

    headers = list(_successful(alike, look, reasons))
    depths = [bits for is_fitting, bits in headers if is_fitting]
    if headers and 2 * depths.count(16) <= len(depths):
        return {}

    def read(site: Any) -> NDArray[Any]:
        shape = shape_of(site)
        return read_site(root, str(site.locator), channels, shape=shape, bits=16)

    images = _successful(alike, read, reasons)
    first = next(images, None)
    if first is None:
        raise ImageError(
            f"experiment {sites['experiment'].iloc[0]}: none of {len(sites)} sites can be read, so "
            f"that no window is known. The first says:\n{reasons[0] if reasons else 'no site'}"
        )
    return dict(zip(channels, windows(chain([first], images), percentiles), strict=True))


def _successful(
    sites: pd.DataFrame, look: Callable[[Any], Result], reasons: list[str]
) -> Iterator[Result]:
    """Yield the result of each readable site; `reasons` receives why others are unreadable."""
    for site in sites.itertuples():
        try:
            yield look(site)
        except PhenoprintsError as error:
            reasons.append(str(error))
