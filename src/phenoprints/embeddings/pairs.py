"""A pair of screen and encoder as the workflow's jobs open it, from files and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.embeddings.computing import (
    Gathered,
    compute_units,
    content_of,
    gather,
    make_stores,
    refuse_too_large,
)
from phenoprints.embeddings.geometry import Geometry
from phenoprints.embeddings.passes import Look, Site
from phenoprints.embeddings.selection import Selection, Stores
from phenoprints.embeddings.stamps import image_stamp
from phenoprints.embeddings.units import Work, read_marker
from phenoprints.foundations.errors import ConfigurationError
from phenoprints.foundations.provenance import artefact_path
from phenoprints.foundations.versions import STAGE_VERSIONS
from phenoprints.quality import QUALITY
from phenoprints.screens.contracts import SITES, WELLS
from phenoprints.screens.images import ScreenImages, open_images

if TYPE_CHECKING:
    import torch

    from phenoprints.models import Encoder


@dataclass(frozen=True)
class PairFiles:
    """Where a pair's inputs lie; `encoder` is the provenance of an encoder's folder."""

    wells: str
    sites: str
    quality: str
    images: str
    encoder: str


@dataclass(frozen=True)
class Pair:
    """An encoder, the screen it looks at, and where the results go."""

    name: str
    selection: Selection
    look: Look
    stores: Stores
    images: ScreenImages
    settings: Mapping[str, Any]

    def plan(self) -> list[Work]:
        """The units of the pair with their keys."""
        version, stored_as = STAGE_VERSIONS["embeddings"], self.settings["stored_as"]
        content = content_of(self.look, version=version, stored_as=stored_as)
        return self.selection.plan(content, self.settings["unit_wells"])

    def make_stores(self, attributes: Mapping[str, Any]) -> None:
        """Make the groups and arrays; what is whole stays."""
        make_stores(
            self.selection, self.look, self.stores, attributes=attributes,
            unit_wells=self.settings["unit_wells"], stored_as=self.settings["stored_as"],
        )  # fmt: skip

    def compute(self, works: Sequence[Work], *, num_workers: int = 0) -> dict[str, float]:
        """Compute the units that are not done."""
        return compute_units(
            works, self.selection, self.look, self.stores, read=self.read,
            stamp=partial(image_stamp, self.images), num_workers=num_workers, name=self.name,
            max_failed_fraction=self.settings["max_failed_fraction"],
        )  # fmt: skip

    def mend(self, works: Sequence[Work]) -> None:
        """Compute the units that are missing or damaged, where all should be done.

        A chunk that was damaged after its job had ended is mended so, on an accelerator when
        there is one.
        """
        missing = [
            work
            for work in works
            if read_marker(
                self.stores.units, work, self.selection.stores_of(work.unit, self.stores)
            )
            is None
        ]
        if missing:
            self.look.encoder.to(device_of("auto"))
            self.compute(missing)

    def gather(self, works: Sequence[Work]) -> Gathered:
        """The failures and the cost of all units, which must all be done."""
        limit = self.settings["max_failed_fraction"]
        return gather(
            works, self.selection, self.stores, max_failed_fraction=limit, where=self.name
        )

    def read(self, site: Site) -> NDArray[np.uint8]:
        """The pixels of a site as uint8."""
        return self.images.read(
            site.locator, site.channels, experiment=site.experiment, shape=site.shape
        )


def open_pair(
    files: PairFiles,
    stores: Stores,
    settings: Mapping[str, Any],
    *,
    name: str,
    block_wells: Iterable[int] | None = None,
    device: str = "auto",
    job: int = 0,
) -> Pair:
    """The pair that a job works on.

    Parameters
    ----------
    files, stores
        Where it is read from, and where results go.
    settings
        batch_size, precision, stored_as, unit_wells, crop_px, drop_ring, overlap_px, resize,
        block (None: the last), max_failed_fraction, and max_crops_gb where crops are kept.
    name
        What messages call it.
    block_wells
        Ids of the wells whose features of every block are kept.
    device
        `auto` (an accelerator when there is one), `cpu` or `cuda`.
    job
        Number of the job: jobs on a node of several accelerators share them out by it.
    """
    wells = WELLS.read(files.wells, ["well_id", "experiment", "plate", "well"])
    sites = SITES.read(files.sites)
    quality = QUALITY.read(files.quality, ["well_id", "site", "verdict"])
    selection = Selection(wells, sites, quality=quality, block_wells=block_wells)
    encoder = open_encoder(files.encoder, settings["block"], device_of(device, job))
    geometry = Geometry(settings["crop_px"], settings["drop_ring"], settings["overlap_px"])
    look = Look(
        encoder, geometry, settings["resize"], settings["batch_size"], settings["precision"]
    )
    if stores.crops is not None:
        limit = settings["max_crops_gb"]
        refuse_too_large(selection, look, max_crops_gb=limit, stored_as=settings["stored_as"])
        look = look.keeping(look.block_wells, selection.crop_shape(geometry))
    return Pair(name, selection, look, stores, open_images(files.images), settings)


def open_encoder(provenance: str | Path, block: int | None, device: torch.device) -> Encoder:
    """The encoder whose provenance is given, ending after `block`, on its device."""
    from phenoprints.models import load

    encoder = load(artefact_path(provenance))
    if block is not None:
        encoder = encoder.trimmed(block)
    return encoder.to(device).eval()


def device_of(device: str, job: int = 0) -> torch.device:
    """The device of a setting for one of the jobs that may share a node."""
    import torch

    num_devices = torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and not num_devices):
        return torch.device("cpu")
    if not num_devices:
        raise ConfigurationError("inference.device: cuda, but no accelerator is there. Set auto.")
    return torch.device("cuda", job % num_devices)
