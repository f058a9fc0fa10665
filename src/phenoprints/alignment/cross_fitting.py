"""Fit an alignment without each fold of its controls, and publish the controls held out."""

# N wells · M controls · D features · K components

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Floats
from phenoprints.alignment.aligned import Alignment
from phenoprints.alignment.batches import ControlVectors
from phenoprints.alignment.folds import BatchControls, FittedFold, HeldOutControls, fit_without
from phenoprints.alignment.held_out import CrossFit, FoldPart, padded
from phenoprints.alignment.methods import FittedMaps, Method
from phenoprints.alignment.positions import Positions, fit_positions


@dataclass(frozen=True)
class _Experiment:
    """The controls of one experiment: rows among its wells, folds, batches and positions (M,)."""

    rows: NDArray[np.int32]
    fold: NDArray[np.int16]
    batches: dict[str, slice]
    at: Positions | None


def cross_fitted(
    alignment: Alignment,
    controls: ControlVectors,
    fold: NDArray[np.int16],
    method: Method | None,
    fitted: FittedMaps | None,
) -> Alignment:
    """Return the alignment with its controls held out, fold by fold; its own maps stay.

    `fold` (N,) counts from 0, -1 for wells that are no controls. Where neither a map nor positions
    are fitted, every control is untouched: there is one fold, which all of them are in.
    """
    skipped = {} if fitted is None else fitted.skipped
    batches, experiments = _gathered(alignment, controls, fold, skipped)
    num_folds = int(fold.max(initial=0)) + 1
    is_polished = any(of.at is not None for of in experiments.values())
    if fitted is None and not is_polished:
        return replace(alignment, cross_fit=_untouched(batches, experiments))
    parts, vectors = [], []
    missing: dict[str, list[str]] = {}
    for number in range(num_folds):
        one = _fitted(number, batches, method, fitted, only_held_out=not is_polished)
        vectors.append(_held_out(number, one, experiments))
        for name in batches.keys() - one.vectors.keys():
            missing.setdefault(name, []).append(str(number))
        parts.append(FoldPart(None if one.shared is None else one.shared.astype(np.float32)))
    published = _published(experiments, vectors)
    notes = [*alignment.attributes["notes"], *_notes(missing)]
    return replace(
        alignment,
        cross_fit=CrossFit(method, published, tuple(parts)),
        attributes={**alignment.attributes, "notes": notes},
    )


def _notes(missing: dict[str, list[str]]) -> list[str]:
    return [
        f'batch "{name}": too few controls are left without fold {", ".join(folds)}, so nothing is '
        "compared with them there"
        for name, folds in sorted(missing.items())
    ]


def _gathered(
    alignment: Alignment,
    controls: ControlVectors,
    fold: NDArray[np.int16],
    skipped: dict[str, str],
) -> tuple[dict[str, BatchControls], dict[str, _Experiment]]:
    """Return the finite controls of every batch that was fitted, and their rows in their
    experiment.
    """
    batches: dict[str, BatchControls] = {}
    experiments = {}
    for experiment, names in controls.batches.names.items():
        of_well = fold[controls.batches.rows[experiment]]
        rows: list[NDArray[np.intp]] = [np.empty(0, np.intp)]
        slices: dict[str, slice] = {}
        for name in (name for name in names if name not in skipped):
            x, own = controls.vectors(name), controls.rows(name)
            finite = np.isfinite(x).all(axis=1)
            batches[name] = BatchControls(x if finite.all() else x[finite], of_well[own[finite]])
            start = sum(map(len, rows))
            rows.append(own[finite])
            slices[name] = slice(start, start + len(rows[-1]))
        index = np.concatenate(rows).astype(np.int32)
        at = _positions(alignment, experiment, index)
        experiments[experiment] = _Experiment(index, of_well[index], slices, at)
    return batches, experiments


def _positions(alignment: Alignment, experiment: str, rows: NDArray[np.int32]) -> Positions | None:
    position = alignment.corrections[experiment].position
    if position is None:
        return None
    at = position.at
    return Positions(at.plate[rows], at.row[rows], at.column[rows])


def _fitted(
    fold: int,
    batches: dict[str, BatchControls],
    method: Method | None,
    fitted: FittedMaps | None,
    *,
    only_held_out: bool,
) -> FittedFold:
    if method is None or fitted is None:
        return FittedFold(None, {name: of.x for name, of in batches.items()})
    total = fitted.shared if fitted.total is None else fitted.total
    return fit_without(
        fold, method, batches, total=total, dtype=np.float32, only_held_out=only_held_out
    )


def _held_out(
    fold: int, one: FittedFold, experiments: dict[str, _Experiment]
) -> dict[str, NDArray[np.float32]]:
    """Return the fold's controls of every experiment under its maps; NaN where there is no map."""
    width = next((y.shape[1] for y in one.vectors.values()), 1)
    result = {}
    for experiment, of in experiments.items():
        is_out = of.fold == fold
        y = np.full((len(of.rows), width), np.nan, np.float32)
        for name, at in of.batches.items():
            if name in one.vectors:
                _place(y[at], one.vectors[name], is_out[at])
        if of.at is not None:
            y -= fit_positions(y, ~is_out, of.at).of_wells(of.at)
        result[experiment] = y[is_out]
    return result


def _place(y: NDArray[np.float32], vectors: Floats, is_out: NDArray[np.bool_]) -> None:
    """Write the vectors of a batch's controls, of all or of those of the fold, into y."""
    if len(vectors) == len(y):
        y[:] = vectors
    else:
        y[is_out] = vectors


def _published(
    experiments: dict[str, _Experiment], vectors: list[dict[str, NDArray[np.float32]]]
) -> dict[str, HeldOutControls]:
    width = max(y.shape[1] for of_fold in vectors for y in of_fold.values())
    published = {}
    for experiment, of in experiments.items():
        y = np.empty((len(of.rows), width), np.float32)
        for fold, of_fold in enumerate(vectors):
            y[of.fold == fold] = padded(of_fold.pop(experiment), width)
        published[experiment] = HeldOutControls(of.rows, of.fold, y)
    return published


def _untouched(batches: dict[str, BatchControls], experiments: dict[str, _Experiment]) -> CrossFit:
    published = {}
    for experiment, of in experiments.items():
        x = np.concatenate([batches[name].x for name in of.batches])
        published[experiment] = HeldOutControls(of.rows, np.zeros_like(of.fold), x)
    return CrossFit(None, published, (FoldPart(),))
