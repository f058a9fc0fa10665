"""The cells of the calibration: designs of screens whose truth is known."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np
from benchmarks.calibrate.covering import covering_design

from phenoprints.simulation import PlateLayout, VectorEffects
from phenoprints.simulation.layouts import replicate_plates
from phenoprints.simulation.vectors import FACTOR_SHARE

FACTORS: dict[str, tuple[Any, ...]] = {
    "offset": (0.0, 0.3, 0.6),
    "spread": ("one-plate", "mixed", "many-plates"),
    "positions": ("fixed", "moved"),
    "place": ("none", "edge", "rows"),
    "conditions": (3, 20, 80),
    "controls": (8, 16, 48, 96),
    "experiments": (1, 4, 8),
    "judges": (1, 2),
    "null_model": (
        "plate-matched", "experiment", "layout-matched", "any-wells", "negative-controls",
    ),
    "method": ("tvn", "pca-center-scale"),
    "features": (32, 128, 384),
    "kind": ("compound", "crispr"),
    "tails": ("normal", "heavy"),
}  # fmt: skip
"""Factors of the covering design and their levels."""

PAIR_TIMES = 3
"""How often every pair of levels occurs at least; three times make more than 60 cells."""

DEFAULT_NULL = "plate-matched"
SIMULATED, DMSO = "simulated", "bbbc021-dmso"
HEAVY_DEGREES = 5.0
"""Degrees of freedom of the heavy-tailed well noise."""

PLACE_LENGTH = 0.6
"""Length of the effects of edges and rows, in units of the well noise."""

SERIES = {"compound": 4, "crispr": 2}
"""Concentrations of a compound, guides of a gene."""

CELL_FIELDS = (
    "judges", "method", "remove_position", "features", "num_null", "factor_share", "source",
)  # fmt: skip
"""Fields of a cell that `cell_of` takes as they are."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One design: what is simulated, how it is aligned and under which nulls it is tested."""

    name: str
    group: str
    layout: PlateLayout
    effects: VectorEffects
    judges: int = 1
    null_models: tuple[str, ...] = (DEFAULT_NULL,)
    method: str = "tvn"
    remove_position: str = "none"
    features: int = 64
    degrees: float | None = None
    factor_share: float = FACTOR_SHARE
    num_null: int = 2_000
    source: str = SIMULATED
    factors: dict[str, Any] = field(default_factory=dict)

    @property
    def has_fixed_place_effect(self) -> bool:
        """Whether conditions keep positions over plates or experiments, and places have effects."""
        effects, layout = self.effects, self.layout
        places = effects.edge or effects.row or effects.column or effects.position
        is_repeated = layout.spread != "one-plate" or layout.experiments > 1
        return bool(layout.positions == "fixed" and places and is_repeated)

    @property
    def most_on_a_plate(self) -> int:
        """Most wells that at least half of the conditions have on one plate."""
        counts = [np.bincount(row).max() for row in replicate_plates(self.layout)]
        return int(np.sort(counts)[(len(counts) - 1) // 2])

    @property
    def is_alone(self) -> bool:
        """Whether conditions have all replicates of an experiment on a plate of their own."""
        one_plate = self.layout.spread == "one-plate"
        return one_plate and self.layout.conditions <= self.layout.plates

    @property
    def is_planted(self) -> bool:
        """Whether some conditions have an effect."""
        return self.effects.effect > 0 and self.effects.active > 0

    @property
    def cost(self) -> float:
        """Processor seconds of one screen, to a factor of about 2."""
        experiments, d = self.layout.experiments, self.features / 384
        wells = self.layout.conditions * self.layout.replicates
        wells += self.layout.controls * self.layout.plates
        tests = 0.1 * experiments * len(self.null_models) * (1.0 + d)
        return 0.6 * self.judges * (0.2 + tests + experiments * wells / 4000 * (0.2 + 2 * d))

    def described(self) -> dict[str, Any]:
        """Return all that determines the results of the cell, for its key."""
        return asdict(self)


def all_cells() -> list[Cell]:
    """Return every cell: always the named ones, then those of the covering design."""
    named = [*protocol_cells(), *control_cells(), *position_cells(), *power_cells(), *dmso_cells()]
    return [*named, *covering()]


@cache
def covering_rows() -> list[dict[str, Any]]:
    """Return the rows of the covering design."""
    return covering_design(FACTORS, times=PAIR_TIMES, seed=1)


def covering() -> list[Cell]:
    """Return a cell per row of the covering design; all are tested under the default null too."""
    return [
        cell_of(f"c{number:02d}", "covering", **row)
        for number, row in enumerate(covering_rows(), start=1)
    ]


def cell_of(
    name: str,
    group: str,
    *,
    offset: float = 0.0,
    place: str = "none",
    null_model: str = DEFAULT_NULL,
    tails: str = "normal",
    **rest: Any,
) -> Cell:
    """Return a cell from levels of factors; further arguments are the layout's or the cell's."""
    factors = {"offset": offset, "place": place, "null_model": null_model, "tails": tails, **rest}
    cell_fields = (
        "judges",
        "method",
        "remove_position",
        "features",
        "num_null",
        "factor_share",
        "source",
    )
    own = {key: rest.pop(key) for key in cell_fields if key in rest}
    planted = {key: rest.pop(key) for key in ("active", "effect") if key in rest}
    effects = VectorEffects(
        plate=offset,
        edge=PLACE_LENGTH if place == "edge" else 0.0,
        row=PLACE_LENGTH if place == "rows" else 0.0,
        **planted,
    )
    layout = PlateLayout(series=SERIES[rest.get("kind", "compound")], **rest)
    own.setdefault("num_null", max(2_000, 500 * layout.experiments))
    return Cell(
        name=name,
        group=group,
        layout=layout,
        effects=effects,
        null_models=tuple(dict.fromkeys((DEFAULT_NULL, null_model))),
        degrees=HEAVY_DEGREES if tails == "heavy" else None,
        factors=factors,
        **own,
    )


def protocol_cells() -> list[Cell]:
    """Return the cells of the table of null models: spread of replicates by plate offset.

    Features are uncorrelated and only centred and scaled, as where the table was measured; TVN and
    PCA remove a part of the offsets of plates.
    """
    return [
        cell_of(
            f"p-{spread}-{offset:g}", "protocol", spread=spread, offset=offset,
            null_model="experiment", conditions=80, controls=16, experiments=experiments,
            features=64, num_null=10_000, method="center-scale", factor_share=0.0,
        )
        for spread, offset, experiments in (
            ("one-plate", 0.0, 1), ("one-plate", 0.6, 1), ("mixed", 0.6, 1),
            ("many-plates", 0.0, 1), ("many-plates", 0.6, 1), ("one-plate", 0.3, 4),
            ("many-plates", 0.3, 4),
        )
    ]  # fmt: skip


def control_cells() -> list[Cell]:
    """Return the cells of comparisons with controls: 48 and 96 controls a batch, 384 features."""
    return [
        cell_of(
            f"k-{method[:3]}-{4 * controls}-n{replicates}", "controls", method=method,
            controls=controls, replicates=replicates, null_model="negative-controls",
            conditions=60, experiments=1, features=384,
        )
        for method in ("tvn", "pca-center-scale")
        for controls in (12, 24)
        for replicates in (2, 5, 20)
    ]  # fmt: skip


def position_cells() -> list[Cell]:
    """Return cells with positions removed: the effects of rows must not come back as calls."""
    return [
        cell_of(
            f"r-{positions}-{place}", "positions", positions=positions, place=place,
            remove_position="plate-rows-columns", conditions=80, controls=96, experiments=2,
            features=32, offset=0.3,
        )
        for positions, place in (("fixed", "none"), ("fixed", "rows"), ("moved", "rows"))
    ]  # fmt: skip


def power_cells() -> list[Cell]:
    """Return cells with planted effects, tested under the default and under `experiment`."""
    return [
        cell_of(
            f"w-{spread}-{offset:g}", "power", spread=spread, offset=offset, active=0.25,
            effect=effect, null_model="experiment", conditions=80, controls=16, experiments=1,
            features=64, method="center-scale",
        )
        for spread, offset, effect in (
            ("many-plates", 0.0, 0.75), ("one-plate", 0.0, 0.75), ("mixed", 0.0, 0.75),
            ("many-plates", 0.3, 0.75), ("many-plates", 0.6, 0.9),
        )
    ]  # fmt: skip


def dmso_cells() -> list[Cell]:
    """Return cells of BBBC021's DMSO wells with random labels, a screen per draw of labels.

    51 labels of three wells; `plate-matched` has too few null sets there, as in the example.
    """
    return [
        cell_of(
            f"b-{method[:3]}", "bbbc021", method=method, source=DMSO, null_model=null_model,
            conditions=51, replicates=3, controls=3, experiments=10, num_null=10_000,
            features=516,
        )
        for method, null_model in (("tvn", "experiment"), ("pca-center-scale", "experiment"))
    ]  # fmt: skip
