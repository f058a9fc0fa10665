"""Collect failures and timings from all finished units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from phenoprints.embeddings.failures import Failures
from phenoprints.embeddings.units import Stores, UnitTask, marker_path, read_marker
from phenoprints.foundations.errors import CorruptionError, Problem, describe
from phenoprints.foundations.progress import Progress
from phenoprints.wells import WHOLE_WELL

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class FinishedUnits:
    """The failures of all units, and their cost (which is not hashed)."""

    failures: pd.DataFrame
    cost: dict[str, Any]


def gather(
    tasks: Sequence[UnitTask],
    stores: Stores,
    failures: Failures,
    *,
    mend: Callable[[Sequence[UnitTask]], None] | None = None,
) -> FinishedUnits:
    """Return the failures and the cost of all units; every chunk is compared with its marker.

    Parameters
    ----------
    tasks, stores
        The plan of a job, and the stores it was written to.
    failures
        Where failures are counted; empty still.
    mend
        Computes the units that are missing or damaged.

    Raises
    ------
    CorruptionError
        A unit is not done, or its chunk is not what was written: each is named.
    DataError
        More wells failed than may.
    """
    counted = Progress("units", len(tasks), name="gathering").each(tasks)
    record = [read_marker(stores.units, task, stores.places(task)) for task in counted]
    missing = [index for index, value in enumerate(record) if value is None]
    if missing and mend is not None:
        mend([tasks[index] for index in missing])
        for index in missing:
            record[index] = read_marker(stores.units, tasks[index], stores.places(tasks[index]))
    _refuse_missing(tasks, record, stores)
    failures.add([row for value in record for row in value["failures"]])
    return FinishedUnits(failures.table(), cost(record, failures.table()))


def _refuse_missing(tasks: Sequence[UnitTask], record: Sequence[Any], stores: Stores) -> None:
    missing = [task.unit for task, value in zip(tasks, record, strict=True) if value is None]
    if missing:
        problems = [
            Problem(str(marker_path(stores.units, unit)), f"{unit.experiment}, rows {unit.start} "
                    f"to {unit.stop}: not done, or its chunk is not what was written")
            for unit in missing
        ]  # fmt: skip
        cure = "run the same command again; what is whole is kept"
        raise CorruptionError(f"{describe(problems)}\n  To fix: {cure}.")


def cost(record: Sequence[Mapping[str, Any]], failures: pd.DataFrame) -> dict[str, Any]:
    """Sum the cost of units: totals, rates, share of time spent waiting, hours per device."""
    sums = {name: sum(value[name] for value in record)
            for name in ("wells", "crops", "seconds", "waiting_s")}  # fmt: skip
    hours: dict[str, float] = {}
    for value in record:
        name = value["device_name"]
        hours[name] = hours.get(name, 0.0) + value["seconds"] / SECONDS_PER_HOUR
    on_gpus = sum(value["seconds"] for value in record if value["device"] != "cpu")
    seconds = max(sums["seconds"], 1e-9)
    is_well = failures["site"] == WHOLE_WELL
    return {
        **sums,
        "wells_per_s": sums["wells"] / seconds,
        "crops_per_s": sums["crops"] / seconds,
        "waiting_share": sums["waiting_s"] / seconds,
        "failed_wells": int(is_well.sum()),
        "failed_sites": int((~is_well).sum()),
        "devices": sorted({value["device"] for value in record}),
        "device_hours": dict(sorted(hours.items())),
        "gpu_hours": on_gpus / SECONDS_PER_HOUR,
    }
