"""Which wells form a batch, and the vectors of its controls, one experiment in memory at a time."""

# N wells · M controls · D features

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment.statistics import ControlStatistics
from phenoprints.wells import EmbeddingsReader, check_reader, experiment_rows, read_checked


class Batches:
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
        """Return the vectors of one experiment; the last one read is kept for its other batches."""
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


class ControlVectors(Mapping[str, ControlStatistics]):
    """The control vectors of each batch, and their statistics.

    Statistics are computed anew whenever they are asked for; each experiment is read once.
    """

    def __init__(self, batches: Batches, is_control: NDArray[np.bool_]) -> None:
        self.batches = batches
        self.is_control = is_control
        self.places = batches.experiments_of()
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def rows(self, batch: str) -> NDArray[np.intp]:
        """Return the rows of a batch's controls among the wells of its experiment."""
        experiment, code = self.places[batch]
        chosen = self.is_control[self.batches.rows[experiment]]
        codes = self.batches.codes[experiment]
        return np.flatnonzero(chosen if codes is None else chosen & (codes == code))

    def vectors(self, batch: str) -> NDArray[np.float32]:
        """Return the vectors (M, D) of a batch's controls, as they were read."""
        if batch not in self._vectors:
            experiment, _ = self.places[batch]
            self._vectors[batch] = self.batches.read(experiment)[self.rows(batch)]
        return self._vectors[batch]

    def __getitem__(self, batch: str) -> ControlStatistics:
        return ControlStatistics.of_rows(self.vectors(batch))

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)
