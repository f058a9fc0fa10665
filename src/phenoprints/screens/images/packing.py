"""Pack the images of any screen into the image store: per plate, by units that can be resumed."""

# C channel · H W pixels

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import ImageError, PhenoprintsError
from phenoprints.foundations.fingerprints import file_sha256, fingerprint
from phenoprints.foundations.markers import publish_marker, read_marker
from phenoprints.foundations.names import inside
from phenoprints.foundations.progress import Progress
from phenoprints.screens.images.locators import ZarrLocator
from phenoprints.screens.images.stamps import file_states
from phenoprints.screens.images.stores import (
    SiteWriter,
    array_metadata,
    create_array,
    forget_opened,
    plate_store,
    shard_path,
)
from phenoprints.screens.listing import Screen

STORE_FOLDER = "images"
"""The folder of the image store, beside the screen's tables."""
UNIT_SITES = 64
PACKING_VERSION = 2
"""Sites of a unit: the work that a crash can lose."""
MAX_LISTED = 20

ReadSite = Callable[[Any], NDArray[np.uint8]]
"""From a row of the sites table (with `experiment`) to its pixels (C, H, W) uint8."""


@dataclass(frozen=True)
class PlateUnit:
    """Some sites of one plate, written together: `rows` of the origins table from index `start`."""

    path: str
    start: int
    rows: pd.DataFrame
    shape: tuple[int, int, int, int]

    def marker(self, store: Path) -> Path:
        """Return the file that says that this unit is done."""
        name = f"{self.start}-{self.start + len(self.rows)}.json"
        return store / (self.path.removesuffix(".zarr") + ".units") / name

    def key(self, settings: dict[str, Any], root: str | None = None) -> str:
        """Return the key of the unit's inputs; a changed key rebuilds the unit.

        Below a root the size and time of every image file are inputs.
        """
        locators = self.rows["locator"].tolist()
        parts = [PACKING_VERSION, self.path, self.start, list(self.shape), locators]
        states = [list(pair) for pair in file_states(root, locators)] if root else []
        return fingerprint([*parts, settings, *([states] if states else [])])


def with_packed_locators(screen: Screen) -> Screen:
    """Point a screen's sites at the image store; the extra table `origins` keeps the old ones.

    A plate's array holds its sites in the order of the sites table, whatever their number, so
    that the locators are known before any image is read.
    """
    sites = screen.sites
    keyed = sites.merge(screen.wells[["well_id", "experiment", "plate"]], on="well_id", how="left")
    index = keyed.groupby(["experiment", "plate"], sort=False).cumcount()
    locators = [
        str(ZarrLocator(f"{STORE_FOLDER}/{plate_store(experiment, plate)}", int(i)))
        for experiment, plate, i in zip(keyed["experiment"], keyed["plate"], index, strict=True)
    ]
    origins = keyed.assign(packed=locators)
    return Screen(
        screen.name,
        screen.wells,
        sites.assign(locator=locators),
        screen.conditions,
        screen.notes,
        {**screen.extras, "origins": origins},
        screen.inputs,
    )


def plan_packing(origins: pd.DataFrame, *, unit_sites: int = UNIT_SITES) -> list[PlateUnit]:
    """Return the units of a screen: each some sites of one plate, plates in order.

    A plate's array has the most frequent size of the plate's sites and their channels.
    """
    units = []
    for _, plate in origins.groupby(["experiment", "plate"], sort=True):
        path = str(plate["packed"].iloc[0]).removeprefix("zarr:").rpartition("#")[0]
        sizes = plate[["height", "width"]].value_counts(sort=True).reset_index()
        height, width = int(sizes["height"].iloc[0]), int(sizes["width"].iloc[0])
        num_channels = int(plate["channels"].map(len).mode().iloc[0])
        shape = (len(plate), num_channels, height, width)
        for start in range(0, len(plate), unit_sites):
            rows = plate.iloc[start : start + unit_sites].reset_index(drop=True)
            units.append(PlateUnit(path, start, rows, shape))
    return units


def pack(
    origins: pd.DataFrame,
    folder: str | Path,
    read: ReadSite,
    *,
    chunk_px: int = 256,
    compression: str = "zstd",
    max_failed_fraction: float = 0.01,
    threads: int = 1,
    settings: dict[str, Any] | None = None,
    root: str | None = None,
) -> pd.DataFrame:
    """Write every site of a screen into the image store; the sites that could not be read.

    Parameters
    ----------
    origins
        The table `origins` of `with_packed_locators`.
    folder
        The screen's folder; the store is its folder `images`.
    read
        Gives a site's pixels (C, H, W) uint8, or raises an error of Phenoprints.
    chunk_px, compression
        Form of the arrays.
    max_failed_fraction
        Share of unreadable sites beyond which packing fails, after all of them were tried.
    threads
        Sites that are decoded at once.
    settings
        What else decides the pixels (such as windows); part of each unit's key.
    root
        The folder of the image files, whose size and time are part of each unit's key; None where
        sites are not files.

    Returns
    -------
    well_id, site, locator, reason of each site that could not be read, in the table's order.

    Raises
    ------
    ImageError
        More than `max_failed_fraction` of the sites could not be read; they are listed.
    """
    key = {"chunk_px": chunk_px, "compression": compression, **(settings or {})}
    failures: list[dict[str, Any]] = []
    progress = Progress("sites", len(origins), name="packing")
    with ThreadPoolExecutor(threads) as pool:
        for unit in plan_packing(origins):
            marker = unit.marker(Path(folder))
            unit_key = unit.key(key, root)
            done = _finished(unit, marker, unit_key, Path(folder))
            if done is not None:
                progress.skip(len(unit.rows))
            else:
                path = inside(folder, unit.path)
                metadata = array_metadata(unit.shape, chunk_px=chunk_px, compression=compression)
                create_array(path, metadata)
                done = _pack_unit(unit, path, _in_order(pool, unit, read, 2 * threads))
                files = _described(unit, path, done, pool)
                publish_marker(marker, {"key": unit_key, "failures": done, "files": files})
                progress.advance(len(unit.rows))
            failures += done
    progress.end()
    forget_opened()  # arrays may have been made anew
    _judge(failures, len(origins), max_failed_fraction)
    columns = ["well_id", "site", "locator", "reason"]
    table = pd.DataFrame(failures, columns=columns)
    return table.astype({"well_id": "uint64", "site": "int32"})


