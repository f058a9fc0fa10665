"""Units computed one after the other: skip what is done, read every image once, write, mark."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phenoprints.embeddings.failures import NO_GOOD_SITE, Failures
from phenoprints.embeddings.passes import Image, Look, ReadImage, Site, UnitFeatures, UnitPass
from phenoprints.embeddings.reading import ReadAhead
from phenoprints.embeddings.selection import Selection
from phenoprints.embeddings.store import Unit, write_unit
from phenoprints.embeddings.units import Span, Stores, Work, mark_done, read_marker
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
        What is known of the files behind a unit's sites without reading them; a unit whose
        stamp has changed is computed again.
    num_workers
        Threads that read images beside the forward pass.
    """

    read: ReadImage
    stamp: Callable[[Sequence[Site]], str] = no_stamp
    num_workers: int = 0


@dataclass
class Viewer:
    """An encoder at work: how it looks, where its results go, and what has failed so far.

    `look_at` gives the look at an experiment where that differs from one to the other.
    """

    look: Look
    stores: Stores
    failures: Failures
    look_at: Callable[[str], Look] | None = None
    told_s: float = 0.0
    told_waiting_s: float = 0.0


@dataclass
class _OpenUnit:
    """A unit that is being looked at."""

    viewer: Viewer
    work: Work
    sites: Sequence[Site]
    stamp: str
    passing: UnitPass = field(init=False)

    def __post_init__(self) -> None:
        rows, unit, viewer = self.work.block_rows or (), self.work.unit, self.viewer
        look = viewer.look_at(unit.experiment) if viewer.look_at else viewer.look
        self.passing = UnitPass(look, unit, rows)


def compute_units(
    spans: Sequence[Span],
    viewers: Sequence[Viewer],
    selection: Selection,
    *,
    pixels: Pixels,
    progress: Progress,
) -> None:
    """Compute the units that are not done yet, write them and mark each.

    Every image of a span is read once, whatever the number of viewers. A unit is computed by
    itself, so that neither the number of jobs, nor a restart, nor another viewer changes a bit.
    Images are read ahead across units. The time is shared out evenly over the viewers.

    Parameters
    ----------
    spans
        Units by the number of their viewer (`units.spans_of`), in the order of the wells.
    viewers
        One encoder, or several that look at the same screen. The unit in which more wells have
        failed than may ends with a DataError.
    selection
        Holds the wells and sites of the spans.
    pixels
        How images are read.
    progress
        Counts wells, and is told of the waiting.
    """
    job = _Job(viewers, selection, pixels, progress)
    for viewer in viewers:
        viewer.told_s, viewer.told_waiting_s = progress.seconds, 0.0
    images = ReadAhead(pixels.read, job.sites(spans), pixels.num_workers)
    for image in images:
        job.take(image, images)
    job.end_units(images)


