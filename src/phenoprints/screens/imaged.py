"""From a list of image files to the sites of a screen, and those to the wells of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.errors import (
    ConfigurationError,
    PhenoprintsError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.foundations.names import below
from phenoprints.screens.images.locators import FilesLocator
from phenoprints.screens.images.sites import site_header
from phenoprints.screens.listing import PERTURBATION_COLUMNS, Listing, Notes
from phenoprints.screens.tables import find_files
from phenoprints.screens.welltable import WellTable, read_well_table
from phenoprints.wells.plates import parse_wells

SITE_KEY = ["plate", "well", "site"]
SITE_COLUMNS = (*SITE_KEY, "height", "width")


def named_channels(
    found: Sequence[str],
    channels: Mapping[str, str],
    channel_names: Sequence[str],
    where: str,
) -> list[str]:
    """Return the channels of a screen in order, by what they show.

    Parameters
    ----------
    found
        Names in the files, in the files' order.
    channels
        Names in the files and what they show; names as they are when empty.
    channel_names
        The channels wanted, in this order; all found when empty.

    Raises
    ------
    ConfigurationError
        A name that is mapped or wanted occurs in no file; all of them in one message.
    """
    shown = [channels.get(name, "") if channels else name for name in found]
    fix = "correct `channels` or `channel_names` of the screen"
    there = ", ".join(map(str, found))
    missing = [name for name in channel_names if name not in shown]
    missing += [name for name in channels if name not in found and not channel_names]
    raise_problems(
        (
            Problem(where, f'no image shows the channel "{name}"', f"one of {there}", fix)
            for name in missing
        ),
        ConfigurationError,
    )
    chosen = list(channel_names) or [name for name in dict.fromkeys(shown) if name]
    twice = sorted({name for name in chosen if shown.count(name) > 1})
    raise_problems(
        (
            Problem(where, f'several channels are called "{name}"', "one name each", fix)
            for name in twice
        ),
        ConfigurationError,
    )
    return chosen


def sites_of_files(
    root: str | Path,
    files: pd.DataFrame,
    channels: Mapping[str, str],
    channel_names: Sequence[str],
    notes: Notes,
) -> pd.DataFrame:
    """One row per site whose channels are all there: plate, well, site, locator, sizes, channels.

    Parameters
    ----------
    root
        The folder that paths are relative to.
    files
        One row per file: `plate`, `well` (normalised), `site`, `channel` (the name in the file),
        `path`; optionally `height` and `width`. Two files for one channel of a site: an error.
    channels, channel_names
        As in `named_channels`.
    notes
        Receives counts of incomplete sites and of files of other channels.
    """
    order = list(dict.fromkeys(files["channel"]))
    names = named_channels(order, channels, channel_names, str(root))
    shown = files["channel"].map(lambda name: channels.get(name, "") if channels else name)
    is_wanted = shown.isin(names)
    if num_other := int((~is_wanted).sum()):
        notes.count("files_of_other_channels", num_other)
    wanted = files[is_wanted].assign(shown=shown[is_wanted])
    _refuse_twice(wanted, root)
    rank = wanted["shown"].map({name: i for i, name in enumerate(names)})
    wanted = wanted.assign(rank=rank).sort_values([*SITE_KEY, "rank"], kind="stable")
    is_whole = wanted.groupby(SITE_KEY)["rank"].transform("size") == len(names)
    if num_incomplete := len(wanted.loc[~is_whole, SITE_KEY].drop_duplicates()):
        notes.count("sites_incomplete", num_incomplete)
        notes.warn(f"{num_incomplete} sites lack a channel and are left out.")
    whole = wanted[is_whole]
    paths = whole["path"].to_numpy().reshape(-1, len(names)).tolist()
    sites = whole.iloc[:: len(names)][[c for c in SITE_COLUMNS if c in whole]]
    sites = sites.reset_index(drop=True).assign(
        locator=[str(FilesLocator(tuple(files))) for files in paths],
        channels=pd.Series([list(names)] * len(paths), dtype=object),
    )
    return sites if "height" in sites else with_sizes(root, sites, notes)


def _refuse_twice(files: pd.DataFrame, root: str | Path) -> None:
    key = [*SITE_KEY, "shown"]
    twice = files[files.duplicated(key, keep=False)]
    raise_problems(
        Problem(
            str(root),
            f"plate {plate}, well {well}, site {site}, channel {channel} has {len(rows)} files "
            f"({', '.join(rows['path'].iloc[:2])})",
            "one file",
            "move surplus exports out of the root, or narrow the glob of the screen",
        )
        for (plate, well, site, channel), rows in twice.groupby(key, sort=True)
    )


def with_sizes(root: str | Path, sites: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Return the sites with the height and width that most of a few headers of their plate state.

    Three headers per plate are read; a site of another size is refused when it is read, since its
    own header then disagrees. A plate none of whose tried images can be read is left out.
    """
    heights = np.zeros(len(sites), dtype=np.int32)
    widths = np.zeros(len(sites), dtype=np.int32)
    for plate, rows in sites.groupby("plate", sort=True):
        size, reason = _usual_size(root, rows["locator"].tolist())
        if size is None:
            notes.count("plates_unreadable", 1)
            notes.warn(f"plate {plate}: no image can be read, its sites are left out. {reason}")
            continue
        heights[rows.index], widths[rows.index] = size
    sized = sites.assign(height=heights, width=widths)
    return sized[sized["height"] > 0].reset_index(drop=True)