def _finished(unit: PlateUnit, marker: Path, key: str, folder: Path) -> list[dict[str, Any]] | None:
    """Return the failures of a unit that is done already; None when it must be made.

    Its files are looked at as far as their sizes tell: `phenoprints verify` reads them.
    """
    content = read_marker(marker)
    if content is None or content.get("key") != key:
        return None
    failures: list[dict[str, Any]] = content["failures"]
    path, files = inside(folder, unit.path), content["files"]
    whole = all(_is_there(path / name, size) for name, (size, _) in files.items())
    return failures if whole else None


def _is_there(file: Path, size: int) -> bool:
    """Whether a file is there, with the size that the marker tells."""
    try:
        return file.stat().st_size == size
    except OSError:
        return False


def _shards(unit: PlateUnit, path: Path, failures: Sequence[dict[str, Any]]) -> list[Path]:
    """Return the files of a unit's sites that could be read."""
    failed = {(entry["well_id"], entry["site"]) for entry in failures}
    keys = zip(unit.rows["well_id"], unit.rows["site"], strict=True)
    return [
        shard_path(path, unit.start + i)
        for i, key in enumerate(keys)
        if tuple(map(int, key)) not in failed
    ]


def _described(
    unit: PlateUnit, path: Path, failures: Sequence[dict[str, Any]], pool: ThreadPoolExecutor
) -> dict[str, tuple[int, str]]:
    """Size and sha256 of every file that a unit's pixels lie in, by its name in the array."""
    files = [path / "zarr.json", *_shards(unit, path, failures)]
    digests = pool.map(file_sha256, files)
    return {
        file.relative_to(path).as_posix(): (file.stat().st_size, digest)
        for file, digest in zip(files, digests, strict=True)
    }


def _in_order(
    pool: ThreadPoolExecutor, unit: PlateUnit, read: ReadSite, ahead: int
) -> Iterator[NDArray[np.uint8] | str]:
    """Each site's pixels, or why there are none, in order, at most `ahead` of them in memory."""

    def attempt(row: Any) -> NDArray[np.uint8] | str:
        try:
            return _fitting(read(row), unit.shape)
        except PhenoprintsError as error:
            return str(error)

    waiting: deque[Any] = deque()
    for row in unit.rows.itertuples():
        waiting.append(pool.submit(attempt, row))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _fitting(pixels: NDArray[np.uint8], shape: Sequence[int]) -> NDArray[np.uint8]:
    if pixels.shape != tuple(shape[1:]) or pixels.dtype != np.uint8:
        raise ImageError(
            f"the site is {pixels.shape} {pixels.dtype}, its plate's array {tuple(shape[1:])} uint8"
        )
    return pixels


def _pack_unit(
    unit: PlateUnit, path: Path, images: Iterable[NDArray[np.uint8] | str]
) -> list[dict[str, Any]]:
    """Write the unit's sites while the next ones are decoded; those that could not be read."""
    failures: list[dict[str, Any]] = []
    with SiteWriter(path) as writer:
        for position, image in enumerate(images):
            if isinstance(image, str):
                shard_path(path, unit.start + position).unlink(missing_ok=True)
                failures.append(_failure(unit.rows.iloc[position], image))
            else:
                writer.write(unit.start + position, image)
    return failures


def _failure(row: pd.Series[Any], reason: str) -> dict[str, Any]:
    key = {"well_id": int(row["well_id"]), "site": int(row["site"])}
    return {**key, "locator": str(row["locator"]), "reason": reason}


def damaged_files(marker: Path) -> Iterator[tuple[Path, str, str]]:
    """Of one unit, by its marker: each file that is not as written, with expected and found sha256.

    A marker that cannot be read is itself such a file. What is found is "" where nothing is.
    """
    content = read_marker(marker)
    if content is None or "files" not in content:
        yield marker, "a whole marker", "another thing"
        return
    store = marker.parent.with_name(marker.parent.name.removesuffix(".units") + ".zarr")
    for name, (_, expected) in content["files"].items():
        file = inside(store, name)
        found = file_sha256(file) if file.is_file() else ""
        if found != expected:
            yield store / name, expected, found


def num_sites_marked(folder: str | Path) -> int:
    """Return the sites of a screen's store that belong to units which are marked as done."""
    spans = (path.stem.split("-") for path in Path(folder, STORE_FOLDER).glob("*/*.units/*.json"))
    return sum(int(stop) - int(start) for start, stop in spans)


def _judge(failures: Sequence[dict[str, Any]], num_sites: int, limit: float) -> None:
    if len(failures) <= limit * num_sites:
        return
    listed = "\n".join(
        f"  {entry['locator'][:120]}: {entry['reason'].splitlines()[0]}"
        for entry in failures[:MAX_LISTED]
    )
    more = len(failures) - MAX_LISTED
    rest = f"\n  … and {more} more" if more > 0 else ""
    raise ImageError(
        f"{len(failures)} of {num_sites} sites cannot be read, more than the share of {limit:g} "
        f"that max_failed_fraction allows:\n{listed}{rest}"
    )
