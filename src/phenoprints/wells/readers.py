"""Embeddings beside a wells table: the reader protocol, and its rows checked against the wells."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phenoprints.foundations.errors import DataError, Problem, raise_problems

FIX = "delete the embeddings and compute them again"


class EmbeddingsReader(Protocol):
    """Embeddings of a screen by experiment, aligned or not."""

    @property
    def experiments(self) -> Sequence[str]:
        """Names of the experiments, sorted."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Encoder, block, pooling and whatever else was stored beside the numbers."""

    def read(self, experiment: str) -> NDArray[np.float32]:
        """Return the vectors (N, D) of an experiment, in wells-table order; failed wells NaN."""


class ArrayEmbeddings:
    """Embeddings held in memory, as an EmbeddingsReader.

    Parameters
    ----------
    wells
        The wells table, sorted by experiment, plate and well; only `experiment` is used.
    vectors
        (N, D), one row per well in the order of `wells`; NaN where a well has no vector.
    attributes
        What describes the vectors, such as the encoder's name.

    Raises
    ------
    DataError
        The number of rows differs, or `vectors` is not a matrix.
    """

    def __init__(
        self,
        wells: pd.DataFrame,
        vectors: ArrayLike,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.vectors = np.asarray(vectors, dtype=np.float32)
        if self.vectors.ndim != 2 or len(self.vectors) != len(wells):
            raise DataError(
                f"vectors: shape {self.vectors.shape} for {len(wells)} wells.\n"
                "  Expected one row per well, in the order of the wells table."
            )
        self.attributes = dict(attributes or {})
        self._rows = experiment_rows(wells)

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments, sorted."""
        return list(self._rows)

    def read(self, experiment: str) -> NDArray[np.float32]:
        """Return the vectors (N, D) of an experiment, in wells-table order."""
        return self.vectors[self._rows[experiment]]


def experiment_rows(wells: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    """Return the rows of each experiment in the wells table, ascending, by sorted name."""
    indices = wells.groupby("experiment", sort=True).indices
    return {str(name): np.sort(index) for name, index in indices.items()}


def check_reader(wells: pd.DataFrame, reader: EmbeddingsReader) -> None:
    """Refuse embeddings of other experiments than the wells', or of other wells in them.

    Well ids are compared where the reader's attributes hold their digest, as stores do. Raises
    DataError with every problem.
    """
    expected, got = set(wells["experiment"]), set(reader.experiments)
    problems = [
        Problem("embeddings", f'experiment "{e}" is missing', "as in the wells table", FIX)
        for e in sorted(expected - got)
    ] + [
        Problem("embeddings", f'experiment "{e}" is not in the wells table', "no other one", FIX)
        for e in sorted(got - expected)
    ]
    raise_problems([*problems, *_other_wells(wells, reader)], DataError)


def check_well_ids(wells: pd.DataFrame, reader: EmbeddingsReader) -> None:
    """Refuse embeddings of other wells than those of the table, in the experiments that both have.

    Only where the reader's attributes hold the digests of its well ids. Raises DataError.
    """
    if "well_id" in wells:
        raise_problems(_other_wells(wells, reader), DataError)


def _other_wells(wells: pd.DataFrame, reader: EmbeddingsReader) -> list[Problem]:
    stored = getattr(reader, "attributes", {}).get("experiments", {})
    if not stored:
        return []
    problems = []
    for experiment, ids in wells.groupby("experiment")["well_id"]:
        digest = stored.get(experiment, {}).get("well_ids_sha256")
        own = hashlib.sha256(ids.to_numpy("<u8").tobytes()).hexdigest()
        if digest is not None and digest != own:
            what = f'experiment "{experiment}" was embedded for other wells, or in another order'
            problems.append(Problem("embeddings", what, "the wells table's", FIX))
    return problems


def read_checked(reader: EmbeddingsReader, experiment: str, num_wells: int) -> NDArray[np.float32]:
    """Return the vectors of an experiment; DataError unless there is one row per well."""
    x = reader.read(experiment)
    if x.ndim != 2 or len(x) != num_wells:
        raise DataError(
            f'embeddings of experiment "{experiment}": shape {x.shape} for {num_wells} wells.\n'
            "  Expected one row per well, in the order of the wells table.\n"
            f"  To fix: {FIX}; check that both belong to the same screen."
        )
    return x
