"""RxRx3: 17,063 gene knock-outs and 1,674 compounds, one well per row, one site per well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.errors import raise_problems
from phenoprints.foundations.names import file_name
from phenoprints.foundations.table_files import LINE, read_names
from phenoprints.screens.imaged import named_channels, with_sizes
from phenoprints.screens.images.locators import FilesLocator
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.problems import value_problems

SETTINGS = ("root", "metadata", "images", "channel_names")
CHANNELS = ("DNA", "ER", "Actin", "RNA", "Mito", "Golgi")
"""What w1 to w6 show."""
COLUMNS = ["experiment_name", "plate", "address", "gene", "treatment", "SMILES", "concentration",
           "perturbation_type", "cell_type"]  # fmt: skip
CONCENTRATIONS_UM = (0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0)
"""Nominal doses; four in the files are rounded wrongly (0.002, 0.026, 0.26, 2.6)."""
SNAP_FRACTION = 0.21
"""A dose this close to a nominal one, relative to it, is that one: 0.002 for 0.0025 is off 20 %."""
UNPERTURBED, CRISPR_CONTROL = "EMPTY_control", "CRISPR_control"
INTRON_CONTROLS = "Intron controls"
KINDS = {"CRISPR": "crispr", "COMPOUND": "compound"}
MAX_SHARED = 8
"""Guides that stand in more experiments are controls and say nothing of replicates."""


def read_listing(
    root: str,
    *,
    metadata: str = "metadata_rxrx3.csv",
    images: str | None = "images",
    channel_names: Sequence[str] = (),
) -> Listing:
    """Return the wells of RxRx3's metadata with their images.

    Parameters
    ----------
    root
        Folder of the download, with the tars unpacked.
    metadata, images
        The metadata table and the folder of the images below `root`
        (`<experiment>/Plate<n>/<well>_s1_w<channel>.png` or `.jp2`); None reads no images.
    channel_names
        The channels wanted, in order; all six when empty.

    `EMPTY_control` is unperturbed, `CRISPR_control` a negative control, in whichever of the
    columns gene and treatment it stands; doses are snapped to the nominal ones; SMILES lose their
    CXSMILES tail; gene experiments that share guides are replicates.
    """
    listing = read_metadata(Path(root) / metadata)
    if images is None:
        return listing
    names = named_channels(CHANNELS, {}, channel_names, "rxrx3")
    sites = _sites(Path(root), images, listing.wells, names, listing.notes)
    return Listing(
        listing.wells,
        listing.perturbations,
        listing.origin,
        sites=sites,
        notes=listing.notes,
        inputs=listing.inputs,
    )


def read_metadata(path: Path) -> Listing:
    """Return the wells and perturbations of `metadata_rxrx3.csv` or `metadata_rxrx3_core.csv`."""
    table = read_names(path, columns=COLUMNS, optional=["well_type_label"])
    notes = Notes()
    treatment = table["treatment"].where(table["treatment"].notna(), table["gene"])
    is_empty = ((treatment == UNPERTURBED) | (table["gene"] == UNPERTURBED)).to_numpy()
    is_negative = ((treatment == CRISPR_CONTROL) | (table["gene"] == CRISPR_CONTROL)).to_numpy()
    if "well_type_label" in table:
        is_negative |= (table["well_type_label"] == INTRON_CONTROLS).to_numpy()
    roles = np.select([is_empty, is_negative], ["unperturbed", "negative_control"], "treatment")
    wells = pd.DataFrame(
        {
            "experiment": table["experiment_name"],
            "plate": table["plate"],
            "well": table["address"],
            "role": roles,
            "cell_type": table["cell_type"],
            "replicate_group": _replicate_groups(table["experiment_name"], treatment, roles),
            LINE: table[LINE],
        }
    )
    perturbations = _perturbations(table, treatment, str(path), notes)[~is_empty]
    return Listing(wells, perturbations, str(path), notes=notes, inputs=(str(path),))


def _perturbations(
    table: pd.DataFrame, treatment: pd.Series[Any], where: str, notes: Notes
) -> pd.DataFrame:
    kind = table["perturbation_type"].map(lambda word: KINDS.get(str(word).upper(), word))
    is_crispr = kind == "crispr"
    is_guide = is_crispr & treatment.str.contains("_guide_", regex=False, na=False)
    # Gene symbols may hold hyphens and underscores: the guide's number is the last part.
    gene = table["gene"].where(table["gene"].notna(), treatment.str.rsplit("_guide_", n=1).str[0])
    return pd.DataFrame(
        {
            "well_row": np.arange(len(table)),
            "perturbation": treatment,
            "kind": kind,
            "gene": gene.where(is_guide, None),
            "guide": treatment.where(is_guide, None),
            "concentration_um": snapped(table["concentration"], table, where, notes),
            "smiles": table["SMILES"].str.split(" |", regex=False).str[0],
        }
    )


def snapped(
    texts: pd.Series[Any], table: pd.DataFrame, where: str, notes: Notes
) -> pd.Series[float]:
    """Return doses in µM, each at the nominal one that it was rounded from; missing ones NaN."""
    doses = pd.to_numeric(texts, errors="coerce").astype("float64")
    is_wrong = texts.notna().to_numpy() & ~(doses.to_numpy() >= 0)
    raise_problems(
        value_problems(
            texts, is_wrong, table, where,
            say=lambda value: (f'concentration: "{value}" is not a dose', "a number in µM", ""),
        )
    )  # fmt: skip
    nominal = np.array(CONCENTRATIONS_UM)
    nearest = nominal[np.abs(doses.to_numpy()[:, None] - nominal).argmin(axis=1)]
    with np.errstate(invalid="ignore"):
        is_near = np.abs(doses - nearest) <= SNAP_FRACTION * nearest
        num_moved = int((is_near & (np.abs(doses - nearest) > 1e-9)).sum())
    if num_moved:
        notes.count("concentrations_snapped", num_moved)
    return doses.where(~is_near, nearest)


def _replicate_groups(
    experiments: pd.Series[Any], treatment: pd.Series[Any], roles: Any
) -> pd.Series[Any]:
    """For each well the first of the experiments that share guides with its own, else ""."""
    pairs = pd.DataFrame({"experiment": experiments, "treatment": treatment})
    is_guide = pairs["treatment"].str.contains("_guide_", regex=False, na=False)
    pairs = pairs[(roles == "treatment") & is_guide].drop_duplicates()
    num_experiments = pairs.groupby("treatment")["experiment"].transform("size")
    shared = pairs[(num_experiments > 1) & (num_experiments <= MAX_SHARED)]
    parent = {name: name for name in pairs["experiment"].unique()}

    def root_of(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for _, group in shared.groupby("treatment"):
        roots = sorted({root_of(name) for name in group["experiment"]})
        for other in roots[1:]:
            parent[other] = roots[0]
    tops = {name: root_of(name) for name in parent}
    sizes = pd.Series(tops).value_counts()
    groups = {name: top if sizes[top] > 1 else "" for name, top in tops.items()}
    return experiments.map(groups).fillna("")


def _sites(
    root: Path, images: str, wells: pd.DataFrame, names: Sequence[str], notes: Notes
) -> pd.DataFrame:
    numbers = [CHANNELS.index(name) + 1 for name in names]
    found = []
    for key, rows in wells.groupby(["experiment", "plate"], sort=True):
        experiment, plate = map(str, key)
        folder = f"{images}/{file_name(experiment)}/Plate{file_name(plate)}"
        place = root / folder
        there = {entry.name for entry in place.iterdir()} if place.is_dir() else set()
        suffix = ".jp2" if any(name.endswith(".jp2") for name in there) else ".png"
        for row, well in zip(rows.index, rows["well"], strict=True):
            files = [f"{well}_s1_w{number}{suffix}" for number in numbers]
            if all(file in there for file in files):
                locator = str(FilesLocator(tuple(f"{folder}/{file}" for file in files)))
                found.append((row, 1, locator, f"{experiment}/{plate}"))
    if num_missing := len(wells) - len(found):
        notes.count("wells_without_files", num_missing)
        notes.warn(f"{num_missing} of {len(wells)} wells have no images or lack a channel.")
    table = pd.DataFrame(found, columns=["well_row", "site", "locator", "plate"])
    table["channels"] = pd.Series([list(names)] * len(table), dtype=object)
    return with_sizes(root, table, notes).drop(columns=["plate"])
