"""A fitted alignment, and embeddings that it is applied to whenever they are read."""

# N wells · M controls · D features · K components · A arms

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Floats
from phenoprints.alignment.corrections import ArmCorrection, Correction
from phenoprints.alignment.folds import HeldOut, HeldOutControls
from phenoprints.alignment.held_out import CrossFit
from phenoprints.alignment.shared import SharedPart
from phenoprints.foundations.errors import DataError
from phenoprints.wells import EmbeddingsReader


class CrossFittedReader(EmbeddingsReader, Protocol):
    """Aligned embeddings that can also be read under maps fitted without some of the controls.

    Whatever compares wells with controls takes this, or what it returns: vectors of controls that
    their own map was fitted on are shorter than those of other wells.
    """

    @property
    def num_folds(self) -> int:
        """Number of folds; 0 where none were fitted, 1 where nothing is fitted on controls."""

    def held_out_controls(self, experiment: str) -> HeldOutControls:
        """Return the stored control vectors of one experiment, each from its own fold's map."""

    def read_held_out(self, experiment: str, fold: int) -> HeldOut:
        """Return all wells of one experiment under the maps fitted without one fold."""


@dataclass
class Alignment:
    """A fitted alignment: corrections by experiment, and `attributes` that say how it was made.

    `attributes` hold settings, controls, num_features, num_components, notes, skipped (batch to
    reason) and, with arm correction, arm_basis and arms. `cross_fit` holds what was fitted without
    each fold of the controls; None where there are no folds. `shared` is the part fitted over all
    batches, None where no map is fitted (or version 0.1 has stored the alignment).
    """

    corrections: Mapping[str, Correction]
    attributes: dict[str, Any] = field(default_factory=dict)
    cross_fit: CrossFit | None = None
    shared: SharedPart | None = None

    @property
    def num_components(self) -> int:
        """Width of the aligned vectors."""
        return int(self.attributes["num_components"])

    def align(self, experiment: str, x: Floats) -> NDArray[np.float32]:
        """Return the aligned vectors (N, K) of all wells of one experiment, in
        wells-table order.
        """
        self._check(experiment, x)
        return self.corrections[experiment](x, self.num_components)

    def hold_out(
        self, experiment: str, fold: int, x: Floats, *, own_positions: bool = False
    ) -> HeldOut:
        """Return all wells of one experiment under the maps fitted without one fold.

        `own_positions` is that of CrossFit.read.
        """
        cross_fit = self._cross_fit()
        if not 0 <= fold < cross_fit.num_folds:
            raise DataError(
                f"alignment: there is no fold {fold}. Expected 0 to {cross_fit.num_folds - 1}."
            )
        self._check(experiment, x)
        correction = self.corrections[experiment]
        return cross_fit.read(experiment, fold, x, correction, own_positions=own_positions)

    def held_out_controls(self, experiment: str) -> HeldOutControls:
        """Return the control vectors of one experiment, each from its own fold's map."""
        return self._cross_fit().controls[experiment]

    def _cross_fit(self) -> CrossFit:
        if self.cross_fit is None:
            raise DataError(
                "alignment: no map was fitted without some of the controls, so nothing can be "
                "compared with them.\n"
                "  To fix: set alignment.folds to 2 or more, and run the alignment again."
            )
        return self.cross_fit

    def _check(self, experiment: str, x: Floats) -> None:
        if experiment not in self.corrections:
            raise DataError(
                f'alignment: experiment "{experiment}" was not fitted.\n'
                "  To fix: run the alignment again; the screen has changed since."
            )
        expected = int(self.attributes["num_features"])
        if x.ndim != 2 or x.shape[1] != expected:
            raise DataError(
                f'alignment: embeddings of experiment "{experiment}" have the shape {x.shape}. '
                f"Expected {expected} features, as when it was fitted."
            )

    def of(self, reader: EmbeddingsReader) -> AlignedEmbeddings:
        """Return a reader that aligns what `reader` gives."""
        return AlignedEmbeddings(reader, self)

    def with_arms(
        self, arms: Mapping[str, ArmCorrection], attributes: Mapping[str, Any]
    ) -> Alignment:
        """Return the same alignment with chromosome-arm corrections added."""
        corrections = {
            name: replace(correction, arm=arms.get(name))
            for name, correction in self.corrections.items()
        }
        return replace(self, corrections=corrections, attributes={**self.attributes, **attributes})


@dataclass(frozen=True)
class AlignedEmbeddings:
    """Embeddings with the alignment applied on reading; the members of any embeddings reader."""

    source: EmbeddingsReader
    alignment: Alignment

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments, sorted."""
        return list(self.source.experiments)

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the embeddings, with those of the alignment under `alignment`."""
        return {**self.source.attributes, "alignment": self.alignment.attributes}

    def read(self, experiment: str) -> NDArray[np.float32]:
        """Return the aligned vectors (N, K); NaN for failed wells and skipped experiments."""
        return self.alignment.align(experiment, self.source.read(experiment))

    @property
    def num_folds(self) -> int:
        """Number of folds; 0 where none were fitted, 1 where nothing is fitted on controls."""
        cross_fit = self.alignment.cross_fit
        return 0 if cross_fit is None else cross_fit.num_folds

    def held_out_controls(self, experiment: str) -> HeldOutControls:
        """Return the stored control vectors of one experiment, each from its own fold's map.

        Raises
        ------
        DataError
            The alignment has no folds.
        """
        return self.alignment.held_out_controls(experiment)

    def read_held_out(self, experiment: str, fold: int) -> HeldOut:
        """Return all wells of one experiment under the maps fitted without one fold.

        Raises
        ------
        DataError
            The alignment has no folds, or no such fold.
        """
        return self.alignment.hold_out(experiment, fold, self.source.read(experiment))

    def read_sets(self, experiment: str, fold: int) -> HeldOut:
        """Return the same for sets of control wells, whose positions are corrected as others' are.

        Where effects of positions are removed, few controls of a row are left without a fold, and
        controls would keep more of their effect than other wells do. So these effects are fitted on
        all controls here, and those of a control of the fold on all but itself. Sets of controls
        can be compared with sets of treatments, single wells cannot.
        """
        x = self.source.read(experiment)
        return self.alignment.hold_out(experiment, fold, x, own_positions=True)

    def read_all(self) -> NDArray[np.float32]:
        """Return the aligned vectors of the whole screen (N, K), experiments in order."""
        return np.concatenate([self.read(experiment) for experiment in self.experiments])
