"""The plan of units of a pair, and the marker that says a unit is done and with what content."""

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
class Work:
    """A unit, the key of all that its result depends on, and where its rows stand.

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
    """Where results of a pair go: embeddings, markers, and blocks and crops where wanted."""

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
        """Return the stores of a pair; markers lie beside the embeddings, in `<name>.units`."""
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

    def places(self, work: Work) -> dict[Path, Unit]:
        """Return the stores that a unit is written to, with its rows there."""
        unit = work.unit
        places = {self.embeddings: unit}
        if self.blocks is not None and work.block_rows:
            num_kept = len(work.block_rows)
            is_whole = num_kept == work.num_wells
            places[self.blocks] = unit if is_whole else Unit(unit.experiment, 0, num_kept)
        if self.crops is not None:
            places[self.crops] = unit
        return places


def plan_table(works: Iterable[Work]) -> pd.DataFrame:
    """Return the plan as a table with a row per unit."""
    rows = [
        (w.unit.experiment, w.unit.start, w.unit.stop, w.key, w.first_well, w.first_site,
         w.last_site, w.block_rows)
        for w in works
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(PLAN_COLUMNS))


def works_of(table: pd.DataFrame) -> list[Work]:
    """Return the plan that a table holds."""
    columns = [table[name].tolist() for name in PLAN_COLUMNS]
    return [
        Work(Unit(*place), key, *rows, None if kept is None else tuple(np.asarray(kept).tolist()))
        for *place, key, first, second, third, kept in zip(*columns, strict=True)
        for rows in [(first, second, third)]
    ]


Span = list[tuple[int, Work]]
"""Units of one or several plans that cover the same wells, each with the number of its plan."""


def spans_of(plans: Sequence[Sequence[Work]]) -> list[Span]:
    """Return the units of several plans of one screen, those that share wells together.

    Of one plan every unit is a span of its own. Where plans cut the screen differently a span is
    as large as its largest unit, so that its images can be read once.
    """
    listed = [(number, work) for number, works in enumerate(plans) for work in works]
    listed.sort(key=lambda item: (item[1].first_well, -item[1].num_wells, item[0]))
    spans: list[Span] = []
    end = -1
    for number, work in listed:
        if work.first_well >= end or not spans:
            spans.append([])
        spans[-1].append((number, work))
        end = max(end, work.last_well)
    return spans


def batch_of(spans: Sequence[Span], batch: int, num_batches: int) -> list[Span]:
    """Return the spans of one job: one run of them, so that it reads one range of rows of the
    tables.
    """
    first, last = (len(spans) * number // num_batches for number in (batch, batch + 1))
    return list(spans[first:last])


def marker_path(folder: str | Path, unit: Unit) -> Path:
    """Where the marker of a unit lies."""
    return Path(folder) / f"{file_name(unit.experiment, 'experiment')}.{unit.start}.json"


def mark_done(
    folder: str | Path, work: Work, stores: Mapping[Path, Unit], *, stamp: str, told: Any
) -> None:
    """Publish the marker of a unit whose chunks are written.

    `stores` names each store that the unit was written to and its rows there; `stamp` is that of
    its image files; `told` is kept as it is (failures, and what the unit cost).
    """
    chunks = {str(index): _digests(path, rows) for index, (path, rows) in enumerate(stores.items())}
    content = {"key": work.key, "stamp": stamp, "chunks": chunks, "told": told}
    publish_marker(marker_path(folder, work.unit), content)


def read_marker(
    folder: str | Path, work: Work, stores: Mapping[Path, Unit], *, stamp: str | None = None
) -> Any:
    """Return the content of the unit's marker, or None if the unit must be computed.

    It has to when there is no marker, when it was made from other content (its key, or its
    stamp where one is given), or when a chunk is not as it was written.
    """
    content = markers.read_marker(marker_path(folder, work.unit))
    if content is None or content.get("key") != work.key:
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
