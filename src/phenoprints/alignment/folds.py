"""Cross-fitted controls: every control under a map that was fitted without it."""

# N wells · M controls · D features · K components

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment.affine import Floats
from phenoprints.alignment.methods import BatchPart, Dtype, Method
from phenoprints.alignment.shared import THIN, SharedPart
from phenoprints.alignment.statistics import ControlStatistics
from phenoprints.foundations.randomness import hash_uint64


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

    Where controls keep their positions over the plates of the screen, or else of their experiment
    (a position has a control on at least half of the plates, on average), all wells of a position
    are in one fold: a set of wells at one position must lie in one fold, and an effect of the
    position must not enter the map that holds it out. Positions take the fold with the fewest
    controls on their plates, in the order of their hash.

    Elsewhere the controls of a plate, ordered by the hash of their `well_id`, take folds in turn,
    and each plate goes on where the one before has stopped: the folds of a plate and of an
    experiment differ by at most one control. The order of the rows does not matter.
    """
    fold = np.full(len(wells), -1, np.int16)
    rows = np.flatnonzero(is_control)
    controls = _Controls.of(wells.iloc[rows])
    if controls.keep_positions():
        fold[rows] = controls.by_position(num_folds)
        return fold
    for experiment in np.unique(controls.experiment):
        here = np.flatnonzero(controls.experiment == experiment)
        part = controls.take(here)
        by_position = part.keep_positions()
        fold[rows[here]] = part.by_position(num_folds) if by_position else part.in_turn(num_folds)
    return fold


@dataclass(frozen=True)
class _Controls:
    """Control wells as numbers, (M,) each: `plate` counts over experiments."""

    ids: NDArray[np.uint64]
    experiment: NDArray[np.intp]
    plate: NDArray[np.intp]
    position: NDArray[np.uint64]

    @classmethod
    def of(cls, wells: pd.DataFrame) -> _Controls:
        experiment, plate = _codes(wells["experiment"]), _codes(wells["plate"])
        both = experiment * (plate.max(initial=0) + 1) + plate
        row, column = (wells[name].to_numpy(np.uint64) for name in ("row", "column"))
        return cls(
            ids=wells["well_id"].to_numpy(np.uint64),
            experiment=experiment,
            plate=np.unique(both, return_inverse=True)[1],
            position=row << np.uint64(32) | column,
        )

    def take(self, index: NDArray[np.intp]) -> _Controls:
        return _Controls(
            self.ids[index], self.experiment[index], self.plate[index], self.position[index]
        )

    def keep_positions(self) -> bool:
        """Whether a position has a control on at least half of the plates, on average."""
        num_plates, num_positions = len(np.unique(self.plate)), len(np.unique(self.position))
        return num_plates > 1 and len(self.ids) * 2 >= num_positions * num_plates

    def by_position(self, num_folds: int) -> NDArray[np.int16]:
        plate = np.unique(self.plate, return_inverse=True)[1]
        counts = np.zeros((plate.max(initial=-1) + 1, num_folds), np.int64)
        fold = np.full(len(self.ids), -1, np.int16)
        positions = np.unique(self.position)
        for position in positions[np.argsort(hash_uint64(0, positions), kind="stable")]:
            here = np.flatnonzero(self.position == position)
            here_counts = counts[plate[here]].sum(axis=0)
            fold[here] = np.lexsort((counts.sum(axis=0), here_counts))[0]
            counts[plate[here], fold[here]] += 1
        return fold

    def in_turn(self, num_folds: int) -> NDArray[np.int16]:
        order = np.lexsort((self.ids, hash_uint64(0, self.ids), self.plate))
        fold = np.empty(len(self.ids), np.int16)
        fold[order] = np.arange(len(order)) % num_folds
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
    total: ControlStatistics | SharedPart,
    dtype: Dtype,
    only_held_out: bool = True,
) -> FittedFold:
    """Fit the whole map, shared part and every batch, without one fold of the controls.

    `batches` are those that were fitted, `total` the statistics of all their controls; or the
    shared part itself, where it was fitted on other batches and stays. Batches that keep fewer than
    `min_controls` controls are left out of the fit and have no vectors.
    """
    enough = method.limits.min_controls
    kept = {name: of.fold != fold for name, of in batches.items()}
    fitted = [name for name in batches if np.count_nonzero(kept[name]) >= enough]
    if not fitted:
        return FittedFold(None, {})
    is_out = {name: ~kept[name] if name in fitted else np.ones_like(kept[name]) for name in batches}
    frozen = total if isinstance(total, SharedPart) else None
    shared = frozen or method.share(_rest(batches, is_out, cast(ControlStatistics, total)))
    ready, projected = shared.astype(dtype), {}

    def statistics() -> Iterator[tuple[str, ControlStatistics]]:
        for name in fitted:
            projected[name] = ready.project_rows(batches[name].x, dtype)
            yield name, ControlStatistics.of_rows(projected[name][kept[name]])

    def wanted(name: str, part: BatchPart) -> Floats:
        rows = projected.pop(name)
        return part.rows(rows[is_out[name]] if only_held_out else rows)

    if frozen is None:
        shared, white = method.fit_batches(
            shared, statistics(), dtype, wanted, only_inner=only_held_out
        )
    else:
        white = method.each_batch(frozen, statistics(), dtype, wanted)
    if shared.colour is not None:
        colour = shared.colour.astype(dtype)
        white = {name: white.pop(name) @ colour for name in fitted}
    return FittedFold(shared, white)


def _rest(
    batches: Mapping[str, BatchControls],
    is_out: Mapping[str, NDArray[np.bool_]],
    total: ControlStatistics,
) -> ControlStatistics:
    """Return statistics of the controls that stay: counted anew where few, else by subtraction."""

    def rows(chosen: Mapping[str, NDArray[np.bool_]]) -> Iterator[Floats]:
        return (of.x[chosen[name]] for name, of in batches.items())

    num_features = len(total.mean)
    num_left = total.num_wells - sum(np.count_nonzero(out) for out in is_out.values())
    if num_left <= THIN * num_features:
        stays = {name: ~out for name, out in is_out.items()}
        return ControlStatistics.of_rows(np.concatenate(list(rows(stays))))
    return total.without(ControlStatistics.of_rows(np.concatenate(list(rows(is_out)))))
