"""The planned units of an embedding job, and the marker of each finished unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.embeddings.store import Unit, chunk_files
from phenoprints.foundations import markers
from phenoprints.foundations.fingerprints import file_sha256
from phenoprints.foundations.markers import publish_marker
from phenoprints.foundations.names import file_name

PLAN_COLUMNS = (
    "experiment", "start", "stop", "key", "first_well", "first_site", "last_site", "block_rows"
)  # fmt: skip


@dataclass(frozen=True)
class UnitTask:
    """A unit, the key of everything that its result depends on, and its rows.

    Attributes
    ----------
    unit, key
        What is computed; with another key it is computed again.
    first_well, first_site, last_site
        The unit's first row in the wells table, and its rows in the sites table.
    block_rows
        Wells of the unit whose features of every block are kept; None where no blocks are.
    """

    unit: Unit
    key: str
    first_well: int = 0
    first_site: int = 0
    last_site: int = 0
    block_rows: tuple[int, ...] | None = None

    @property
    def num_wells(self) -> int:
        """Wells of the unit."""
        return self.unit.stop - self.unit.start

    @property
    def last_well(self) -> int:
        """The row of the wells table after the unit's last one."""
        return self.first_well + self.num_wells


@dataclass(frozen=True)
class Stores:
    """Paths of a job's results: embeddings, markers, and blocks and crops where kept."""

    embeddings: Path
    units: Path
    blocks: Path | None = None
    crops: Path | None = None

    @classmethod
    def at(
        cls,
        embeddings: str | Path,
        blocks: str | Path | None = None,
        crops: str | Path | None = None,
    ) -> Stores:
        """Return the stores of a job; markers are in `<name>.units` next to the embeddings."""
        path = Path(embeddings)
        units = path.with_name(f"{path.name}.units")
        return cls(
            path,
            units,
            None if blocks is None else Path(blocks),
            None if crops is None else Path(crops),
        )

    def written(self) -> list[Path]:
        """Return the stores, without the markers."""
        return [path for path in (self.embeddings, self.blocks, self.crops) if path is not None]

    def places(self, task: UnitTask) -> dict[Path, Unit]:
        """Return the stores that a unit is written to, with its rows there."""
        unit = task.unit
        places = {self.embeddings: unit}
        if self.blocks is not None and task.block_rows:
            num_kept = len(task.block_rows)
            is_whole = num_kept == task.num_wells
            places[self.blocks] = unit if is_whole else Unit(unit.experiment, 0, num_kept)
        if self.crops is not None:
            places[self.crops] = unit
        return places


def plan_table(tasks: Iterable[UnitTask]) -> pd.DataFrame:
    """Return the plan as a table with a row per unit."""
    rows = [
        (w.unit.experiment, w.unit.start, w.unit.stop, w.key, w.first_well, w.first_site,
         w.last_site, w.block_rows)
        for w in tasks
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(PLAN_COLUMNS))


def unit_tasks(table: pd.DataFrame) -> list[UnitTask]:
    """Return the plan that a table holds."""
    columns = [table[name].tolist() for name in PLAN_COLUMNS]
    return [
        UnitTask(
            Unit(*place), key, *rows, None if kept is None else tuple(np.asarray(kept).tolist())
        )
        for *place, key, first, second, third, kept in zip(*columns, strict=True)
        for rows in [(first, second, third)]
    ]


UnitGroup = list[tuple[int, UnitTask]]
"""Units of one or several plans that cover the same wells, each with the number of its plan."""


def unit_groups(plans: Sequence[Sequence[UnitTask]]) -> list[UnitGroup]:
    """Return the units of several plans of one screen, those that share wells together.

    Each unit of a single plan is a group of its own. Where plans cut the screen differently, a
    group is as large as its largest unit, so that its images can be read once.
    """
    listed = [(number, task) for number, tasks in enumerate(plans) for task in tasks]
    listed.sort(key=lambda item: (item[1].first_well, -item[1].num_wells, item[0]))
    groups: list[UnitGroup] = []
    end = -1
    for number, task in listed:
        if task.first_well >= end or not groups:
            groups.append([])
        groups[-1].append((number, task))
        end = max(end, task.last_well)
    return groups


def batch_of(groups: Sequence[UnitGroup], batch: int, num_batches: int) -> list[UnitGroup]:
    """Return a contiguous batch of the groups, so that a job reads one range of table rows."""
    first, last = (len(groups) * number // num_batches for number in (batch, batch + 1))
    return list(groups[first:last])


def marker_path(folder: str | Path, unit: Unit) -> Path:
    """Return the path of a unit's marker."""
    return Path(folder) / f"{file_name(unit.experiment, 'experiment')}.{unit.start}.json"


def mark_done(
    folder: str | Path, task: UnitTask, stores: Mapping[Path, Unit], *, stamp: str, record: Any
) -> None:
    """Publish the marker of a unit whose chunks are written.

    `stores` names each store that the unit was written to and its rows there; `stamp` is that of
    its image files; `record` is stored unchanged (failures, and the cost of the unit).
    """
    chunks = {str(index): _digests(path, rows) for index, (path, rows) in enumerate(stores.items())}
    content = {"key": task.key, "stamp": stamp, "chunks": chunks, "told": record}
    publish_marker(marker_path(folder, task.unit), content)


def read_marker(
    folder: str | Path, task: UnitTask, stores: Mapping[Path, Unit], *, stamp: str | None = None
) -> Any:
    """Return the content of the unit's marker, or None if the unit must be computed.

    It has to when there is no marker, when it was made from other content (its key, or its
    stamp where one is given), or when a chunk is not as it was written.
    """
    content = markers.read_marker(marker_path(folder, task.unit))
    if content is None or content.get("key") != task.key:
        return None
    if stamp not in (None, content.get("stamp")):
        return None
    for index, (store, rows) in enumerate(stores.items()):
        if content["chunks"].get(str(index)) != _digests(store, rows):
            return None
    return content["told"]


def _digests(store: Path, unit: Unit) -> list[str]:
    try:
        return [file_sha256(file) for file in chunk_files(store, unit)]
    except OSError:  # a missing file, or a damaged description
        return ["missing"]
