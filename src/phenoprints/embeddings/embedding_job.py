"""Embedding jobs: one encoder on one screen, opened from files and settings."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.embeddings.adaptation import CROPS_PER_SITE, NUM_SITES, Adaptation
from phenoprints.embeddings.arrays import content_of, make_stores, refuse_too_large
from phenoprints.embeddings.failures import Failures
from phenoprints.embeddings.finalize import FinishedUnits, gather
from phenoprints.embeddings.forward import EmbeddingSettings, Site
from phenoprints.embeddings.geometry import Geometry
from phenoprints.embeddings.planning import Plan, plan_screen
from phenoprints.embeddings.screen_tables import PORTION_WELLS, ScreenTables
from phenoprints.embeddings.selection import crop_shape
from phenoprints.embeddings.stamps import image_stamp
from phenoprints.embeddings.unit_runner import EncoderTarget, Pixels, compute_units
from phenoprints.embeddings.units import Stores, UnitGroup, UnitTask, unit_groups
from phenoprints.foundations.errors import ConfigurationError
from phenoprints.foundations.progress import Progress
from phenoprints.foundations.provenance import artefact_path
from phenoprints.foundations.versions import STAGE_VERSIONS
from phenoprints.screens.images import ScreenImages, open_images

if TYPE_CHECKING:
    import torch

    from phenoprints.models import Encoder


@dataclass(frozen=True)
class JobFiles:
    """Input files of an embedding job; `encoder` is the provenance of an encoder's folder."""

    wells: str
    sites: str
    quality: str
    images: str
    encoder: str


@dataclass(frozen=True)
class EmbeddingJob:
    """An encoder, the screen it looks at, and where the results go."""

    name: str
    tables: ScreenTables
    inference: EmbeddingSettings
    stores: Stores
    images: ScreenImages
    settings: Mapping[str, Any]

    @property
    def is_adapted(self) -> bool:
        """Whether the batch norms of the encoder take the statistics of each experiment."""
        return bool(self.settings.get("adapt_batch_norm"))

    def target(self) -> EncoderTarget:
        """Return the encoder with its stores and failures."""
        adaptation = Adaptation(self.inference, self.tables, self.read) if self.is_adapted else None
        settings_of = adaptation.settings_of if adaptation else None
        return EncoderTarget(self.inference, self.stores, self.failures(), settings_of)

    @property
    def num_wells(self) -> int:
        """Wells of the screen."""
        return len(self.tables.wells)

    def plan(self, block_wells: NDArray[np.uint64] | None = None) -> Plan:
        """Plan the units of the job with their keys; ConfigurationError for too large stores."""
        version, stored_as = STAGE_VERSIONS["embeddings"], self.settings["stored_as"]
        plan = plan_screen(
            self.tables,
            content={
                **content_of(self.inference, version=version, stored_as=stored_as),
                **({"batch_norm": [NUM_SITES, CROPS_PER_SITE]} if self.is_adapted else {}),
            },
            unit_wells=self.settings["unit_wells"],
            block_wells="all" if self.settings["keep_blocks"] else block_wells,
        )
        limit = self.settings["max_kept_gb"]
        for text in refuse_too_large(
            plan, self.inference, self.stores, max_kept_gb=limit, stored_as=stored_as
        ):
            sys.stderr.write(f"{self.name}: {text}\n")
        return plan

    def make_stores(self, plan: Plan, attributes: Mapping[str, Any]) -> None:
        """Make the groups and arrays; what is whole stays."""
        make_stores(
            plan, self.inference, self.stores,
            attributes={**attributes, "adapt_batch_norm": self.is_adapted},
            unit_wells=self.settings["unit_wells"], stored_as=self.settings["stored_as"],
        )  # fmt: skip

    def failures(self) -> Failures:
        """No failures yet, and how many there may be."""
        return Failures(self.num_wells, self.settings["max_failed_fraction"], self.name)

    def gather(self, tasks: Sequence[UnitTask]) -> FinishedUnits:
        """Return the failures and the cost of all units; those missing or damaged are computed.

        A chunk that was damaged after its job had ended is mended so, on an accelerator when
        there is one.
        """
        return gather(tasks, self.stores, self.failures(), mend=self._mend)

    def _mend(self, tasks: Sequence[UnitTask]) -> None:
        self.inference.encoder.to(device_of("auto"))
        compute_jobs([self], unit_groups([tasks]))

    def read(self, site: Site) -> NDArray[np.uint8]:
        """Return the pixels of a site as uint8."""
        return self.images.read(
            site.locator, site.channels, experiment=site.experiment, shape=site.shape
        )


