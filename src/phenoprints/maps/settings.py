"""How a map is built: the settings of the configuration's section `maps`."""

from __future__ import annotations

from dataclasses import dataclass

from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems

LEVELS = ("condition", "guide", "gene", "compound", "concentration")
AGGREGATES = ("spherical-mean", "mean", "median")
CENTRES = ("controls", "non-targeting", "none")
LAYOUTS = ("pca", "tsne")


@dataclass(frozen=True)
class MapSettings:
    """Levels, aggregation and origin of a map; defaults first.

    `aggregate`: `spherical-mean` normalises every well, takes the mean and normalises again;
    `mean` and `median` are EFAAR's. `guides_first`: genes are aggregated from guides, not wells.
    `centre_on`: the mean of the alignment's control wells, or of the non-targeting guides, which is
    refused after chromosome-arm correction (that has already removed the effect of cutting), or
    nothing is taken off (`none`). A vector needs `min_wells` usable wells, else it is NaN.
    `num_neighbours` nearest neighbours of each perturbation are listed. A concentration is active
    where its mean is longer than that of as many control wells in all but `activity_p_value` of
    `num_null` draws.
    """

    levels: tuple[str, ...] = LEVELS
    aggregate: str = "spherical-mean"
    guides_first: bool = False
    centre_on: str = "controls"
    min_wells: int = 1
    num_neighbours: int = 10
    layout: str = "pca"
    activity_p_value: float = 0.01
    num_null: int = 1000

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))
        problems = [
            Problem("maps.levels", f'"{level}"', "one of " + ", ".join(LEVELS))
            for level in self.levels
            if level not in LEVELS
        ]
        words = {"aggregate": AGGREGATES, "centre_on": CENTRES, "layout": LAYOUTS}
        for name, allowed in words.items():
            value = getattr(self, name)
            if value not in allowed:
                problems.append(
                    Problem(f"maps.{name}", f'"{value}"', "one of " + ", ".join(allowed))
                )
        raise_problems(problems, ConfigurationError)
