"""The settings of maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from phenoprints.configuration.models.stages import Maps
from phenoprints.configuration.renaming import present_names


class MapSettings(Maps):
    """How a map is built; fields and defaults are those of the configuration.

    `aggregate`: `spherical-mean` normalises every well, takes the mean and normalises again;
    `mean` and `median` are EFAAR's. `guides_first`: genes are aggregated from guides, not wells.
    `centre_on: non-targeting` is refused after chromosome-arm correction, which has already removed
    the effect of cutting. A vector needs `min_wells` usable wells, else it is NaN. A concentration
    is active where its wells are farther from the controls of their plates than other sets of as
    many wells from these plates, with p below `activity_p_value`; `num_null` sets are drawn per
    fold of the controls. `null_model: experiment` takes sets from anywhere in the experiment.
    """

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings that a map was stored with, by an earlier version too."""
        return cls.from_section(present_names("maps", values))
