"""What a new experiment resembles on a map that does not change."""

from phenoprints.matches.neighbours import calibrated_neighbours
from phenoprints.matches.settings import MatchSettings

__all__ = ["MatchSettings", "calibrated_neighbours"]
