"""RxRx1: siRNAs in four cell types, two sites per well, six PNG files per site."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from phenoprints.foundations.errors import ImageError, Problem, TableError, raise_problems
from phenoprints.foundations.names import file_name
from phenoprints.foundations.table_files import LINE, read_names
from phenoprints.screens.imaged import named_channels, with_sizes
from phenoprints.screens.images.locators import FilesLocator
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.problems import whole_numbers

SETTINGS = ("root", "metadata", "images", "channel_names")
CHANNELS = ("DNA", "ER", "Actin", "RNA", "Mito", "Golgi")
"""What w1 to w6 show: Hoechst, ConA, phalloidin, Syto14, MitoTracker, WGA."""
COLUMNS = ["experiment", "plate", "well", "site", "cell_type", "well_type", "sirna"]
WELL_KEY = ["experiment", "plate", "well"]
UNTREATED = "EMPTY"


def read_listing(
    root: str,
    *,
    metadata: str = "metadata.csv",
    images: str = "images",
    channel_names: Sequence[str] = (),
) -> Listing:
    """Return the wells of RxRx1's metadata (a row per site) with their images.

    Parameters
    ----------
    root
        Folder of the download.
    metadata, images
        The metadata table and the folder of the images below `root`. Both the layout
        `<experiment>/Plate<n>/<well>_s<site>_w<channel>.png` and Kaggle's, with `train` or `test`
        in front, are read.
    channel_names
        The channels wanted, in order; all six when empty.

    Untreated wells (`EMPTY`) are unperturbed; experiments of one cell type are replicates.
    """
    path, notes = Path(root) / metadata, Notes()
    sites = read_names(path, columns=COLUMNS, optional=["dataset"])
    sites["site"] = whole_numbers(sites, "site", str(path))
    _refuse_contradictions(sites, str(path))
    first = ~sites.duplicated(WELL_KEY)
    wells = sites[first].reset_index(drop=True)
    sites["well_row"] = sites.groupby(WELL_KEY, sort=False, dropna=False).ngroup()
    is_empty = (wells["sirna"] == UNTREATED).to_numpy()
    wells["role"] = wells["well_type"].where(~is_empty, "unperturbed")
    wells["replicate_group"] = wells["cell_type"]
    kept = [*WELL_KEY, "role", "cell_type", "replicate_group", LINE]
    names = named_channels(CHANNELS, {}, channel_names, "rxrx1")
    imaged = _sites(Path(root), images, sites, names, notes)
    return Listing(
        wells=wells[kept],
        perturbations=_perturbations(wells[~is_empty]),
        sites=imaged,
        origin=str(path),
        notes=notes,
        inputs=(str(path),),
    )


def _refuse_contradictions(sites: pd.DataFrame, where: str) -> None:
    facts = sites[[*WELL_KEY, "cell_type", "well_type", "sirna"]].drop_duplicates()
    several = facts[facts.duplicated(WELL_KEY, keep=False)]
    twice = sites[sites.duplicated([*WELL_KEY, "site"], keep=False)]
    problems = [
        Problem(where, f"well {'_'.join(map(str, key))} is described in {len(rows)} ways", "one")
        for key, rows in several.groupby(WELL_KEY, sort=True, dropna=False)
    ]
    problems += [
        Problem(where, f"site {'_'.join(map(str, key))} stands in {len(rows)} rows", "one row")
        for key, rows in twice.groupby([*WELL_KEY, "site"], sort=True, dropna=False)
    ]
    raise_problems(problems, TableError)


def _perturbations(wells: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "well_row": wells.index,
            "perturbation": wells["sirna"],
            "kind": "sirna",
            "gene": None,
            "guide": wells["sirna"],
            "concentration_um": np.nan,
        }
    )


def _sites(
    root: Path, images: str, sites: pd.DataFrame, names: Sequence[str], notes: Notes
) -> pd.DataFrame:
    numbers = [CHANNELS.index(name) + 1 for name in names]
    found = []
    keys = ["experiment", "plate", *[c for c in ("dataset",) if c in sites]]
    for key, rows in sites.groupby(keys, sort=True):
        folder = _plate_folder(root, images, *map(str, key))
        there = {entry.name for entry in (root / folder).iterdir()} if folder else set()
        stems = [f"{well}_s{site}" for well, site in zip(rows["well"], rows["site"], strict=True)]
        for stem, row, site in zip(stems, rows["well_row"], rows["site"], strict=True):
            files = [f"{stem}_w{number}.png" for number in numbers]
            if all(file in there for file in files):
                locator = str(FilesLocator(tuple(f"{folder}/{file}" for file in files)))
                found.append((row, int(site), locator, "/".join(map(str, key))))
        if stems and f"{stems[0]}.png" in there:
            raise ImageError(
                f"{root / str(folder)}: the images are merged into one RGB file per site.\n"
                "  Expected six grey files per site, as rxrx.ai/rxrx1 gives them."
            )
    if num_missing := len(sites) - len(found):
        notes.count("sites_without_files", num_missing)
        notes.warn(f"{num_missing} of {len(sites)} sites have no images or lack a channel.")
    table = pd.DataFrame(found, columns=["well_row", "site", "locator", "plate"])
    table["channels"] = pd.Series([list(names)] * len(table), dtype=object)
    return with_sizes(root, table, notes).drop(columns=["plate"])


def _plate_folder(
    root: Path, images: str, experiment: str, plate: str, dataset: str = ""
) -> str | None:
    """Return the folder of a plate below `root`; names from the table cannot leave it."""
    end = f"{file_name(experiment, 'experiment')}/Plate{file_name(plate, 'plate')}"
    for start in (images, f"{images}/{file_name(dataset)}" if dataset else images):
        if (root / start / end).is_dir():
            return f"{start}/{end}"
    return None
