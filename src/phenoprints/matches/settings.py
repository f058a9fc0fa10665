"""The settings of matching."""

from __future__ import annotations

from pydantic import Field

from phenoprints.configuration.models.base import default_of
from phenoprints.configuration.models.stages import MatchSearch


class MatchSettings(MatchSearch):
    """How a new experiment is compared with a map; defaults are those of the configuration."""

    # Fewer sets than a screen needs are enough for arrays of a notebook.
    num_null: int = Field(default_of(MatchSearch, "num_null"), ge=1)
