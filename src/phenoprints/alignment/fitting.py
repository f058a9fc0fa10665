"""Fit an alignment to a screen, one experiment in memory at a time."""

# N wells · D features · K components

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment.affine import Affine
from phenoprints.alignment.aligned import Alignment
from phenoprints.alignment.arm_fitting import remove_arms
from phenoprints.alignment.batches import Batches, ControlVectors
from phenoprints.alignment.chromosome_arms import ChromosomeArmCorrection
from phenoprints.alignment.corrections import Correction, PositionCorrection
from phenoprints.alignment.cross_fitting import cross_fitted
from phenoprints.alignment.folds import assign_folds
from phenoprints.alignment.methods import FittedMaps, Method
from phenoprints.alignment.positions import Positions, fit_positions
from phenoprints.alignment.settings import AlignmentSettings
from phenoprints.wells import EmbeddingsReader, control_wells


def fit_alignment(
    wells: pd.DataFrame,
    reader: EmbeddingsReader,
    settings: AlignmentSettings | None = None,
    *,
    is_usable: NDArray[np.bool_] | None = None,
    is_precomputed: bool = False,
    arms: ChromosomeArmCorrection | None = None,
    genes: NDArray[np.object_] | None = None,
) -> Alignment:
    """Return the alignment of a screen, a map per batch: an experiment, or a plate of one.

    Parameters
    ----------
    wells
        The wells table, sorted by experiment, plate, well.
    reader
        Embeddings whose rows are the wells of each experiment in that order.
    is_usable
        One entry per well: False where quality says `fail`. Such wells are aligned, never fitted.
    is_precomputed
        Whether the embeddings are profiles of many units, for `standardize_first: auto`.
    arms, genes
        An unfitted arm correction, and the gene that was cut in each well ("" for none).

    Raises
    ------
    DataError
        Embeddings that do not match the wells, no controls, or too few of them in a batch.
    """
    settings = settings or AlignmentSettings()
    batches = Batches(wells, reader, settings.batch)
    is_control, role = control_wells(
        wells, settings.controls, is_usable, min_controls=settings.min_controls
    )
    method = settings.method_to_fit(is_precomputed=is_precomputed)
    controls = ControlVectors(batches, is_control)
    fitted = None if method is None else method.fit(controls, np.float32)
    alignment = on_controls(settings, wells, controls, method, fitted)
    alignment.attributes["controls"] = role
    if arms is not None and genes is not None and settings.chromosome_arms:
        alignment = remove_arms(alignment, batches, arms, genes, is_usable)
    return alignment


def on_controls(
    settings: AlignmentSettings,
    wells: pd.DataFrame,
    controls: ControlVectors,
    method: Method | None,
    fitted: FittedMaps | None,
) -> Alignment:
    """Return the alignment that `fitted` gives, with everything else that is fitted on controls."""
    batches, is_control = controls.batches, controls.is_control
    alignment = _alignment(settings, batches, fitted)
    if settings.remove_position != "none":
        alignment = _remove_positions(alignment, wells, batches, is_control)
    if settings.folds:
        fold = assign_folds(wells, is_control, settings.folds)
        alignment = cross_fitted(alignment, controls, fold, method, fitted)
    return alignment


def _alignment(
    settings: AlignmentSettings, batches: Batches, fitted: FittedMaps | None
) -> Alignment:
    if fitted is None:
        return _unchanged(settings, batches)
    corrections = {
        experiment: Correction(
            tuple(fitted.affines.get(name) for name in names), batches.codes[experiment]
        )
        for experiment, names in batches.names.items()
    }
    return Alignment(
        corrections,
        {
            "settings": settings.plain(),
            "num_features": len(fitted.shared.centre),
            "num_components": fitted.shared.num_components,
            "num_controls": fitted.num_controls,
            "skipped": fitted.skipped,
            "notes": fitted.notes,
        },
        shared=fitted.shared,
    )


def _unchanged(settings: AlignmentSettings, batches: Batches) -> Alignment:
    num_features = batches.read(next(iter(batches.rows))).shape[1]
    nothing = np.zeros(num_features, np.float32)
    identity = Correction((Affine(nothing, None, None, nothing),))
    return Alignment(
        dict.fromkeys(batches.rows, identity),
        {
            "settings": settings.plain(),
            "num_features": num_features,
            "num_components": num_features,
            "num_controls": {},
            "skipped": {},
            "notes": [],
        },
    )


def _remove_positions(
    alignment: Alignment,
    wells: pd.DataFrame,
    batches: Batches,
    is_control: NDArray[np.bool_],
) -> Alignment:
    corrections, notes = {}, list(alignment.attributes["notes"])
    plates = wells["plate"].to_numpy(dtype=str)
    row, column = wells["row"].to_numpy(np.int16), wells["column"].to_numpy(np.int16)
    for name, index in batches.rows.items():
        at = Positions(plates[index], row[index], column[index])
        y = alignment.align(name, batches.read(name))
        effects = fit_positions(y, is_control[index], at)
        notes += [
            f'plate "{plate}" of experiment "{name}": no control, no position removed'
            for plate in effects.untouched
        ]
        position = PositionCorrection(at, effects)
        corrections[name] = replace(alignment.corrections[name], position=position)
    attributes = {**alignment.attributes, "notes": notes}
    return replace(alignment, corrections=corrections, attributes=attributes)
