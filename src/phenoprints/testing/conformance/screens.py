"""What every source of screens must fulfil; run it on your own with `check_source`.

>>> from phenoprints.testing.conformance.screens import check_source
>>> check_source(lambda: my_read_listing(root="data/mine"), root="data/mine")  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.screens.assembly import assemble, conforms
from phenoprints.screens.images.locators import parse_locator
from phenoprints.screens.images.sites import read_site, site_header
from phenoprints.screens.listing import (
    LEFT_OUT_COLUMNS,
    PERTURBATION_COLUMNS,
    SITE_COLUMNS,
    Listing,
    Screen,
)
from phenoprints.wells.contracts import ROLES

WELL_COLUMNS = ("experiment", "plate", "well", "role")


def check_source(
    read_listing: Callable[[], Listing],
    *,
    root: str | Path | None = None,
    num_images: int = 3,
    **assembly: Any,
) -> Screen:
    """Return the screen of a source, after everything that later stages rely on has been checked.

    Parameters
    ----------
    read_listing
        Reads the source; it is called twice.
    root
        The folder that locators lie below; None where the source has no images.
    num_images
        Sites whose pixels are read.
    assembly
        Settings of `phenoprints.screens.assembly.assemble`.

    Raises
    ------
    AssertionError
        The promise that is broken, in words.
    """
    listing = read_listing()
    check_listing(listing)
    screen = assemble("conformance", listing, **assembly)
    conforms(screen)
    check_wells(screen)
    check_notes(screen)
    _same(screen, assemble("conformance", read_listing(), **assembly), "read twice")
    shuffled = assemble("conformance", shuffled_listing(read_listing()), **assembly)
    _same(screen, shuffled, "with shuffled rows")
    if root is not None:
        check_sites(screen, root, num_images=num_images)
    return screen


def check_listing(listing: Listing) -> None:
    """Check that a listing has the promised columns, plates as text, and only its own wells."""
    tables = (
        ("wells", listing.wells, WELL_COLUMNS),
        ("perturbations", listing.perturbations, PERTURBATION_COLUMNS),
        ("sites", listing.sites, SITE_COLUMNS),
        ("left_out", listing.left_out, LEFT_OUT_COLUMNS),
    )
    for name, table, columns in tables:
        missing = [column for column in columns if column not in table]
        assert not missing, f"the listing's {name} lack the columns {missing}"
    index = listing.wells.index
    assert (index == np.arange(len(index))).all(), "wells are not indexed 0 … n-1"
    for name, table, _ in (tables[1], tables[2]):
        rows = table["well_row"].to_numpy(dtype=np.int64)
        is_there = (rows >= 0) & (rows < len(index))
        assert is_there.all(), f"{name} point at wells that are not there"
    for column in ("experiment", "plate", "well"):
        texts = listing.wells[column].dropna().map(lambda value: isinstance(value, str))
        assert texts.all(), f"{column}s are text, so that 007 stays 007"
    assert set(listing.wells["role"].dropna()) <= set(ROLES), "unknown roles"
    assert listing.origin, "the origin names the file that messages speak of"
    assert all(Path(path).exists() for path in listing.inputs), "an input file is not there"


def check_wells(screen: Screen) -> None:
    """Wells have their conditions: none when unperturbed, known ids or null otherwise."""
    wells, conditions = screen.wells, screen.conditions
    ids = set(conditions["condition_id"])
    assert list(conditions["condition_id"]) == list(range(len(conditions))), "ids count from 0"
    used: set[int] = set()
    for role, listed in zip(wells["role"], wells["conditions"], strict=True):
        if role == "unperturbed":
            assert listed is not None, "an unperturbed well has an empty list, not null"
            assert len(listed) == 0, "an unperturbed well has a condition"
        elif listed is not None:
            assert len(listed) > 0, "a perturbed well without a condition is null, not empty"
            assert sorted(set(listed)) == list(listed), "conditions of a well are sorted, distinct"
            used.update(map(int, listed))
    assert used == ids, "a condition has no well, or a well a condition that is not there"


def check_notes(screen: Screen) -> None:
    """Check that counts are integers, warnings sentences, and both serialise to JSON."""
    assert all(
        isinstance(number, int) and number >= 0 for number in screen.notes["counts"].values()
    ), "counts are integers of 0 or more"
    assert all(text.endswith(".") for text in screen.notes["warnings"]), "warnings are sentences"
    json.dumps(screen.notes, allow_nan=False)
    assert screen.notes["counts"]["wells"] == len(screen.wells), "the number of wells is counted"


def check_sites(screen: Screen, root: str | Path, *, num_images: int) -> None:
    """Sites belong to wells, their locators stay below the root, and their pixels can be read."""
    sites = screen.sites
    assert len(sites) > 0, "no site was found"
    assert sites["well_id"].isin(screen.wells["well_id"]).all(), "a site belongs to no well"
    for locator in sites["locator"]:
        assert str(parse_locator(locator)) == locator, "a locator is not in its canonical form"
        assert str(root) not in locator, "locators are relative to the root"
    step = max(1, len(sites) // max(1, num_images))
    for row in sites.iloc[::step].to_dict("records"):
        shape = (int(row["height"]), int(row["width"]))
        assert site_header(root, row["locator"]) == shape, "a header disagrees with the table"
        pixels = read_site(root, row["locator"], list(row["channels"]), shape=shape)
        assert pixels.shape == (len(row["channels"]), *shape), "pixels are not (C, H, W)"
        assert pixels.dtype in (np.uint8, np.uint16), "pixels are not of 8 or 16 bits"


def shuffled_listing(listing: Listing, seed: int = 0) -> Listing:
    """Return the same listing with the rows of all its tables in another order."""
    order = np.random.default_rng(seed).permutation(len(listing.wells))
    position = np.argsort(order)

    def moved(table: pd.DataFrame) -> pd.DataFrame:
        rows = position[table["well_row"].to_numpy(dtype=np.int64)]
        return table.assign(well_row=rows).iloc[::-1].reset_index(drop=True)

    return replace(
        listing,
        wells=listing.wells.iloc[order].reset_index(drop=True),
        perturbations=moved(listing.perturbations),
        sites=moved(listing.sites),
    )


def _same(first: Screen, second: Screen, what: str) -> None:
    for name in ("wells", "sites", "conditions"):
        one, other = getattr(first, name), getattr(second, name)
        try:
            pd.testing.assert_frame_equal(one, other)
        except AssertionError as error:
            raise AssertionError(f"{name} differ when the source is {what}: {error}") from error
