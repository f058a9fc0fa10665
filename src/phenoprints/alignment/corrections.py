"""What an alignment does to each experiment: affine map, then position, then chromosome arm."""

# N wells · D features · K components · A arms

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Affine, Floats
from phenoprints.alignment.positions import PositionEffects, Positions
from phenoprints.foundations.errors import DataError
from phenoprints.wells import EmbeddingsReader


@dataclass(frozen=True)
class PositionCorrection:
    """Effects of plate, row and column, and where the wells of the experiment stand."""

    at: Positions
    effects: PositionEffects


@dataclass(frozen=True)
class ArmCorrection:
    """The arm of each well's gene, (N,) with -1 for none, and the offset of each arm (A, K)."""

    codes: NDArray[np.int16]
    offsets: Floats


@dataclass(frozen=True)
class Correction:
    """All that is done to one experiment.

    `affines` has one map per batch of the experiment, None for a batch that was skipped; where
    there are several, `batch_of_well` (N,) says which is whose.
    """

    affines: tuple[Affine | None, ...]
    batch_of_well: NDArray[np.int16] | None = None
    position: PositionCorrection | None = None
    arm: ArmCorrection | None = None

    def __call__(self, x: Floats, num_components: int) -> NDArray[np.float32]:
        """The aligned vectors (N, K) in float32; NaN in skipped batches."""
        y = self._affine(np.asarray(x, np.float32), num_components)
        if self.position is not None:
            y -= self.position.effects.of_wells(self.position.at)
        if self.arm is not None:
            cut = self.arm.codes >= 0
            y[cut] -= self.arm.offsets[self.arm.codes[cut]]
        return y

    def _affine(self, x: NDArray[np.float32], num_components: int) -> NDArray[np.float32]:
        if self.batch_of_well is None and self.affines[0] is not None:
            whole: NDArray[np.float32] = self.affines[0](x).astype(np.float32, copy=False)
            return whole
        y = np.full((len(x), num_components), np.nan, np.float32)
        if self.batch_of_well is not None:
            for batch, affine in enumerate(self.affines):
                rows = np.flatnonzero(self.batch_of_well == batch)
                if affine is not None:
                    y[rows] = affine(x[rows])
        return y


@dataclass
class Alignment:
    """A fitted alignment: corrections by experiment, and `attributes` that say how it was made.

    `attributes` hold settings, controls, num_features, num_components, notes, skipped (batch to
    reason) and, with arm correction, arm_basis and arms.
    """

    corrections: Mapping[str, Correction]
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def num_components(self) -> int:
        """Width of the aligned vectors."""
        return int(self.attributes["num_components"])

    def align(self, experiment: str, x: Floats) -> NDArray[np.float32]:
        """The aligned vectors (N, K) of all wells of one experiment, in wells-table order."""
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
        return self.corrections[experiment](x, self.num_components)

    def of(self, reader: EmbeddingsReader) -> AlignedEmbeddings:
        """A reader that aligns what `reader` gives."""
        return AlignedEmbeddings(reader, self)

    def with_arms(
        self, arms: Mapping[str, ArmCorrection], attributes: Mapping[str, Any]
    ) -> Alignment:
        """The same alignment with chromosome-arm corrections added."""
        corrections = {
            name: replace(correction, arm=arms.get(name))
            for name, correction in self.corrections.items()
        }
        return Alignment(corrections, {**self.attributes, **attributes})


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
        """The aligned vectors (N, K); NaN for failed wells and skipped experiments."""
        return self.alignment.align(experiment, self.source.read(experiment))

    def read_all(self) -> NDArray[np.float32]:
        """The aligned vectors of the whole screen (N, K), experiments in order."""
        return np.concatenate([self.read(experiment) for experiment in self.experiments])
