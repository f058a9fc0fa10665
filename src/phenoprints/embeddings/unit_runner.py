"""Units computed one after the other: skip what is done, read every image once, write, mark."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phenoprints.embeddings.failures import NO_GOOD_SITE, Failures
from phenoprints.embeddings.forward import (
    EmbeddingSettings,
    Image,
    ReadImage,
    Site,
    UnitFeatures,
    UnitForward,
)
from phenoprints.embeddings.reading import ReadAhead
from phenoprints.embeddings.selection import Selection
from phenoprints.embeddings.store import Unit, write_unit
from phenoprints.embeddings.units import Stores, UnitGroup, UnitTask, mark_done, read_marker
from phenoprints.foundations.progress import Progress
from phenoprints.wells import WHOLE_WELL

KEYS = ("well_id", "experiment", "plate", "well")
NO_IMAGE = "no_image"
NO_READABLE_SITE = "no_readable_site"
NOT_FINITE = "not_finite"
"""Why a well has no vector: not imaged, all its sites failed quality control or reading, or the
network gave numbers that are not finite."""


def no_stamp(sites: Sequence[Site]) -> str:  # noqa: ARG001 - any stamp takes the sites
    """Return the stamp of images that never change."""
    return ""


@dataclass(frozen=True)
class Pixels:
    """Where images come from.

    Attributes
    ----------
    read
        Gives the pixels, uint8 (C, H, W), of a site.
    stamp
        Returns a fingerprint of the files of some sites without reading them; a unit whose
        fingerprint has changed is computed again.
    num_workers
        Threads that read images beside the forward pass.
    """

    read: ReadImage
    stamp: Callable[[Sequence[Site]], str] = no_stamp
    num_workers: int = 0


@dataclass
class EncoderTarget:
    """An encoder with its settings, its stores and its failures so far.

    `settings_of` returns the settings of an experiment where they differ between experiments.
    """

    settings: EmbeddingSettings
    stores: Stores
    failures: Failures
    settings_of: Callable[[str], EmbeddingSettings] | None = None
    recorded_s: float = 0.0
    recorded_waiting_s: float = 0.0


@dataclass
class OpenUnit:
    """A unit that is being computed."""

    target: EncoderTarget
    task: UnitTask
    sites: Sequence[Site]
    stamp: str
    forward: UnitForward = field(init=False)

    def __post_init__(self) -> None:
        rows, unit, target = self.task.block_rows or (), self.task.unit, self.target
        settings = target.settings_of(unit.experiment) if target.settings_of else target.settings
        self.forward = UnitForward(settings, unit, rows)


def compute_units(
    groups: Sequence[UnitGroup],
    targets: Sequence[EncoderTarget],
    selection: Selection,
    *,
    pixels: Pixels,
    progress: Progress,
) -> None:
    """Compute the units that are not done yet, write them and mark each.

    Every image of a group is read once, whatever the number of targets. A unit is computed by
    itself, so that neither the number of jobs, nor a restart, nor another target changes a bit.
    Images are read ahead across units. The time is divided evenly between the targets.

    Parameters
    ----------
    groups
        Units by the number of their target (`units.unit_groups`), in the order of the wells.
    targets
        One encoder, or several on the same screen. The unit in which more wells have
        failed than may ends with a DataError.
    selection
        Holds the wells and sites of the groups.
    pixels
        How images are read.
    progress
        Counts wells and the time spent waiting.
    """
    job = _UnitRunner(targets, selection, pixels, progress)
    for target in targets:
        target.recorded_s, target.recorded_waiting_s = progress.seconds, 0.0
    images = ReadAhead(pixels.read, job.sites(groups), pixels.num_workers)
    for image in images:
        job.on_image(image, images)
    job.end_units(images)


class _UnitRunner:
    """The units that each image belongs to, in image order, and the end of each unit."""

    def __init__(
        self,
        targets: Sequence[EncoderTarget],
        selection: Selection,
        pixels: Pixels,
        progress: Progress,
    ) -> None:
        self.targets, self.selection = targets, selection
        self.pixels, self.progress = pixels, progress
        # A site with the units that it is for, or None with a unit that is complete.
        self.events: deque[tuple[Site | None, list[OpenUnit]]] = deque()

    def sites(self, groups: Sequence[UnitGroup]) -> Iterator[Site]:
        """Yield the sites to be read; called ahead of `on_image`, in the same order."""
        for group in groups:
            largest = max(group, key=lambda item: item[1].num_wells)[1].unit
            of_unit = {largest: self.selection.sites_of(largest)}
            opened = [unit for item in group if (unit := self._opened(*item, of_unit)) is not None]
            yield from self._events_of(opened, of_unit[largest])

    def _opened(
        self, number: int, task: UnitTask, of_unit: dict[Unit, list[Site]]
    ) -> OpenUnit | None:
        """Return the unit, or None when it is done."""
        target = self.targets[number]
        if task.unit not in of_unit:
            of_unit[task.unit] = self.selection.sites_of(task.unit)
        sites = of_unit[task.unit]
        stamp = self.pixels.stamp(sites)
        places = target.stores.places(task)
        record = read_marker(target.stores.units, task, places, stamp=stamp)
        if record is None:
            return OpenUnit(target, task, sites, stamp)
        self.progress.skip(task.num_wells)
        target.failures.add(record["failures"])
        return None

    def _events_of(self, opened: list[OpenUnit], sites: Sequence[Site]) -> Iterator[Site]:
        waiting = deque(sorted(opened, key=lambda unit: unit.task.unit.stop))
        for site in sites:
            while waiting and waiting[0].task.unit.stop <= site.well:
                self.events.append((None, [waiting.popleft()]))
            receiving = [unit for unit in waiting if unit.task.unit.start <= site.well]
            if receiving:
                self.events.append((site, receiving))
                yield site
        self.events.extend((None, [unit]) for unit in waiting)

    def on_image(self, image: Image, images: ReadAhead) -> None:
        """Pass the next image to the units that contain it."""
        self.end_units(images)
        site, units = self.events.popleft()
        assert site is not None
        for unit in units:
            unit.forward.add_image(site, image)

    def end_units(self, images: ReadAhead) -> None:
        """Write and mark the units whose images have all been seen."""
        while self.events and self.events[0][0] is None:
            [unit] = self.events.popleft()[1]
            self._end(unit, images.waiting_s)

    def _end(self, unit: OpenUnit, waiting_s: float) -> None:
        target, task = unit.target, unit.task
        seen = unit.forward.finish()
        places = target.stores.places(task)
        kept = [values for values in (seen.last, seen.blocks, seen.crops) if values is not None]
        for (store, place), values in zip(places.items(), kept, strict=True):
            write_unit(store, place, values)
        rows = failure_rows(task.unit, self.selection, seen, sites=unit.sites)
        share = 1 / len(self.targets)
        waited = share * (waiting_s - target.recorded_waiting_s)
        record = {
            "failures": rows,
            "wells": task.num_wells,
            "crops": unit.forward.num_crops,
            "seconds": share * (self.progress.seconds - target.recorded_s),
            "waiting_s": waited,
            "device": target.settings.encoder.device.type,
            "device_name": device_name(target.settings),
        }
        mark_done(target.stores.units, task, places, stamp=unit.stamp, record=record)
        target.recorded_s, target.recorded_waiting_s = self.progress.seconds, waiting_s
        self.progress.wait(waited)
        self.progress.advance(task.num_wells)
        target.failures.add(rows)


def device_name(settings: EmbeddingSettings) -> str:
    """Return `cpu`, or the name of the accelerator."""
    import torch

    device = settings.encoder.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def failure_rows(
    unit: Unit, selection: Selection, seen: UnitFeatures, *, sites: Sequence[Site]
) -> list[list[Any]]:
    """Rows of the failures table for a unit: its failed sites, then its wells without a vector."""
    group = selection.rows(unit)
    keys = selection.wells.iloc[group][list(KEYS)].to_numpy(dtype=object).tolist()
    rows = [
        [*keys[failed.site.well - unit.start], failed.site.number, failed.site.locator,
         failed.reason]
        for failed in seen.failed
    ]  # fmt: skip
    has_good_site = {site.well - unit.start for site in sites}
    for well in np.flatnonzero(~np.isfinite(seen.last).all(axis=1)).tolist():
        reason = NO_READABLE_SITE
        if not selection.has_image[group][well]:
            reason = NO_IMAGE
        elif well not in has_good_site:
            reason = NO_GOOD_SITE
        elif seen.num_sites[well]:
            reason = NOT_FINITE
        rows.append([*keys[well], WHOLE_WELL, "", reason])
    return rows
