"""The plan of units of a pair, and the marker that says a unit is done and with what content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.embeddings.store import UNIT_WELLS, Unit, chunk_files, plan_units
from phenoprints.foundations import markers
from phenoprints.foundations.errors import CorruptionError, Problem, describe
from phenoprints.foundations.fingerprints import file_sha256, fingerprint
from phenoprints.foundations.markers import publish_marker
from phenoprints.foundations.names import file_name

PLAN_COLUMNS = ("experiment", "start", "stop", "key")


@dataclass(frozen=True)
class Work:
    """A unit and the key of all that its result depends on."""

    unit: Unit
    key: str


def plan_work(
    wells: pd.DataFrame,
    sites: pd.DataFrame,
    *,
    content: Mapping[str, Any],
    is_block_well: pd.Series[bool] | None = None,
    unit_wells: int = UNIT_WELLS,
) -> list[Work]:
    """The units of a screen, in its order, each with its key.

    Parameters
    ----------
    wells
        `well_id` and `experiment`, in the order of the wells table.
    sites
        `well_id`, `site`, `locator`, `channels` of the sites that count.
    content
        What every unit depends on: stage version, encoder fingerprint, geometry, precision …
    is_block_well
        For each well whether the features of every block are kept. With it, a unit is a whole
        experiment, since the kept wells of a range of wells do not fill whole chunks.
    unit_wells
        Wells of a unit at most.

    A key is the sha256 of `content` and of the ids, sites and locators of the unit's wells: it
    does not change with other units, with their number, or with the number of jobs.
    """
    counts = {str(e): int(n) for e, n in wells.groupby("experiment", sort=False).size().items()}
    size = unit_wells if is_block_well is None else max(counts.values(), default=1)
    general = fingerprint(dict(content))
    lines = _well_lines(wells, sites, is_block_well)
    works = []
    starts = dict(zip(counts, np.cumsum([0, *counts.values()]).tolist(), strict=False))
    for unit in plan_units(counts, size):
        offset = starts[unit.experiment]
        digest = hashlib.sha256(general.encode())
        for line in lines[offset + unit.start : offset + unit.stop]:
            digest.update(line.encode() + b"\n")
        works.append(Work(unit, digest.hexdigest()))
    return works


def _well_lines(
    wells: pd.DataFrame, sites: pd.DataFrame, is_block_well: pd.Series[bool] | None
) -> list[str]:
    """One text per well: its id, whether its blocks are kept, its sites with their locators."""
    channels = [",".join(names) for names in sites["channels"]]
    texts = (
        sites["site"].astype(str) + "@" + sites["locator"].astype(str) + "#" + pd.Series(
            channels, index=sites.index, dtype=str)
    )  # fmt: skip
    of_well = texts.groupby(sites["well_id"].to_numpy(), sort=False).agg("\n".join)
    flags = np.zeros(len(wells), bool) if is_block_well is None else is_block_well.to_numpy()
    ids = wells["well_id"].to_numpy(np.uint64)
    known = of_well.to_dict()
    return [
        f"{well}{'+' if kept else ''}\n{known.get(well, '')}"
        for well, kept in zip(ids.tolist(), flags.tolist(), strict=True)
    ]


def plan_table(works: Iterable[Work]) -> pd.DataFrame:
    """The plan as a table: experiment, start, stop, key."""
    rows = [(w.unit.experiment, w.unit.start, w.unit.stop, w.key) for w in works]
    return pd.DataFrame(rows, columns=list(PLAN_COLUMNS))


def works_of(table: pd.DataFrame) -> list[Work]:
    """The plan that a table holds."""
    columns = [table[name].tolist() for name in PLAN_COLUMNS]
    return [Work(Unit(*place), key) for *place, key in zip(*columns, strict=True)]


def batch_of(works: list[Work], batch: int, num_batches: int) -> list[Work]:
    """The units of one job: every `num_batches`-th, so that jobs end at about the same time."""
    return works[batch::num_batches]


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
    """What the unit's marker told, or None when the unit has to be computed.

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


def told_by_all(
    folder: str | Path, works: Iterable[Work], stores_of: Any, *, cure: str
) -> list[Any]:
    """What every unit told, or a CorruptionError that names the units which are not done.

    `stores_of(unit)` gives the stores and rows of a unit.
    """
    told = [(work, read_marker(folder, work, stores_of(work.unit))) for work in works]
    missing = [work.unit for work, value in told if value is None]
    if missing:
        problems = [
            Problem(str(marker_path(folder, unit)), f"{unit.experiment}, rows {unit.start} to "
                    f"{unit.stop}: not done, or its chunk is not what was written")
            for unit in missing
        ]  # fmt: skip
        raise CorruptionError(f"{describe(problems)}\n  To fix: {cure}.")
    return [value for _, value in told]
