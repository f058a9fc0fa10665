"""A screen known only by its size, for dry runs and estimates."""

from __future__ import annotations

from typing import Any

from phenoprints.foundations.errors import ConfigurationError
from phenoprints.screens.listing import Listing

SETTINGS = (
    "planned_source", "experiments", "num_wells", "sites", "num_channels", "image_px",
    "control_fraction", "screen",
)  # fmt: skip


def read_listing(*, screen: str = "planned", num_wells: int = 0, **_: Any) -> Listing:
    """Nothing: a planned screen has no wells, and reading it says so."""
    raise ConfigurationError(
        f"screens.{screen}: the source `planned` only counts ({num_wells:,} wells), for dry runs "
        "and estimates.\n  To fix: give the screen its real source before running it."
    )
