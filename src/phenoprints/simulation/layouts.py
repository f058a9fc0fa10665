"""Lay out the wells of a simulated screen: which condition is on which plate and position."""

# C conditions · R replicates · P plates of an experiment · N wells

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems
from phenoprints.foundations.randomness import generator, well_ids
from phenoprints.wells import PLATE_FORMATS, well_name

SPREADS = ("one-plate", "mixed", "many-plates")
POSITIONS = ("fixed", "moved")
CONTROL_PLACES = ("scattered", "columns")
KINDS = ("compound", "crispr")
CONTROL = -1
"""The condition code of a control well."""


@dataclass(frozen=True, kw_only=True)
class PlateLayout:
    """The design of a screen; every experiment has the same number of plates and replicates.

    Attributes
    ----------
    experiments, plates, conditions, replicates, controls
        `plates` and `replicates` of a condition are per experiment, `controls` per plate.
    spread
        ``one-plate``: all replicates of a condition in an experiment are on one plate.
        ``many-plates``: they are spread over as many plates as possible. ``mixed``: a third of
        the conditions is on one plate, a third on two, a third on as many as possible.
    positions
        ``fixed``: a condition keeps its positions and its plates in every experiment, and its
        position on every plate; so do the controls. ``moved``: each plate has an order of its own.
    control_places
        ``scattered`` over the plate, or in the outermost two ``columns`` on both sides.
    kind
        ``compound``: conditions are concentrations of compounds. ``crispr``: they are guides.
    series
        Consecutive conditions that share a compound or a gene.
    plate_format
        Wells of a plate, one of phenoprints.wells.PLATE_FORMATS.

    Raises
    ------
    ConfigurationError
        For an unknown word or a number below its minimum.
    """

    experiments: int = 4
    plates: int = 4
    conditions: int = 60
    replicates: int = 4
    controls: int = 16
    spread: str = "many-plates"
    positions: str = "moved"
    control_places: str = "scattered"
    kind: str = "compound"
    series: int = 4
    plate_format: int = 384

    def __post_init__(self) -> None:
        words = {
            "spread": SPREADS, "positions": POSITIONS, "control_places": CONTROL_PLACES,
            "kind": KINDS,
        }  # fmt: skip
        problems = [
            Problem(name, f'"{getattr(self, name)}"', f"one of {', '.join(allowed)}")
            for name, allowed in words.items()
            if getattr(self, name) not in allowed
        ]
        counts = ("experiments", "plates", "conditions", "replicates", "series")
        least = {**dict.fromkeys(counts, 1), "controls": 0}
        problems += [
            Problem(name, f"{getattr(self, name)}", f"at least {minimum}")
            for name, minimum in least.items()
            if getattr(self, name) < minimum
        ]
        if self.plate_format not in PLATE_FORMATS:
            allowed = ", ".join(map(str, PLATE_FORMATS))
            problems.append(Problem("plate_format", f"{self.plate_format}", f"one of {allowed}"))
        raise_problems(problems, ConfigurationError)

    @property
    def num_columns(self) -> int:
        """Columns of a plate."""
        return PLATE_FORMATS[self.plate_format][1]


