"""The arrays that a plan will fill: what describes them, what they are made from, their size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phenoprints.embeddings.forward import EmbeddingSettings, num_features_of
from phenoprints.embeddings.planning import Plan
from phenoprints.embeddings.store import UNIT_WELLS, create_store
from phenoprints.embeddings.units import Stores
from phenoprints.foundations.errors import ConfigurationError


def content_of(
    settings: EmbeddingSettings, *, version: int, stored_as: str = "float32"
) -> dict[str, Any]:
    """Return the settings that every unit depends on; they are part of each unit's key."""
    return {
        "version": version,
        "encoder": settings.encoder.fingerprint(),
        "pool": settings.encoder.config.pool,
        "geometry": settings.geometry.as_dict(),
        "resize": settings.resize,
        "batch_size": settings.batch_size,
        "precision": settings.precision,
        "stored_as": stored_as,
        **({} if settings.crop_shape is None else {"crops": list(settings.crop_shape)}),
    }


def make_stores(
    plan: Plan,
    settings: EmbeddingSettings,
    stores: Stores,
    *,
    attributes: Mapping[str, Any],
    unit_wells: int = UNIT_WELLS,
    stored_as: str = "float32",
) -> None:
    """Make the groups and arrays that the units of a plan are written to; keep what is whole."""
    num_features = num_features_of(settings.encoder, plan.channels)
    described = {
        **attributes,
        "encoder_fingerprint": settings.encoder.fingerprint(),
        "pooling": settings.encoder.config.pool,
        "geometry": settings.geometry.as_dict(),
        "precision": settings.precision,
        "channels": list(plan.channels),
    }
    create_store(
        stores.embeddings, plan.ids, (num_features,), unit_wells=unit_wells, dtype=stored_as,
        attributes={**described, "block": settings.encoder.num_blocks},
    )  # fmt: skip
    if stores.blocks is not None:
        blocks = list(range(1, settings.encoder.num_blocks + 1))
        create_store(
            stores.blocks, plan.block_ids(), (len(blocks), num_features),
            unit_wells=unit_wells, dtype=stored_as, attributes={**described, "blocks": blocks},
        )  # fmt: skip
    if stores.crops is not None and settings.crop_shape is not None:
        create_store(
            stores.crops, plan.ids, (*settings.crop_shape, num_features), unit_wells=unit_wells,
            dtype=stored_as, attributes={**described, "sites": plan.site_numbers},
        )  # fmt: skip


def refuse_too_large(
    plan: Plan,
    settings: EmbeddingSettings,
    stores: Stores,
    *,
    max_kept_gb: float,
    stored_as: str = "float32",
) -> list[str]:
    """Return the sizes of the stores in words; ConfigurationError for more than `max_kept_gb`.

    The store of well means is never refused, those of blocks and of crops are.
    """
    width, item = num_features_of(settings.encoder, plan.channels), np.dtype(stored_as).itemsize
    texts = [_size(plan.num_wells, {}, width, item)]
    asked: dict[str, tuple[int, dict[str, int]]] = {}
    if stores.blocks is not None:
        num_kept = sum(len(ids) for ids in plan.block_ids().values())
        asked["keep_blocks"] = num_kept, {"blocks": settings.encoder.num_blocks}
    if stores.crops is not None and settings.crop_shape is not None:
        num_sites, num_crops = settings.crop_shape
        asked["keep_crops"] = plan.num_wells, {"sites": num_sites, "crops": num_crops}
    for name, (num_wells, axes) in asked.items():
        texts.append(_size(num_wells, axes, width, item))
        if _gigabytes(num_wells, axes, width, item) > max_kept_gb:
            raise ConfigurationError(
                f"inference.{name}: the vectors of {texts[-1]} as {stored_as}."
                f"\n  Expected at most {max_kept_gb:g} GB (inference.max_kept_gb).\n"
                "  To fix: raise inference.max_kept_gb, store as float16, or keep well means only."
            )
    return texts


def _gigabytes(num_wells: int, axes: Mapping[str, int], width: int, item: int) -> float:
    return num_wells * int(np.prod([1, *axes.values()])) * width * item / 1e9


def _size(num_wells: int, axes: Mapping[str, int], width: int, item: int) -> str:
    parts = [f"{num_wells:,} wells", *(f"{n} {name}" for name, n in axes.items())]
    size = _gigabytes(num_wells, axes, width, item)
    return f"{' × '.join(parts)} × {width} features take {size:,.3g} GB"
