"""From a list of image files to the sites of a screen, and those to the wells of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.errors import (
    ConfigurationError,
    ImageError,
    PhenoprintsError,
    Problem,
    raise_problems,
)
from phenoprints.foundations.finding import composed
from phenoprints.screens.images.locators import FilesLocator
from phenoprints.screens.images.sites import site_header
from phenoprints.screens.listing import PERTURBATION_COLUMNS, Listing, Notes
from phenoprints.screens.selection import (
    SITE_KEY,
    Selection,
    choose,
    complete_sites,
    natural,
    usual_channels,
)
from phenoprints.screens.welltable import WellTable, read_well_table
from phenoprints.wells.plates import parse_wells

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
    selection: Selection,
    notes: Notes,
) -> pd.DataFrame:
    """One row per site whose channels are all there: plate, well, site, locator, sizes, channels.

    Parameters
    ----------
    root
        The folder that paths are relative to.
    files
        One row per file: `plate`, `well` (normalised), `site`, `channel` (the name in the file),
        `plane`, `time`, `acquisition`, `path`; optionally `height` and `width` (0: unknown). Two
        files for one channel, plane and time of a site: an error.
    channels, channel_names
        As in `named_channels`; where both are empty, the channels that most sites of most plates
        have, so that odd sites are left out and never the others.
    selection
        Which acquisition, plane and time are read.
    notes
        Receives counts of incomplete sites and of files of other channels, planes and times.
    """
    where = str(root)
    chosen = choose(files, selection, notes, where)
    shown = chosen["channel"].map(lambda name: channels.get(name, "") if channels else name)
    chosen = chosen.assign(shown=shown)
    if channels or channel_names:
        order = sorted(chosen["channel"].unique(), key=natural)
        names = named_channels(order, channels, channel_names, where)
    else:
        names = usual_channels(chosen)
    is_wanted = chosen["shown"].isin(names)
    _note_other_channels(chosen[~is_wanted], notes)
    whole = complete_sites(chosen[is_wanted], names, notes, where)
    num_lossy = int(whole["path"].str.lower().str.endswith(LOSSY_SUFFIXES).sum())
    if num_lossy:
        notes.count("files_of_lossy_format", num_lossy)
        notes.warn(f"{num_lossy} images are JPEG files, which lose detail: texture is not exact.")
    paths = whole["path"].to_numpy().reshape(-1, len(names)).tolist()
    sites = whole.iloc[:: len(names)][[c for c in SITE_COLUMNS if c in whole]]
    sites = sites.reset_index(drop=True).assign(
        locator=[str(FilesLocator(tuple(files))) for files in paths],
        channels=pd.Series([list(names)] * len(paths), dtype=object),
    )
    return with_sizes(root, sites, notes)


LOSSY_SUFFIXES = (".jpg", ".jpeg")


def _note_other_channels(others: pd.DataFrame, notes: Notes) -> None:
    if len(others):
        named = ", ".join(sorted(map(str, others["channel"].unique()), key=natural))
        notes.count("files_of_other_channels", len(others))
        notes.warn(f"{len(others)} images show channels that are not used ({named}).")


def with_sizes(root: str | Path, sites: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Return the sites with the height and width that most of a few headers of their plate state.

    Three headers per plate are read; a site of another size is refused when it is read, since its
    own header then disagrees. A plate none of whose tried images can be read is left out. Sites
    whose `height` and `width` are known already (not 0) keep them.
    """
    none = pd.Series(0, index=sites.index)
    heights, widths = (
        sites.get(side, none).fillna(0).to_numpy(np.int32, copy=True)
        for side in ("height", "width")
    )
    for plate, rows in sites[heights == 0].groupby("plate", sort=True):
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

    `sites` are matched by plate and normalised well, so a plate's name must be in one experiment
    of the table. Composed and decomposed letters of plates are equal.

    Raises
    ------
    ImageError
        No image can be read, or none belongs to a well of the table: nothing could be assessed.
    """
    wells = listing.wells
    names = parse_wells(wells["well"], 1536).name
    plates = wells["plate"].map(composed, na_action="ignore")
    keys = pd.DataFrame({"plate": plates, "well": names, "well_row": np.arange(len(wells))})
    _refuse_shared_plates(wells, listing.origin)
    _require_sites(sites, listing.origin, listing.notes)
    matched = sites.merge(keys, on=["plate", "well"], how="left")
    is_known = matched["well_row"].notna()
    _note_strays(listing, keys, matched, is_known)
    if not is_known.any():
        _refuse_strangers(listing, keys, matched)
    known = matched[is_known].astype({"well_row": "int64"})
    return replace(listing, sites=known.drop(columns=["plate", "well"]).reset_index(drop=True))


def _require_sites(sites: pd.DataFrame, origin: str, notes: Notes) -> None:
    if sites.empty:
        said = "\n".join(f"  {text}" for text in notes.warnings)
        raise ImageError(f"{origin}: no image of the screen can be read.\n{said}")


def _refuse_strangers(listing: Listing, keys: pd.DataFrame, sites: pd.DataFrame) -> None:
    imaged, listed = ({*map(str, table["plate"].dropna())} for table in (sites, keys))
    what = f"no image belongs to a well of the table: images are of plates {_some(imaged)}"
    if imaged & listed:
        what = f"no image belongs to a well of the table: images are of {_some(set(sites['well']))}"
    fix = "correct columns.plate and columns.well, or how the names of images are read"
    problem = Problem(listing.origin, what, f"plates {_some(listed)}", fix)
    raise ImageError(str(problem))


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names, key=natural)[:5])


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
        some = _some(set(strays["plate"]))
        notes.warn(f"{len(strays)} imaged sites belong to no well of the table (plates {some}).")
    if without.any():
        some = _some(set(map(str, plates)))
        which = f"; {len(plates)} plates have none at all ({some})" if plates else ""
        notes.warn(f"{int(without.sum())} wells have no images{which}.")


def listing_of_sites(sites: pd.DataFrame, origin: str, notes: Notes) -> Listing:
    """Return the listing of images that no table describes: every perturbation is unknown.

    A plate is its own experiment, since nothing says what belongs together.
    """
    _require_sites(sites, origin, notes)
    wells = sites[["plate", "well"]].drop_duplicates(ignore_index=True)
    wells = wells.assign(experiment=wells["plate"], role="treatment")
    notes.warn("No table says what was done to the wells: every perturbation is unknown.")
    empty = pd.DataFrame({name: [] for name in PERTURBATION_COLUMNS}, dtype=object)
    listing = Listing(wells, empty, origin, notes=notes)
    return with_sites(listing, sites)


def imaged_listing(
    source: WellTable,
    files: pd.DataFrame,
    chosen: tuple[Mapping[str, str], Sequence[str], Selection],
    notes: Notes,
    root: str,
) -> Listing:
    """Return the listing of a user's table with images found as files below a root; without a
    table, of the images. `chosen` are channels, channel names and the rest of the selection.
    """
    return table_with_sites(source, sites_of_files(root, files, *chosen, notes), notes)


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