NUM_HEADERS = 3
HEADERS_TRIED = 7


def _usual_size(root: str | Path, locators: Sequence[str]) -> tuple[tuple[int, int] | None, str]:
    """Return the most frequent size of a plate's images, from some of them; else why
    there is none.
    """
    sizes, reason = list[tuple[int, int]](), ""
    spread = np.linspace(0, len(locators) - 1, min(NUM_HEADERS, len(locators))).round().astype(int)
    for at in list(dict.fromkeys([*spread.tolist(), *range(len(locators))]))[:HEADERS_TRIED]:
        try:
            sizes.append(site_header(root, locators[at]))
        except PhenoprintsError as error:
            reason = reason or str(error).splitlines()[0]
        if len(sizes) == NUM_HEADERS:
            break
    return (Counter(sizes).most_common(1)[0][0] if sizes else None), reason


def with_sites(listing: Listing, sites: pd.DataFrame) -> Listing:
    """Join a listing with the sites of its wells; count and report what has no counterpart.

    `sites` are matched by plate and normalised well, so a plate's name must stand in one
    experiment of the table.
    """
    wells = listing.wells
    names = parse_wells(wells["well"], 1536).name
    keys = pd.DataFrame({"plate": wells["plate"], "well": names, "well_row": np.arange(len(wells))})
    _refuse_shared_plates(wells, listing.origin)
    matched = sites.merge(keys, on=["plate", "well"], how="left")
    is_known = matched["well_row"].notna()
    _note_strays(listing, keys, matched, is_known)
    known = matched[is_known].astype({"well_row": "int64"})
    return replace(listing, sites=known.drop(columns=["plate", "well"]).reset_index(drop=True))


def _refuse_shared_plates(wells: pd.DataFrame, origin: str) -> None:
    pairs = wells[["experiment", "plate"]].drop_duplicates()
    shared = pairs[pairs.duplicated("plate", keep=False) & pairs["plate"].notna()]
    raise_problems(
        Problem(
            origin,
            f"plate {plate} stands in {len(rows)} experiments, so that its images belong to none",
            "plate names that are unique in the screen",
        )
        for plate, rows in shared.groupby("plate", sort=True)
    )


def _note_strays(
    listing: Listing, keys: pd.DataFrame, matched: pd.DataFrame, is_known: pd.Series[Any]
) -> None:
    strays = matched[~is_known]
    without = ~keys["well_row"].isin(matched["well_row"]).to_numpy()
    plates = set(keys["plate"].dropna()) - set(matched["plate"])
    notes = listing.notes
    notes.count("files_without_wells", len(strays))
    notes.count("wells_without_files", int(without.sum()))
    notes.count("plates_without_files", len(plates))
    if len(strays):
        some = ", ".join(sorted(set(strays["plate"]))[:5])
        notes.warn(f"{len(strays)} imaged sites belong to no well of the table (plates {some}).")
    if without.any():
        some = ", ".join(sorted(map(str, plates))[:5])
        which = f"; {len(plates)} plates have none at all ({some})" if plates else ""
        notes.warn(f"{int(without.sum())} wells have no images{which}.")


