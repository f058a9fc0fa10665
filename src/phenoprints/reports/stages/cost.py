"""What a run cost: time of its jobs, hours of its devices, bytes on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from phenoprints.reports import numbers
from phenoprints.reports.devices import device_work
from phenoprints.reports.durations import job_durations, stage_durations, stage_sizes
from phenoprints.reports.frames import has_values, records
from phenoprints.reports.page_model import Box, Fact, Section
from phenoprints.reports.runs import Run
from phenoprints.reports.tables import Column, Table

DURATION_COLUMNS = (
    Column("stage", "Stage"),
    Column("jobs", "Jobs", "count"),
    Column("seconds", "Time of all jobs", "duration"),
    Column("peak_mb", "Highest peak memory", "number", "MB"),
)
DEVICE_COLUMNS = (
    Column("stage", "Stage"),
    Column("what", "Of"),
    Column("device", "Device"),
    Column("num_devices", "Devices", "count"),
    Column("hours", "Device hours", "number"),
    Column("items", "Wells or crops", "count"),
    Column("rate", "A second", "number"),
    Column("waiting", "Waiting for data", "percent"),
    Column("mfu", "Model FLOP utilisation", "percent"),
)
SIZE_COLUMNS = (
    Column("stage", "Stage"),
    Column("files", "Files", "count"),
    Column("size", "Size", "size"),
)


@dataclass(frozen=True)
class Cost:
    """Jobs with their seconds, work of networks with its device hours, bytes by stage."""

    jobs: pd.DataFrame
    devices: pd.DataFrame
    sizes: pd.DataFrame


def cost_of(run: Run) -> Cost:
    """Sum the cost of the run so far from the records of its jobs."""
    return Cost(job_durations(run.folder / "durations"), device_work(run), stage_sizes(run.folder))


def cost_facts(cost: Cost) -> list[Fact]:
    """Seconds by stage and in all, GPU hours, hours of other devices, bytes; all under `cost`."""
    facts = [
        Fact(
            ("cost", "seconds", str(row["stage"])),
            f"Seconds of stage {row['stage']}",
            round(float(row["seconds"]), 3),
        )
        for row in records(stage_durations(cost.jobs))
    ]
    if len(cost.jobs):
        total = round(float(cost.jobs["seconds"].sum()), 3)
        facts.append(Fact(("cost", "seconds", "all"), "Seconds of all jobs", total))
    if len(cost.devices):
        hours = cost.devices.groupby("device")["hours"].sum()
        gpu = float(hours.get("cuda", 0.0))
        facts += [
            Fact(("cost", "gpu_hours"), "GPU hours", gpu),
            Fact(("cost", "cpu_device_hours"), "Hours of networks on CPUs", hours.sum() - gpu),
        ]
    if len(cost.sizes):
        num_bytes = int(cost.sizes["size"].sum())
        text = numbers.size(num_bytes)
        facts.append(Fact(("cost", "bytes"), "Bytes on disk, without images", num_bytes, text))
    return facts


def cost_section(cost: Cost) -> Section:
    """Three tables, and a box where no job has left a record."""
    parts: list[Any] = []
    if cost.jobs.empty:
        text = "No job has left a record of its time."
        parts.append(Box("No durations", text, anchor="no-durations"))
    else:
        caption = (
            f"{numbers.duration(cost.jobs['seconds'].sum())} in "
            f"{numbers.plural(len(cost.jobs), 'job')}, one after the other"
        )
        parts.append(Table("durations", caption, DURATION_COLUMNS, stage_durations(cost.jobs)))
    if len(cost.devices):
        parts.append(_devices_table(cost.devices))
    if len(cost.sizes):
        caption = f"{numbers.size(cost.sizes['size'].sum())} on disk, without images"
        parts.append(Table("sizes", caption, SIZE_COLUMNS, cost.sizes))
    lead = "Measured while the run went on: the only part of this page that a second run changes."
    return Section("cost", "Cost", parts, lead)


def _devices_table(devices: pd.DataFrame) -> Table:
    gpu = float(devices.loc[devices["device"] == "cuda", "hours"].sum())
    caption = f"{numbers.number(gpu)} GPU hours of networks" if gpu else "Networks ran on CPUs only"
    note = "Training counts steps between its log lines, embedding its units; starts are left out."
    shown = [column for column in DEVICE_COLUMNS if has_values(devices[column.name])]
    return Table("devices", caption, shown, devices, note)
