"""Fit an alignment to a screen, one experiment in memory at a time."""

# N wells · D features · K components

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment.affine import Affine
from phenoprints.alignment.chromosome_arms import ChromosomeArmCorrection
from phenoprints.alignment.corrections import (
    Alignment,
    ArmCorrection,
    Correction,
    PositionCorrection,
)
from phenoprints.alignment.positions import Positions, fit_positions
from phenoprints.alignment.settings import AlignmentSettings
from phenoprints.alignment.statistics import ControlStatistics
from phenoprints.wells import (
    EmbeddingsReader,
    check_reader,
    control_wells,
    experiment_rows,
    read_checked,
)


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
    """The alignment of a screen, a map per batch: an experiment, or a plate of one.

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
    batches = _Batches(wells, reader, settings.batch)
    is_control, role = control_wells(
        wells, settings.controls, is_usable, min_controls=settings.min_controls
    )
    alignment = _fit_maps(settings, batches, is_control, is_precomputed)
    alignment.attributes["controls"] = role
    if settings.remove_position != "none":
        alignment = _remove_positions(alignment, wells, batches, is_control)
    if arms is not None and genes is not None and settings.chromosome_arms:
        alignment = _remove_arms(alignment, batches, arms, genes, is_usable)
    return alignment


class _Batches:
    """Which wells belong to which experiment and batch, and how their vectors are read."""

    def __init__(self, wells: pd.DataFrame, reader: EmbeddingsReader, batch: str) -> None:
        self.reader = reader
        check_reader(wells, reader)
        self.rows = experiment_rows(wells)
        plate = wells["plate"].to_numpy(dtype=str) if batch == "plate" else None
        self.names: dict[str, tuple[str, ...]] = {}
        self.codes: dict[str, NDArray[np.int16] | None] = {}
        for experiment, index in self.rows.items():
            if plate is None:
                self.names[experiment], self.codes[experiment] = (experiment,), None
            else:
                plates, codes = np.unique(plate[index], return_inverse=True)
                self.names[experiment] = tuple(f"{experiment}/{name}" for name in plates)
                self.codes[experiment] = codes.astype(np.int16)
        self._last: tuple[str, NDArray[np.float32]] | None = None

    def read(self, experiment: str) -> NDArray[np.float32]:
        """The vectors of one experiment; the last one read is kept for its other batches."""
        if self._last is None or self._last[0] != experiment:
            self._last = None
            x = read_checked(self.reader, experiment, len(self.rows[experiment]))
            self._last = (experiment, x)
        return self._last[1]

    def experiments_of(self) -> dict[str, tuple[str, int]]:
        """Each batch with its experiment and its code there, in order."""
        return {
            name: (experiment, code)
            for experiment, names in self.names.items()
            for code, name in enumerate(names)
        }


class _BatchStatistics(Mapping[str, ControlStatistics]):
    """Statistics of each batch's controls, computed anew whenever they are asked for."""

    def __init__(self, batches: _Batches, is_control: NDArray[np.bool_]) -> None:
        self.batches = batches
        self.is_control = is_control
        self.places = batches.experiments_of()

    def __getitem__(self, batch: str) -> ControlStatistics:
        experiment, code = self.places[batch]
        chosen = self.is_control[self.batches.rows[experiment]]
        codes = self.batches.codes[experiment]
        if codes is not None:
            chosen = chosen & (codes == code)
        return ControlStatistics.of_rows(self.batches.read(experiment)[chosen])

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def _fit_maps(
    settings: AlignmentSettings,
    batches: _Batches,
    is_control: NDArray[np.bool_],
    is_precomputed: bool,
) -> Alignment:
    estimator = settings.estimator(is_precomputed=is_precomputed)
    if estimator is None:
        return _unchanged(settings, batches)
    estimator.fit_statistics(_BatchStatistics(batches, is_control), np.float32)
    corrections = {
        experiment: Correction(
            tuple(estimator.affines_.get(name) for name in names), batches.codes[experiment]
        )
        for experiment, names in batches.names.items()
    }
    return Alignment(
        corrections,
        {
            "settings": asdict(settings),
            "num_features": estimator.num_features_,
            "num_components": estimator.num_components_,
            "num_controls": estimator.num_controls_,
            "skipped": estimator.skipped_,
            "notes": estimator.notes_,
        },
    )


def _unchanged(settings: AlignmentSettings, batches: _Batches) -> Alignment:
    num_features = batches.read(next(iter(batches.rows))).shape[1]
    nothing = np.zeros(num_features, np.float32)
    identity = Correction((Affine(nothing, None, None, nothing),))
    return Alignment(
        dict.fromkeys(batches.rows, identity),
        {
            "settings": asdict(settings),
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
    batches: _Batches,
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
    return Alignment(corrections, {**alignment.attributes, "notes": notes})


def _remove_arms(
    alignment: Alignment,
    batches: _Batches,
    arms: ChromosomeArmCorrection,
    genes: NDArray[np.object_],
    is_usable: NDArray[np.bool_] | None,
) -> Alignment:
    names, codes = np.unique(genes.astype(str), return_inverse=True)
    sums = np.zeros((len(names), alignment.num_components))
    counts = np.zeros(len(names))
    for name, index in batches.rows.items():
        y = alignment.align(name, batches.read(name))
        good = np.isfinite(y).all(axis=1) & (True if is_usable is None else is_usable[index])
        np.add.at(sums, codes[index][good], y[good])
        counts += np.bincount(codes[index][good], minlength=len(names))
    seen = (counts > 0) & (names != "")
    means = (sums[seen] / counts[seen, None]).astype(np.float32)
    arms.fit(means, [str(name) for name in names[seen]])
    arm_of_well = arms.codes([str(name) for name in names])[codes]
    return alignment.with_arms(
        {
            name: ArmCorrection(arm_of_well[index], arms.offsets_)
            for name, index in batches.rows.items()
        },
        {
            "arm_basis": arms.basis_,
            "arms": dict(zip(arms.arms_, arms.num_genes_.tolist(), strict=True)),
        },
    )
