"""The part of an alignment that all batches share: centre, scale, components, colour."""

# N wells · D features · K components

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.affine import Floats
from phenoprints.alignment.statistics import ControlStatistics
from phenoprints.foundations.errors import DataError

MIN_EIGENVALUE_RATIO = 1e-6
"""Principal components below this share of the largest eigenvalue are rounding, not variation."""

THIN = 0.75
"""Up to this many wells per dimension, a decomposition uses the products of the wells."""


@dataclass(frozen=True)
class SharedPart:
    """What is fitted over the controls of all batches, and never changes for a new batch.

    `centre` (D,) and `scale` (D,) standardise features; `matrix` (D, K) maps x - centre to
    principal components and contains 1/scale (None: no PCA). Of TVN alone, `colour` (K, K) is the
    root of the pooled covariance (current) and `spread` (K,) the pooled scale of the components
    (efaar-1.0). Everything is float64, so that a batch fitted later has the map it would have had.
    """

    centre: Floats
    scale: Floats
    matrix: Floats | None = None
    colour: Floats | None = None
    spread: Floats | None = None

    @property
    def num_components(self) -> int:
        """Width K of the aligned vectors."""
        return len(self.centre) if self.matrix is None else int(self.matrix.shape[1])

    def project(self, statistics: ControlStatistics) -> ControlStatistics:
        """Return a batch's statistics in the shared components."""
        if self.matrix is None:
            return replace(statistics, mean=statistics.mean - self.centre)
        return statistics.projected(self.centre, self.matrix)

    def project_rows(self, x: Floats, dtype: type[np.floating]) -> Floats:
        """Return rows x (N, D) in the shared components (N, K), computed in `dtype`."""
        centred = np.subtract(x, self.centre, dtype=dtype, casting="same_kind")
        return centred if self.matrix is None else centred @ self.matrix.astype(dtype, copy=False)

    def astype(self, dtype: type[np.floating]) -> SharedPart:
        """Return the same part with arrays of another precision."""
        return SharedPart.of_arrays({n: a.astype(dtype) for n, a in self.arrays().items()})

    def arrays(self) -> dict[str, Floats]:
        """Return the arrays that are not None, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in named.items() if array is not None}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Floats]) -> SharedPart:
        """Return the part that `arrays` describes."""
        return cls(
            arrays["centre"], arrays["scale"], *map(arrays.get, ("matrix", "colour", "spread"))
        )


def centred_features(total: ControlStatistics) -> SharedPart:
    """Return the shared part without PCA: only the mean over all controls is taken off."""
    return SharedPart(total.mean, np.ones(len(total.mean)))


def principal_components(
    total: ControlStatistics,
    *,
    standardize: bool,
    tolerance: float = MIN_EIGENVALUE_RATIO,
    max_components: int | None = None,
) -> SharedPart:
    """Return principal components of the controls, largest first.

    Each has its largest loading positive, as in scikit-learn's PCA. Components with an eigenvalue
    of at most `tolerance` of the largest are left out. Statistics that still hold the wells'
    deviations are decomposed by the wells' own products, which are fewer.

    Raises
    ------
    DataError
        The controls do not vary in any feature.
    """
    scale = total.scale() if standardize else np.ones(len(total.mean))
    values, vectors = _eigen(total, scale)
    if not values[0] > 0:
        raise DataError(
            "alignment: the controls do not vary in any feature, so nothing can be fitted.\n"
            "  To fix: check the embeddings, or choose other controls (alignment.controls)."
        )
    vectors = vectors[:, values > tolerance * values[0]][:, :max_components]
    largest = np.argmax(np.abs(vectors), axis=0)
    signs = np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    return SharedPart(total.mean, scale, vectors * signs / scale[:, None])


def _eigen(
    total: ControlStatistics, scale: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if total.deviations is None:
        values, vectors = np.linalg.eigh(total.covariance() / np.outer(scale, scale))
        return values[::-1], vectors[:, ::-1]
    deviations = total.deviations / scale
    values, left = np.linalg.eigh(deviations @ deviations.T / max(total.num_wells - 1, 1))
    values, left = values[::-1], left[:, ::-1]
    real = values > 0
    vectors = deviations.T @ left[:, real]
    return values[real], vectors / np.linalg.norm(vectors, axis=0)
