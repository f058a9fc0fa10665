"""The units of one job, computed one after the other: skip what is done, write, mark, count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.embeddings.failures import FAILURES, WHOLE_WELL, refuse_too_many
from phenoprints.embeddings.passes import (
    FailedSite,
    Look,
    ReadImage,
    Site,
    UnitFeatures,
    look_at,
    num_features_of,
)
from phenoprints.embeddings.progress import Progress
from phenoprints.embeddings.reading import ReadAhead
from phenoprints.embeddings.selection import Selection, Stores
from phenoprints.embeddings.store import UNIT_WELLS, Unit, create_store, write_unit
from phenoprints.embeddings.units import Work, mark_done, read_marker, told_by_all
from phenoprints.foundations.errors import ConfigurationError

KEYS = ("well_id", "experiment", "plate", "well")
NO_IMAGE = "no_image"
NO_GOOD_SITE = "no_good_site"
NO_READABLE_SITE = "no_readable_site"
NOT_FINITE = "not_finite"
"""Why a well has no vector: not imaged, all its sites failed quality control or reading, or the
network gave numbers that are not finite."""


def no_stamp(sites: Sequence[Site]) -> str:  # noqa: ARG001 - any stamp takes the sites
    """The stamp of images that never change."""
    return ""


def content_of(look: Look, *, version: int, stored_as: str = "float32") -> dict[str, Any]:
    """What every unit of a look depends on: part of the key of each."""
    return {
        "version": version,
        "encoder": look.encoder.fingerprint(),
        "pool": look.encoder.config.pool,
        "geometry": look.geometry.as_dict(),
        "resize": look.resize,
        "batch_size": look.batch_size,
        "precision": look.precision,
        "stored_as": stored_as,
        **({} if look.crop_shape is None else {"crops": list(look.crop_shape)}),
    }


def make_stores(
    selection: Selection,
    look: Look,
    stores: Stores,
    *,
    attributes: Mapping[str, Any],
    unit_wells: int = UNIT_WELLS,
    stored_as: str = "float32",
) -> None:
    """Make the groups and arrays that the units of a pair are written to; keep what is whole."""
    channels = selection.sites["channels"]
    num_features = num_features_of(look.encoder, channels.iloc[0] if len(channels) else ())
    described = {
        **attributes,
        "encoder_fingerprint": look.encoder.fingerprint(),
        "pooling": look.encoder.config.pool,
        "geometry": look.geometry.as_dict(),
        "precision": look.precision,
        "channels": list(channels.iloc[0]) if len(channels) else [],
    }
    create_store(
        stores.embeddings, selection.ids, (num_features,), unit_wells=unit_wells, dtype=stored_as,
        attributes={**described, "block": look.encoder.num_blocks},
    )  # fmt: skip
    if stores.blocks is not None:
        blocks = list(range(1, look.encoder.num_blocks + 1))
        create_store(
            stores.blocks, selection.block_ids(), (len(blocks), num_features),
            unit_wells=unit_wells, dtype=stored_as, attributes={**described, "blocks": blocks},
        )  # fmt: skip
    if stores.crops is not None:
        shape = (*selection.crop_shape(look.geometry), num_features)
        create_store(
            stores.crops, selection.ids, shape, unit_wells=unit_wells, dtype=stored_as,
            attributes={**described, "sites": selection.site_numbers},
        )  # fmt: skip


def refuse_too_large(
    selection: Selection, look: Look, *, max_crops_gb: float, stored_as: str = "float32"
) -> None:
    """Raise ConfigurationError when the vectors of crops would take more than `max_crops_gb`."""
    num_sites, num_crops = selection.crop_shape(look.geometry)
    channels = selection.sites["channels"]
    width = num_features_of(look.encoder, channels.iloc[0] if len(channels) else ())
    values = len(selection.wells) * num_sites * num_crops * width
    estimate = values * np.dtype(stored_as).itemsize / 1e9
    if estimate > max_crops_gb:
        raise ConfigurationError(
            f"inference.keep_crops: the vectors of {len(selection.wells):,} wells × {num_sites} "
            f"sites × {num_crops} crops × {width} features take {estimate:,.0f} GB as {stored_as}."
            f"\n  Expected at most {max_crops_gb:g} GB (inference.max_crops_gb).\n"
            "  To fix: raise inference.max_crops_gb, store as float16, or keep well means only."
        )


def compute_units(
    works: Sequence[Work],
    selection: Selection,
    look: Look,
    stores: Stores,
    *,
    read: ReadImage,
    stamp: Callable[[Sequence[Site]], str] = no_stamp,
    num_workers: int = 0,
    max_failed_fraction: float = 1.0,
    name: str = "embeddings",
) -> dict[str, float]:
    """Compute the units that are not done yet, write them and mark each.

    Parameters
    ----------
    works
        Units with their keys, as `Selection.plan` made them; each is computed by itself, so that
        neither the number of jobs nor a restart changes a bit.
    read
        Gives the pixels, uint8 (C, H, W), of a site.
    stamp
        What is known of the files behind a unit's sites without reading them; a unit whose
        stamp has changed is computed again.
    num_workers
        Threads that read images beside the forward pass.
    max_failed_fraction
        Share of the screen's wells that may be unreadable before it is a DataError, after the
        unit in which it is passed.
    name
        What the line of progress calls it.

    Returns
    -------
    Counts and times: `wells` computed and `skipped`, `seconds`, `waiting_s` for images.
    """
    progress = Progress(name, sum(work.unit.stop - work.unit.start for work in works))
    failures: list[list[Any]] = []
    for work in works:
        sites = selection.sites_of(work.unit)
        stamped = stamp(sites)
        places = selection.stores_of(work.unit, stores)
        told = read_marker(stores.units, work, places, stamp=stamped)
        num_wells = work.unit.stop - work.unit.start
        if told is None:
            images = ReadAhead(read, sites, num_workers)
            start = progress.seconds
            told = _compute(work.unit, selection, look, sites=sites, images=images, places=places)
            told |= {"seconds": progress.seconds - start, "waiting_s": images.waiting_s}
            told |= {"wells": num_wells, "device": look.encoder.device.type}
            mark_done(stores.units, work, places, stamp=stamped, told=told)
            progress.advance(num_wells, images.waiting_s)
        else:
            progress.skip(num_wells)
        failures += told["failures"]
        _refuse(failures, selection, max_failed_fraction, name)
    progress.tell(last=True)
    return progress.summary()


def _compute(
    unit: Unit,
    selection: Selection,
    look: Look,
    *,
    sites: Sequence[Site],
    images: ReadAhead,
    places: Mapping[Path, Unit],
) -> dict[str, Any]:
    rows = selection.rows(unit)
    looks = [look.keeping(selection.block_rows(unit), look.crop_shape)]
    [seen], failed = look_at(sites, images, rows.stop - rows.start, looks)
    kept = [values for values in (seen.last, seen.blocks, seen.crops) if values is not None]
    for (store, place), values in zip(places.items(), kept, strict=True):
        write_unit(store, place, values)
    return {"failures": failure_rows(unit, selection, seen, sites=sites, failed=failed)}


def failure_rows(
    unit: Unit,
    selection: Selection,
    seen: UnitFeatures,
    *,
    sites: Sequence[Site],
    failed: Sequence[FailedSite],
) -> list[list[Any]]:
    """Rows of the failures table for a unit: its failed sites, then its wells without a vector."""
    span = selection.rows(unit)
    keys = selection.wells.iloc[span][list(KEYS)].to_numpy().tolist()
    rows = [[*keys[f.site.well], f.site.number, f.site.locator, f.reason] for f in failed]
    has_good_site = {site.well for site in sites}
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


@dataclass(frozen=True)
class Gathered:
    """What all units told: the failures, and what they cost (not part of what is hashed)."""

    failures: pd.DataFrame
    cost: dict[str, Any]


def gather(
    works: Sequence[Work],
    selection: Selection,
    stores: Stores,
    *,
    max_failed_fraction: float = 1.0,
    where: str = "embeddings",
) -> Gathered:
    """The failures and the cost of all units, once every one of them is done.

    Raises
    ------
    CorruptionError
        A unit is not done, or its chunk is not what was written: each is named.
    DataError
        More wells failed than may.
    """
    told = told_by_all(
        stores.units, works, lambda unit: selection.stores_of(unit, stores),
        cure="run the same command again; what is whole is kept",
    )  # fmt: skip
    rows = [row for value in told for row in value["failures"]]
    _refuse(rows, selection, max_failed_fraction, where)
    cost: dict[str, Any] = {
        name: sum(value[name] for value in told) for name in ("wells", "seconds", "waiting_s")
    }
    cost["devices"] = sorted({value["device"] for value in told})
    return Gathered(FAILURES.conform(failures_table(rows)).to_pandas(), cost)


def failures_table(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Failures as a table of their contract."""
    table = pd.DataFrame(list(rows), columns=list(FAILURES.schema.names))
    return table.astype({"well_id": np.uint64, "site": np.int32})


def _refuse(rows: Sequence[Any], selection: Selection, fraction: float, where: str) -> None:
    table = failures_table(rows)
    # What quality control left out is no failure to read.
    unread = table[table["reason"] != NO_GOOD_SITE]
    refuse_too_many(unread, len(selection.wells), max_failed_fraction=fraction, where=where)
