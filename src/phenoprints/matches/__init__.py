"""What a new experiment resembles on a map that does not change."""

from phenoprints.matches.contracts import MATCHES
from phenoprints.matches.matching import Matches, match
from phenoprints.matches.neighbours import calibrated_neighbours
from phenoprints.matches.on_map import map_neighbours
from phenoprints.matches.reference import (
    Reference,
    freeze_reference,
    open_reference,
    save_reference,
)
from phenoprints.matches.settings import MatchSettings

__all__ = [
    "MATCHES",
    "MatchSettings",
    "Matches",
    "Reference",
    "calibrated_neighbours",
    "freeze_reference",
    "map_neighbours",
    "match",
    "open_reference",
    "save_reference",
]
