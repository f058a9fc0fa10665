"""What a source says about a screen, and the screen that becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PERTURBATION_COLUMNS = ("well_row", "perturbation", "kind", "gene", "guide", "concentration_um")
SITE_COLUMNS = ("well_row", "site", "locator", "height", "width", "channels")
LEFT_OUT_COLUMNS = ("experiment", "plate", "well", "reason")


@dataclass
class Notes:
    """Counts and warnings that a source collects on its way."""

    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def count(self, name: str, number: int) -> None:
        """Add `number` to the count of that name."""
        self.counts[name] = self.counts.get(name, 0) + int(number)

    def warn(self, text: str) -> None:
        """Add a sentence for provenance and report."""
        self.warnings.append(text)


def _no_sites() -> pd.DataFrame:
    return pd.DataFrame(columns=list(SITE_COLUMNS))


def _nothing_left_out() -> pd.DataFrame:
    return pd.DataFrame(columns=list(LEFT_OUT_COLUMNS))


@dataclass(frozen=True)
class Listing:
    """The raw tables of a source, in any order and not yet checked.

    Attributes
    ----------
    wells
        One row per well, index 0 … n-1: `experiment`, `plate`, `well` (any spelling), `role`, and
        optionally `cell_type`, `background`, `modality`, `replicate_group`, `plate_format` (where
        the source knows it) and `line` (the line of the source's file, for messages).
    perturbations
        One row per well and perturbation: `well_row` (position in `wells`), `perturbation` (null:
        unknown), `kind`, `gene`, `guide`, `concentration_um`; further columns are annotations of
        the condition. A well without a row is unknown, or unperturbed when its role says so.
    sites
        One row per imaged site: `well_row`, `site`, `locator`, `height`, `width`, `channels`, and
        optionally `file` (what lists the site, for messages).
    origin
        The file or folder that messages name.
    left_out
        Wells the source knows but cannot use: `experiment`, `plate`, `well`, `reason`.
    extras
        Tables to be written beside the screen, such as known relationships.
    inputs
        The metadata files that were read, for provenance.
    """

    wells: pd.DataFrame
    perturbations: pd.DataFrame
    origin: str
    sites: pd.DataFrame = field(default_factory=_no_sites)
    left_out: pd.DataFrame = field(default_factory=_nothing_left_out)
    notes: Notes = field(default_factory=Notes)
    extras: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    inputs: Sequence[str] = ()


@dataclass(frozen=True, repr=False)
class Screen:
    """A screen as validated tables: which wells, what was done to them, where their pixels are.

    Attributes
    ----------
    name
        The screen's name in the configuration.
    wells, sites, conditions
        Tables that conform to `phenoprints.wells.contracts`.
    notes
        `counts` (name to integer) and `warnings` (sentences), for provenance and report.
    extras
        Further tables by name; `left_out` lists wells that were left out, with the reason.
    inputs
        The metadata files that were read.
    source_rows
        For every well, the number of its row in the listing of the source (in the table, of
        screens built by `from_table`); None for a screen that was stored and read again.
    """

    name: str
    wells: pd.DataFrame
    sites: pd.DataFrame
    conditions: pd.DataFrame
    notes: dict[str, Any]
    extras: dict[str, pd.DataFrame] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    source_rows: NDArray[np.int64] | None = None

    def __repr__(self) -> str:
        counts = f"{len(self.wells)} wells, {len(self.conditions)} conditions"
        return f"Screen({self.name!r}: {counts}, {len(self.sites)} sites)"