def compute_jobs(
    jobs: Sequence[EmbeddingJob], groups: Sequence[UnitGroup], *, num_workers: int = 0
) -> dict[str, float]:
    """Compute the units that are not done, of one job or of several on the same screen.

    Only the rows of the groups are read from the tables, a portion at a time.

    Returns
    -------
    Counts and times: `wells` computed and `skipped`, `seconds`, `waiting_s` for images.
    """
    first = jobs[0]
    targets = [job.target() for job in jobs]
    pixels = Pixels(first.read, partial(image_stamp, first.images), num_workers)
    num_wells = sum(task.num_wells for group in groups for _, task in group)
    progress = Progress("wells", num_wells, name=", ".join(job.name for job in jobs))
    keeps_crops = any(job.inference.crop_shape is not None for job in jobs)
    numbers = first.tables.site_numbers() if keeps_crops else []
    for part in _portions(groups):
        tasks = [task for group in part for _, task in group]
        selection = first.tables.selection_of(tasks, numbers)
        compute_units(part, targets, selection, pixels=pixels, progress=progress)
    progress.end()
    return {
        "wells": progress.done,
        "skipped": progress.skipped,
        "seconds": progress.seconds,
        "waiting_s": progress.waiting_s or 0.0,
    }


def _portions(groups: Sequence[UnitGroup]) -> Iterator[list[UnitGroup]]:
    """Spans whose rows are read at once."""
    part: list[UnitGroup] = []
    for group in groups:
        last = max(task.last_well for _, task in group)
        if part and last - part[0][0][1].first_well > PORTION_WELLS:
            yield part
            part = []
        part.append(group)
    if part:
        yield part


def open_job(
    files: JobFiles,
    stores: Stores,
    settings: Mapping[str, Any],
    *,
    name: str,
    device: str = "auto",
    job: int = 0,
) -> EmbeddingJob:
    """Open an embedding job.

    Parameters
    ----------
    files, stores
        Where it is read from, and where results go.
    settings
        batch_size, precision, stored_as, unit_wells, crop_px, exclude_border_crops, overlap_px,
        resize, block (None: the last), max_failed_fraction, keep_blocks, max_kept_gb;
        adapt_batch_norm where batch norms take the statistics of each experiment.
    name
        What messages call it.
    device
        `auto` (an accelerator when there is one), `cpu` or `cuda`.
    job
        Number of the job: jobs on a node of several accelerators share them by this number
        and by the job's name.
    """
    tables = ScreenTables(files.wells, files.sites, files.quality)
    encoder = open_encoder(
        files.encoder, settings["block"], device_of(device, first_device(name) + job)
    )
    if settings.get("adapt_batch_norm"):
        check_batch_norm(encoder, name)
    geometry = Geometry(
        settings["crop_px"], settings["exclude_border_crops"], settings["overlap_px"]
    )
    kept = None
    if stores.crops is not None:
        size = tables.most_frequent_size()
        kept = crop_shape(len(tables.site_numbers()), size, geometry)
    inference = EmbeddingSettings(
        encoder, geometry, settings["resize"], settings["batch_size"], settings["precision"], kept
    )
    return EmbeddingJob(name, tables, inference, stores, open_images(files.images), settings)


def check_batch_norm(encoder: Encoder, where: str) -> None:
    """Raise ConfigurationError for a network without batch norm, which cannot be adapted."""
    from phenoprints.models.cnn import has_batch_norm

    if not has_batch_norm(encoder):
        raise ConfigurationError(
            f"{where}: adapt_batch_norm, and {encoder.config.name} has no batch norm. To fix: set "
            "adapt_batch_norm: false for the encoder."
        )


def open_encoder(provenance: str | Path, block: int | None, device: torch.device) -> Encoder:
    """Return the encoder whose provenance is given, ending after `block`, on its device."""
    from phenoprints.models import load

    encoder = load(artefact_path(provenance))
    if block is not None:
        encoder = encoder.trimmed(block)
    return encoder.to(device).eval()


def first_device(name: str) -> int:
    """Return the device at which the jobs of this name start, so that names spread over a node."""
    return zlib.crc32(name.encode())


def device_of(device: str, job: int = 0) -> torch.device:
    """Return the device of a setting for one of the jobs that may share a node."""
    import torch

    num_devices = torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and not num_devices):
        return torch.device("cpu")
    if not num_devices:
        raise ConfigurationError("inference.device: cuda, but no accelerator is there. Set auto.")
    return torch.device("cuda", job % num_devices)