def lay_out(layout: PlateLayout, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the wells table and the conditions table of a layout.

    Parameters
    ----------
    layout
        The design.
    seed
        Key of the random orders, together with the names of experiments and plates.

    Returns
    -------
    wells, conditions : DataFrame
        As in phenoprints.wells.contracts, sorted by experiment, plate and well.

    Raises
    ------
    ConfigurationError
        When the wells of a plate do not fit on it.

    Examples
    --------
    >>> wells, conditions = lay_out(PlateLayout(experiments=1, plates=2, replicates=2))
    >>> len(wells), len(conditions)
    (152, 60)
    """
    tables = []
    for experiment in range(layout.experiments):
        moved = layout.positions == "moved"
        key = experiment if moved else 0
        plate, slot, code = _experiment_slots(layout, seed, key)
        _check_room(layout, int(slot.max()) + 1)
        for number in range(layout.plates):
            here = plate == number
            order = _positions(layout, seed, f"{key}/{number}" if moved else "all")
            controls = order[: layout.controls]
            at = np.concatenate([controls, order[layout.controls :][slot[here]]])
            codes = np.concatenate([np.full(len(controls), CONTROL), code[here]])
            tables.append(_plate_table(layout, experiment, number, at, codes))
    return _wells_table(pd.concat(tables, ignore_index=True)), _conditions_table(layout)


def replicate_plates(layout: PlateLayout) -> NDArray[np.int64]:
    """Return the plate of each replicate of each condition in one experiment, (C, R)."""
    c, r = np.arange(layout.conditions)[:, None], np.arange(layout.replicates)[None, :]
    one, two, many = 0 * r, r % 2, r
    if layout.spread == "one-plate":
        return (c + one) % layout.plates
    if layout.spread == "many-plates":
        return (c + many) % layout.plates
    kind, start = c % 3, c // 3
    step = np.where(kind == 0, one, np.where(kind == 1, two, many))
    return (start + step) % layout.plates


def _experiment_slots(
    layout: PlateLayout, seed: int, experiment: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return plate, slot and condition of every treated well of one experiment.

    The k-th replicates of a condition on their plates share a slot, and no two wells of a plate
    do; which conditions share a plate differs between experiments when positions move.
    """
    plates = replicate_plates(layout)
    rng = generator(seed, "simulation", "plates", experiment)
    order = rng.permutation(layout.conditions) if layout.positions == "moved" else slice(None)
    plates = plates[order]
    free = np.ones((layout.plates, layout.conditions * layout.replicates), dtype=np.bool_)
    found: list[tuple[int, int, int]] = []
    for code, row in enumerate(plates.tolist()):
        for times in range(max(row.count(p) for p in row)):
            used = sorted({p for p in row if row.count(p) > times})
            slot = int(np.argmax(free[used].all(axis=0)))
            free[used, slot] = False
            found += [(p, slot, code) for p in used]
    plate, slot, code = np.array(found, dtype=np.int64).T
    return plate, slot, code


def _positions(layout: PlateLayout, seed: int, key: str) -> NDArray[np.int64]:
    """Return all positions of a plate (row by row from 0) in the order in which they are filled."""
    size = layout.plate_format
    order = generator(seed, "simulation", "positions", key).permutation(size)
    if layout.control_places == "columns":
        column = order % layout.num_columns
        is_inner = (column >= 2) & (column < layout.num_columns - 2)
        order = order[np.argsort(is_inner, kind="stable")]
    return order


def _check_room(layout: PlateLayout, slots: int) -> None:
    """Refuse a layout whose plates need more positions than they have."""
    size, needed = layout.plate_format, layout.controls + slots
    if needed > size:
        what = f"{needed} positions needed on a plate of {size} wells"
        cure = "use fewer conditions, replicates or controls, more plates, or larger ones"
        raise_problems([Problem("layout", what, f"at most {size}", cure)], ConfigurationError)


def _plate_table(
    layout: PlateLayout, experiment: int, plate: int, at: NDArray[np.int64], code: NDArray[np.int64]
) -> pd.DataFrame:
    row, column = at // layout.num_columns + 1, at % layout.num_columns + 1
    return pd.DataFrame(
        {
            "experiment": f"experiment-{experiment + 1}",
            "plate": str(plate + 1),
            "row": row.astype(np.int16),
            "column": column.astype(np.int16),
            "plate_format": np.int16(layout.plate_format),
            "code": code,
        }
    )


def _wells_table(table: pd.DataFrame) -> pd.DataFrame:
    table["well"] = [well_name(*at) for at in zip(table["row"], table["column"], strict=True)]
    table = table.sort_values(["experiment", "plate", "well"], ignore_index=True)
    is_control = table["code"] == CONTROL
    listed: list[Any] = [[] if code == CONTROL else [code] for code in table["code"].tolist()]
    return table.assign(
        well_id=well_ids("simulated", table["experiment"], table["plate"], table["well"]),
        screen="simulated", cell_type="", background="", modality="cell-painting",
        replicate_group="", role=np.where(is_control, "negative_control", "treatment"),
        conditions=pd.Series(listed, dtype=object),
    ).drop(columns="code")  # fmt: skip


def _conditions_table(layout: PlateLayout) -> pd.DataFrame:
    code = np.arange(layout.conditions, dtype=np.int32)
    series, step = code // layout.series, code % layout.series
    is_crispr = layout.kind == "crispr"
    return pd.DataFrame(
        {
            "condition_id": code,
            "perturbation": [f"guide-{c:04d}" for c in code]
            if is_crispr
            else [f"compound-{s:04d}" for s in series],
            "kind": layout.kind,
            "gene": [f"gene-{s:04d}" if is_crispr else "" for s in series],
            "guide": [f"guide-{c:04d}" if is_crispr else "" for c in code],
            "concentration_um": np.where(is_crispr, np.nan, 10.0**step / 1000.0),
            "cell_type": "",
            "background": "",
        }
    )
