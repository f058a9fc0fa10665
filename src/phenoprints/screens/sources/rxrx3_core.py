"""RxRx3-core: 735 gene knock-outs and 1,674 compounds, JPEG 2000 images in Parquet shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from phenoprints.foundations.errors import Problem, TableError, raise_problems
from phenoprints.foundations.names import below
from phenoprints.foundations.size_limits import check_decompressed_size, memory_errors
from phenoprints.screens.imaged import named_channels, with_sizes
from phenoprints.screens.images.locators import ParquetLocator
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.problems import FILE, shared_keys, shared_problem
from phenoprints.screens.sources.rxrx3 import CHANNELS, read_metadata
from phenoprints.screens.tables import find_files

SETTINGS = ("root", "metadata", "images", "channel_names")
KEY = r"^(?P<site>[^/]+/Plate[^/]+/[^/]+_s\d+)_(?P<channel>\d)$"
"""`compound-001/Plate1/AA15_s1_1`: experiment, plate, well, site, channel."""


def read_listing(
    root: str,
    *,
    metadata: str = "metadata_rxrx3_core.csv",
    images: str | None = "data/*.parquet",
    channel_names: Sequence[str] = (),
) -> Listing:
    """Return the wells of RxRx3-core's metadata with their images.

    Parameters
    ----------
    root
        Folder of the download from Hugging Face.
    metadata, images
        The metadata table and the glob of the image shards below `root`; None reads no images.
    channel_names
        The channels wanted, in order; all six when empty.
    """
    listing = read_metadata(Path(root) / metadata)
    if images is None:
        return listing
    shards = find_files(root, images)
    names = named_channels(CHANNELS, {}, channel_names, "rxrx3-core")
    rows = pd.concat([_shard_rows(root, shard) for shard in shards], ignore_index=True)
    sites = _sites(root, rows, listing.wells, names, listing.notes)
    return replace(listing, sites=sites)


def _shard_rows(root: str, shard: Path) -> pd.DataFrame:
    """Return the site, the channel and the place of each image of a shard."""
    path = below(root, shard)
    check_decompressed_size(shard, ["__key__"])
    try:
        with memory_errors(shard):
            keys = pq.read_table(shard, columns=["__key__"]).column(0).to_pandas()
    except (pa.ArrowException, OSError, IndexError, KeyError) as error:
        raise TableError(f"{shard}: not a shard of RxRx3-core. {error}") from error
    parts = keys.astype(str).str.extract(KEY)
    strange = keys[parts["site"].isna()]
    raise_problems(
        Problem(str(shard), f'key "{key}"', "a key such as gene-001/Plate1/AA15_s1_1")
        for key in strange
    )
    placed: pd.DataFrame = parts.assign(path=path, row=np.arange(len(keys)))
    return placed


def _sites(
    root: str, rows: pd.DataFrame, wells: pd.DataFrame, names: Sequence[str], notes: Notes
) -> pd.DataFrame:
    rank = {str(CHANNELS.index(name) + 1): i for i, name in enumerate(names)}
    wanted = rows[rows["channel"].isin(rank)]
    wanted = wanted.assign(rank=wanted["channel"].map(rank)).sort_values(["site", "rank"])
    key = wells["experiment"] + "/Plate" + wells["plate"] + "/" + wells["well"] + "_s1"
    wanted["well_row"] = wanted["site"].map(dict(zip(key, wells.index, strict=True)))
    _refuse_twice(wanted)
    is_whole = wanted.groupby("site")["rank"].transform("size") == len(names)
    whole = wanted[is_whole & wanted["well_row"].notna()]
    paths = whole["path"].to_numpy().reshape(-1, len(names))
    places = whole["row"].to_numpy().reshape(-1, len(names)).tolist()
    locators = [
        str(ParquetLocator(tuple(zip(path, row, strict=True))))
        for path, row in zip(paths, places, strict=True)
    ]
    table = pd.DataFrame(
        {
            "well_row": whole["well_row"].to_numpy()[:: len(names)].astype(np.int64),
            "site": 1,
            "locator": locators,
            "plate": paths[:, 0],
            "channels": pd.Series([list(names)] * len(locators), dtype=object),
        }
    )
    strays = int(wanted.loc[wanted["well_row"].isna(), "site"].nunique())
    for name, number in (("images_without_wells", strays),
                         ("wells_without_images", len(wells) - len(table))):  # fmt: skip
        if number:
            notes.count(name, number)
            notes.warn(f"{number} {name.replace('_', ' ')}.")
    return with_sizes(root, table, notes).drop(columns=["plate"])


def _refuse_twice(rows: pd.DataFrame) -> None:
    fix = "narrow `images` so that it matches each shard once"
    keyed = rows[["site", "channel"]].assign(**{FILE: rows["path"]})
    raise_problems(
        shared_problem(one, other, "images", list(group["site"] + "_" + group["channel"]), fix)
        for one, other, group in shared_keys(keyed, ["site", "channel"])
    )
