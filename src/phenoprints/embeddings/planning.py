"""The plan of a screen for one encoder: units with keys, and the arrays that they will fill."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.embeddings.screen_tables import Layout, ScreenTables
from phenoprints.embeddings.selection import Selection
from phenoprints.embeddings.store import UNIT_WELLS, Unit, plan_units
from phenoprints.embeddings.units import UnitTask
from phenoprints.foundations.fingerprints import fingerprint

BlockWells = NDArray[np.uint64] | Literal["all"] | None
"""Ids of the wells whose features of every block are kept, all of them, or no blocks at all."""


@dataclass(frozen=True)
class Plan:
    """What an encoder has to embed.

    Attributes
    ----------
    tasks
        The units with their keys, in the order of the wells table.
    ids
        The ids of each experiment's wells.
    channels
        Those of the screen's first site; none where no site is there.
    site_numbers
        The numbers that sites of the screen have, sorted.
    """

    tasks: list[UnitTask]
    ids: Mapping[str, NDArray[np.uint64]]
    channels: tuple[str, ...]
    site_numbers: list[int]

    @property
    def num_wells(self) -> int:
        """Wells of the screen."""
        return sum(len(group) for group in self.ids.values())

    def block_ids(self) -> dict[str, NDArray[np.uint64]]:
        """Return the ids of the wells whose blocks are kept, by experiment; without empty
        experiments.
        """
        kept: dict[str, list[NDArray[np.uint64]]] = {}
        for task in self.tasks:
            if task.block_rows:
                ids = self.ids[task.unit.experiment][task.unit.rows]
                kept.setdefault(task.unit.experiment, []).append(ids[list(task.block_rows)])
        return {experiment: np.concatenate(parts) for experiment, parts in kept.items()}


def plan_screen(
    tables: ScreenTables,
    *,
    content: Mapping[str, Any],
    unit_wells: int = UNIT_WELLS,
    block_wells: BlockWells = None,
) -> Plan:
    """Return the plan of a screen, made from its tables a portion of whole experiments at a time.

    Parameters
    ----------
    tables
        Its wells, sites and quality.
    content
        What every unit depends on: stage version, encoder fingerprint, geometry, precision …
    unit_wells
        Wells of a unit at most.
    block_wells
        Ids of the wells whose features of every block are kept, or `all`. With ids a unit is a
        whole experiment, since the kept wells of a range of wells do not fill whole chunks.
    """
    layout = tables.layout()
    tasks: list[UnitTask] = []
    for rows in layout.portions():
        sites = slice(*layout.site_starts[[rows.start, rows.stop]].tolist())
        selection = tables.selection(rows, sites)
        tasks += plan_tasks(
            selection, content=content, unit_wells=unit_wells, block_wells=block_wells,
            layout=layout, first_well=rows.start,
        )  # fmt: skip
    ids = {name: layout.ids[rows] for name, rows in layout.experiments.items()}
    return Plan(tasks, ids, tables.first_channels(), tables.site_numbers())


def plan_selection(
    selection: Selection,
    *,
    content: Mapping[str, Any],
    unit_wells: int = UNIT_WELLS,
    block_wells: BlockWells = None,
) -> Plan:
    """Return the plan of wells and sites in memory."""
    tasks = plan_tasks(selection, content=content, unit_wells=unit_wells, block_wells=block_wells)
    channels = selection.sites["channels"]
    first = tuple(channels.iloc[0]) if len(channels) else ()
    return Plan(tasks, selection.ids, first, selection.site_numbers)


def plan_tasks(
    selection: Selection,
    *,
    content: Mapping[str, Any],
    unit_wells: int = UNIT_WELLS,
    block_wells: BlockWells = None,
    layout: Layout | None = None,
    first_well: int = 0,
) -> list[UnitTask]:
    """Return the units of whole experiments, each with its key.

    A key is the sha256 of `content` and of the ids, sites and locators of the unit's wells: it
    does not change with other units, with their number, or with the number of jobs. `layout` and
    `first_well` say where the selection stands in the screen.
    """
    counts = {experiment: len(ids) for experiment, ids in selection.ids.items()}
    is_whole = isinstance(block_wells, np.ndarray)
    size = max(counts.values(), default=1) if is_whole else unit_wells
    keys = _Keys(selection, block_wells, fingerprint(dict(content)))
    tasks = []
    for unit in plan_units(counts, size):
        rows = selection.rows(unit)
        start, stop = first_well + rows.start, first_well + rows.stop
        sites = (0, 0) if layout is None else layout.site_starts[[start, stop]].tolist()
        blocks = None if block_wells is None else keys.block_rows(rows)
        tasks.append(UnitTask(unit, keys.key(unit), start, sites[0], sites[1], blocks))
    return tasks


class _Keys:
    """Keys of units, hashed from whole columns."""

    def __init__(self, selection: Selection, block_wells: BlockWells, general: str) -> None:
        self.selection, self.general = selection, general
        self.is_kept = np.full(len(selection.well_ids), isinstance(block_wells, str))
        if isinstance(block_wells, np.ndarray):
            self.is_kept = np.isin(selection.well_ids, block_wells)
        sites = selection.sites
        names = ("row", "site", "height", "width")
        self.numbers = {name: sites[name].to_numpy(np.int64) for name in names}
        self.locators = sites["locator"].to_numpy(object)
        self.channels = _codes(sites["channels"])

    def block_rows(self, rows: slice) -> tuple[int, ...]:
        return tuple(np.flatnonzero(self.is_kept[rows]).tolist())

    def key(self, unit: Unit) -> str:
        rows, sites = self.selection.rows(unit), self.selection.site_rows(unit)
        digest = hashlib.sha256(self.general.encode())
        digest.update(f"{rows.stop - rows.start} {sites.stop - sites.start}\n".encode())
        digest.update(self.selection.well_ids[rows].astype("<u8").tobytes())
        digest.update(self.is_kept[rows].tobytes())
        for name, values in self.numbers.items():
            first = rows.start if name == "row" else 0
            digest.update((values[sites] - first).astype("<i8").tobytes())
        digest.update(self.channels[sites].astype("<u8").tobytes())
        digest.update("\n".join(self.locators[sites].tolist()).encode())
        return digest.hexdigest()


def _codes(channels: pd.Series[Any]) -> NDArray[np.uint64]:
    """Return a number for each list of channels: the first 64 bits of the sha256 of its names."""
    codes, lists = pd.factorize(channels.map(tuple))
    texts = ["\n".join(names).encode() for names in lists]
    numbers = [int.from_bytes(hashlib.sha256(text).digest()[:8], "little") for text in texts]
    found: NDArray[np.uint64] = np.array(numbers, np.uint64)[codes]
    return found
