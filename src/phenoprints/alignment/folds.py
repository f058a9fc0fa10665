"""Cross-fitted controls: every control under a map that was fitted without it."""

# N wells · M controls · D features · K components

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment.affine import Floats
from phenoprints.alignment.methods import Dtype, Method
from phenoprints.alignment.shared import THIN, SharedPart
from phenoprints.alignment.statistics import ControlStatistics
from phenoprints.foundations.randomness import hash_uint64

NUM_FOLDS = 4
"""Folds of the controls; the measurements behind this number are in docs/alignment.md."""


@dataclass(frozen=True)
class HeldOutControls:
    """The controls of one experiment, each under the map that was fitted without its fold.

    `rows` (M,) index into the experiment's wells, `fold` (M,) counts from 0, `vectors` (M, K) are
    float32. Vectors of different folds come from different maps and must never be mixed: not in a
    set, nor in a mean. They are NaN where the rest of a batch is too small to be fitted.
    """

    rows: NDArray[np.int32]
    fold: NDArray[np.int16]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class HeldOut:
    """All wells of one experiment under the maps that were fitted without one fold of controls.

    `vectors` (N, K) are NaN in the rows of controls that these maps were fitted on, so that they
    cannot be compared with anything; `is_control` (N,) is True exactly for the fold's controls.
    """

    fold: int
    vectors: NDArray[np.float32]
    is_control: NDArray[np.bool_]


def assign_folds(
    wells: pd.DataFrame, is_control: NDArray[np.bool_], num_folds: int
) -> NDArray[np.int16]:
    """Return the fold of each control (N,), from 0, and -1 for other wells.

    The controls of a plate, ordered by the hash of their `well_id`, take folds in turn, and each
    plate goes on where the one before has stopped: the folds of a plate and of an experiment
    differ by at most one control. The order of the rows does not matter.
    """
    fold = np.full(len(wells), -1, np.int16)
    rows = np.flatnonzero(is_control)
    chosen = wells.iloc[rows]
    ids = chosen["well_id"].to_numpy(np.uint64)
    order = np.lexsort(
        (ids, hash_uint64(0, ids), *(_codes(chosen[c]) for c in ("plate", "experiment")))
    )
    sizes = np.bincount(_codes(chosen["experiment"]))
    rank = np.concatenate([np.arange(size) for size in sizes]) if len(rows) else rows
    fold[rows[order]] = rank % num_folds
    return fold


def _codes(names: pd.Series) -> NDArray[np.intp]:
    codes: NDArray[np.intp] = np.unique(names.to_numpy(dtype=str), return_inverse=True)[1]
    return codes


@dataclass(frozen=True)
class BatchControls:
    """The finite control vectors of one batch (M, D) and the fold of each (M,)."""

    x: Floats
    fold: NDArray[np.int16]


@dataclass(frozen=True)
class FittedFold:
    """What was fitted without one fold: the shared part, and all controls as its maps see them.

    `vectors` holds, for each batch, the rows (M, K) of its controls, or only those of the fold.
    `shared` is None, and no batch has vectors, where too few controls are left in every batch.
    """

    shared: SharedPart | None
    vectors: dict[str, Floats]


def fit_without(
    fold: int,
    method: Method,
    batches: Mapping[str, BatchControls],
    *,
    total: ControlStatistics,
    dtype: Dtype,
    only_held_out: bool = True,
) -> FittedFold:
    """Fit the whole map, shared part and every batch, without one fold of the controls.

    `batches` are those that were fitted, `total` the statistics of all their controls. Batches
    that keep fewer than `min_controls` controls are left out of the fit and have no vectors.
    """
    enough = method.limits.min_controls
    kept = {name: of.fold != fold for name, of in batches.items()}
    fitted = [name for name in batches if np.count_nonzero(kept[name]) >= enough]
    if not fitted:
        return FittedFold(None, {})
    is_out = {name: ~kept[name] if name in fitted else np.ones_like(kept[name]) for name in batches}
    shared = method.share(_rest(batches, is_out, total))
    projected = {name: shared.project_rows(batches[name].x, dtype) for name in fitted}
    statistics = ((name, ControlStatistics.of_rows(projected[name][kept[name]])) for name in fitted)
    shared, parts = method.fit_batches(shared, statistics, dtype)
    colour = None if shared.colour is None else shared.colour.astype(dtype)
    vectors = {}
    for name in fitted:
        rows = projected.pop(name)[is_out[name] if only_held_out else slice(None)]
        y = parts.pop(name).rows(rows)
        vectors[name] = y if colour is None else y @ colour
    return FittedFold(shared, vectors)


def _rest(
    batches: Mapping[str, BatchControls],
    is_out: Mapping[str, NDArray[np.bool_]],
    total: ControlStatistics,
) -> ControlStatistics:
    """The statistics of the controls that stay: counted anew where few, else by subtraction."""

    def rows(chosen: Mapping[str, NDArray[np.bool_]]) -> Iterator[Floats]:
        return (of.x[chosen[name]] for name, of in batches.items())

    num_features = len(total.mean)
    num_left = total.num_wells - sum(np.count_nonzero(out) for out in is_out.values())
    if num_left <= THIN * num_features:
        stays = {name: ~out for name, out in is_out.items()}
        return ControlStatistics.of_rows(np.concatenate(list(rows(stays))))
    return total.without(ControlStatistics.of_rows(np.concatenate(list(rows(is_out)))))