class _Job:
    """Which units an image is for, in the order of the images, and what happens at their ends."""

    def __init__(
        self, viewers: Sequence[Viewer], selection: Selection, pixels: Pixels, progress: Progress
    ) -> None:
        self.viewers, self.selection = viewers, selection
        self.pixels, self.progress = pixels, progress
        # A site with the units that it is for, or None with a unit that is complete.
        self.events: deque[tuple[Site | None, list[_OpenUnit]]] = deque()

    def sites(self, spans: Sequence[Span]) -> Iterator[Site]:
        """Yield the sites to be read; called ahead of `take`, which follows in the same order."""
        for span in spans:
            largest = max(span, key=lambda item: item[1].num_wells)[1].unit
            of_unit = {largest: self.selection.sites_of(largest)}
            opened = [unit for item in span if (unit := self._opened(*item, of_unit)) is not None]
            yield from self._events_of(opened, of_unit[largest])

    def _opened(self, number: int, work: Work, of_unit: dict[Unit, list[Site]]) -> _OpenUnit | None:
        """Return the unit, or None when it is done."""
        viewer = self.viewers[number]
        if work.unit not in of_unit:
            of_unit[work.unit] = self.selection.sites_of(work.unit)
        sites = of_unit[work.unit]
        stamp = self.pixels.stamp(sites)
        places = viewer.stores.places(work)
        told = read_marker(viewer.stores.units, work, places, stamp=stamp)
        if told is None:
            return _OpenUnit(viewer, work, sites, stamp)
        self.progress.skip(work.num_wells)
        viewer.failures.add(told["failures"])
        return None

    def _events_of(self, opened: list[_OpenUnit], sites: Sequence[Site]) -> Iterator[Site]:
        waiting = deque(sorted(opened, key=lambda unit: unit.work.unit.stop))
        for site in sites:
            while waiting and waiting[0].work.unit.stop <= site.well:
                self.events.append((None, [waiting.popleft()]))
            targets = [unit for unit in waiting if unit.work.unit.start <= site.well]
            if targets:
                self.events.append((site, targets))
                yield site
        self.events.extend((None, [unit]) for unit in waiting)

    def take(self, image: Image, images: ReadAhead) -> None:
        """Show the next image to the units that it is for."""
        self.end_units(images)
        site, units = self.events.popleft()
        assert site is not None
        for unit in units:
            unit.passing.see(site, image)

    def end_units(self, images: ReadAhead) -> None:
        """Write and mark the units whose images have all been seen."""
        while self.events and self.events[0][0] is None:
            [unit] = self.events.popleft()[1]
            self._end(unit, images.waiting_s)

    def _end(self, unit: _OpenUnit, waiting_s: float) -> None:
        viewer, work = unit.viewer, unit.work
        seen = unit.passing.finish()
        places = viewer.stores.places(work)
        kept = [values for values in (seen.last, seen.blocks, seen.crops) if values is not None]
        for (store, place), values in zip(places.items(), kept, strict=True):
            write_unit(store, place, values)
        rows = failure_rows(work.unit, self.selection, seen, sites=unit.sites)
        share = 1 / len(self.viewers)
        waited = share * (waiting_s - viewer.told_waiting_s)
        told = {
            "failures": rows,
            "wells": work.num_wells,
            "crops": unit.passing.num_crops,
            "seconds": share * (self.progress.seconds - viewer.told_s),
            "waiting_s": waited,
            "device": viewer.look.encoder.device.type,
            "device_name": device_name(viewer.look),
        }
        mark_done(viewer.stores.units, work, places, stamp=unit.stamp, told=told)
        viewer.told_s, viewer.told_waiting_s = self.progress.seconds, waiting_s
        self.progress.wait(waited)
        self.progress.advance(work.num_wells)
        viewer.failures.add(rows)


def device_name(look: Look) -> str:
    """`cpu`, or what the accelerator calls itself."""
    import torch

    device = look.encoder.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def failure_rows(
    unit: Unit, selection: Selection, seen: UnitFeatures, *, sites: Sequence[Site]
) -> list[list[Any]]:
    """Rows of the failures table for a unit: its failed sites, then its wells without a vector."""
    span = selection.rows(unit)
    keys = selection.wells.iloc[span][list(KEYS)].to_numpy(dtype=object).tolist()
    rows = [
        [*keys[failed.site.well - unit.start], failed.site.number, failed.site.locator,
         failed.reason]
        for failed in seen.failed
    ]  # fmt: skip
    has_good_site = {site.well - unit.start for site in sites}
    for well in np.flatnonzero(~np.isfinite(seen.last).all(axis=1)).tolist():
        reason = NO_READABLE_SITE
        if not selection.has_image[span][well]:
            reason = NO_IMAGE
        elif well not in has_good_site:
            reason = NO_GOOD_SITE
        elif seen.num_sites[well]:
            reason = NOT_FINITE
        rows.append([*keys[well], WHOLE_WELL, "", reason])
    return rows
