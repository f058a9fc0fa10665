"""Which wells are there, what was done to them, where their pixels are."""

from phenoprints.screens.frames import from_table
from phenoprints.screens.listing import Listing, Screen
from phenoprints.screens.reading import read
from phenoprints.wells.contracts import CONDITIONS, SITES, WELLS

__all__ = ["CONDITIONS", "SITES", "WELLS", "Listing", "Screen", "from_table", "read"]