def listing_of_sites(sites: pd.DataFrame, origin: str, notes: Notes) -> Listing:
    """Return the listing of images that no table describes: every perturbation is unknown.

    A plate is its own experiment, since nothing says what belongs together.
    """
    if sites.empty:
        raise TableError(f"{origin}: no complete site was found there.")
    wells = sites[["plate", "well"]].drop_duplicates(ignore_index=True)
    wells = wells.assign(experiment=wells["plate"], role="treatment")
    notes.warn("No table says what was done to the wells: every perturbation is unknown.")
    empty = pd.DataFrame({name: [] for name in PERTURBATION_COLUMNS}, dtype=object)
    listing = Listing(wells, empty, origin, notes=notes)
    return with_sites(listing, sites)


def imaged_listing(
    source: WellTable,
    files: pd.DataFrame,
    channels: Mapping[str, str] | None,
    channel_names: Sequence[str],
    notes: Notes,
) -> Listing:
    """Return the listing of a user's table with images found as files; without a table, of the
    images.
    """
    sites = sites_of_files(source.root, files, channels or {}, channel_names, notes)
    return table_with_sites(source, sites, notes)


def table_with_sites(source: WellTable, sites: pd.DataFrame, notes: Notes) -> Listing:
    """Return the listing of a user's table with these sites; without a table, of the
    sites alone.
    """
    if source.wells is None and source.barcode_platemap is None:
        return listing_of_sites(sites, source.root, notes)
    listing = read_well_table(source)
    listing.notes.counts.update(notes.counts)
    listing.notes.warnings.extend(notes.warnings)
    return with_sites(listing, sites)


@dataclass(frozen=True)
class FileNames:
    """How the names of images say what they show.

    `parse` gives plate, well, site, channel, plane and time of a path, or None; `example` is a
    name that it understands, for messages.
    """

    parse: Callable[[Path], dict[str, Any] | None]
    example: str


def listing_by_names(
    names: FileNames,
    table: Mapping[str, Any],
    images: str | Sequence[str],
    *,
    channels: Mapping[str, str] | None = None,
    channel_names: Sequence[str] = (),
) -> Listing:
    """Return the listing of a user's table with the images whose names say what they show.

    `table` holds the fields of `WellTable`, `images` is a glob below its root.
    """
    source, notes = WellTable(**table), Notes()
    files = files_by_name(source.root, find_files(source.root, images), names, notes)
    return imaged_listing(source, first_planes(files, notes), channels, channel_names, notes)


def files_by_name(
    root: str | Path, paths: Sequence[Path], names: FileNames, notes: Notes
) -> pd.DataFrame:
    """One row per file whose name says what it shows; other names are counted."""
    example, rows, num_other = names.example, [], 0
    for path in paths:
        row = names.parse(path)
        if row is None:
            num_other += 1
        else:
            rows.append({**row, "path": below(root, path)})
    if num_other:
        notes.count("files_of_other_names", num_other)
        notes.warn(f"{num_other} files have other names than {example} and are not used.")
    if not rows:
        raise TableError(f"{root}: no file is named like {example}.")
    return pd.DataFrame(rows)


def first_planes(files: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Return files of each channel's first time point and lowest plane; the others are counted."""
    key = ["plate", "well", "site", "channel"]
    ordered = files.sort_values([*key, "time", "plane"], kind="stable")
    first = ordered.groupby(key)[["time", "plane"]].transform("first")
    is_first = (ordered[["time", "plane"]] == first).all(axis=1)
    if num_other := int((~is_first).sum()):
        notes.count("files_of_other_planes", num_other)
        notes.warn(f"{num_other} images of further planes or time points are not used.")
    used: pd.DataFrame = ordered[is_first].drop(columns=["plane", "time"]).reset_index(drop=True)
    return used
