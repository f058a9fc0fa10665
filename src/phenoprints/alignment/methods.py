"""Batch correction on controls: what all methods share, PCA with centre-scaling, centre-scaling."""

# N wells · D features · K components

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phenoprints.alignment.affine import Affine, Floats
from phenoprints.alignment.statistics import ControlStatistics, merge
from phenoprints.foundations.errors import DataError, Problem, raise_problems
from phenoprints.wells import MIN_CONTROLS

FEW_CONTROLS = 16
"""Fewer control wells than this are noted."""

MIN_EIGENVALUE_RATIO = 1e-6
"""Principal components below this share of the largest eigenvalue are rounding, not variation."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a batch needs, and what a component needs to count.

    `small_batches` is `error` or `skip`; `max_components` None keeps all components with an
    eigenvalue above `pca_tolerance` of the largest.
    """

    small_batches: str = "error"
    min_controls: int = MIN_CONTROLS
    warn_controls: int = FEW_CONTROLS
    pca_tolerance: float = MIN_EIGENVALUE_RATIO
    max_components: int | None = None


@dataclass(frozen=True)
class Components:
    """What all batches share: (x - centre) @ matrix is standardised, whitened or left as it is."""

    centre: NDArray[np.float64]
    matrix: NDArray[np.float64] | None

    def project(self, statistics: ControlStatistics) -> ControlStatistics:
        """A batch's statistics in the shared components."""
        if self.matrix is None:
            return replace(statistics, mean=statistics.mean - self.centre)
        return statistics.projected(self.centre, self.matrix)


class ControlAlignment(ABC):
    """Fit on controls, one affine map per batch; scikit-learn's fit, transform, fit_transform.

    After fitting: `affines_` (batch to Affine), `skipped_` (batch to reason), `notes_` (warnings),
    `num_features_`, `num_components_`.
    """

    limits: Limits

    def fit(self, x: Floats, is_control: ArrayLike, batch: ArrayLike) -> Self:
        """Learn from the control rows of x (N, D).

        Rows with a value that is not finite are left out. A batch with fewer than 4 control wells
        is an error that names it, or is skipped where `limits.small_batches` is "skip".
        """
        x, controls = np.asarray(x), np.asarray(is_control, dtype=bool)
        names, codes = _named_batches(batch)
        _check_lengths(x, controls, codes)
        statistics = {
            name: ControlStatistics.of_rows(x[controls & (codes == code)])
            for code, name in enumerate(names)
        }
        dtype = np.float32 if x.dtype == np.float32 else np.float64
        return self.fit_statistics(statistics, dtype)

    def fit_statistics(
        self,
        statistics: Mapping[str, ControlStatistics],
        dtype: type[np.floating[Any]] = np.float64,
    ) -> Self:
        """Learn from the statistics of each batch, which are asked for exactly twice, in order.

        `dtype` is that of the maps; all decompositions run in float64.
        """
        total, counts = _count(statistics, self.limits.min_controls)
        self.num_features_ = len(total.mean)
        self.num_controls_ = counts
        self.skipped_, self.notes_ = _judge_counts(counts, self.limits)
        kept = [name for name in counts if name not in self.skipped_]
        if not kept:
            raise DataError(
                f"alignment: no batch has {self.limits.min_controls} control wells, so there is "
                "nothing to fit.\n"
                "  To fix: choose other controls (alignment.controls)."
            )
        shared = self._share(total)
        projected = ((name, shared.project(statistics[name])) for name in kept)
        self.affines_ = dict(self._maps(shared, projected, dtype))
        self.num_components_ = next(iter(self.affines_.values())).num_components
        return self

    def transform(self, x: Floats, batch: ArrayLike) -> Floats:
        """The aligned rows (N, K), float32 for float32; rows of skipped batches are NaN."""
        x = np.asarray(x)
        names, codes = _named_batches(batch)
        self._check_known(names)
        dtype = np.float32 if x.dtype == np.float32 else np.float64
        y = np.empty((len(x), self.num_components_), dtype)
        for code, name in enumerate(names):
            rows = _rows(codes == code)
            affine = self.affines_.get(name)
            if affine is None:
                y[rows] = np.nan
            elif isinstance(rows, slice):
                affine.write(x[rows], y[rows])
            else:
                y[rows] = affine(x[rows])
        return y

    def fit_transform(self, x: Floats, is_control: ArrayLike, batch: ArrayLike) -> Floats:
        """Fit, then transform the same rows."""
        return self.fit(x, is_control, batch).transform(x, batch)

    @abstractmethod
    def _share(self, total: ControlStatistics) -> Components:
        """What all batches share, from the controls of all batches together."""

    def _maps(
        self,
        shared: Components,
        projected: Iterator[tuple[str, ControlStatistics]],
        dtype: type[np.floating[Any]],
    ) -> Iterator[tuple[str, Affine]]:
        """Centre and scale each batch on its own controls: the form that most methods end with."""
        centre, matrix = shared.centre.astype(dtype), None
        if shared.matrix is not None:
            matrix = shared.matrix.astype(dtype)
        for name, batch in projected:
            scale = 1 / batch.scale()
            offset = -batch.mean * scale
            yield name, Affine(centre, matrix, scale.astype(dtype), offset.astype(dtype))

    def _check_known(self, names: Sequence[str]) -> None:
        known = self.affines_.keys() | self.skipped_.keys()
        raise_problems(
            [
                Problem("alignment", f'batch "{name}" was not fitted', "a batch seen by fit")
                for name in names
                if name not in known
            ],
            DataError,
        )


DEFAULT_LIMITS = Limits()


@dataclass
class CenterScale(ControlAlignment):
    """Standardise every feature per batch on that batch's controls (ddof 0)."""

    limits: Limits = DEFAULT_LIMITS

    def _share(self, total: ControlStatistics) -> Components:
        return Components(total.mean, None)


@dataclass
class PCACenterScale(ControlAlignment):
    """PCA fitted on all controls, then standardise per batch on that batch's controls.

    Components with an eigenvalue above 1e-6 of the largest are kept. `standardize_first` divides
    the features by their spread over all controls beforehand, as profiles of many units need.
    Source: EFAAR_benchmarking, `pca_centerscale_on_controls` (RxRx3-core).
    """

    standardize_first: bool = False
    limits: Limits = DEFAULT_LIMITS

    def _share(self, total: ControlStatistics) -> Components:
        return principal_components(total, self.limits, standardize=self.standardize_first)


def principal_components(
    total: ControlStatistics, limits: Limits, *, standardize: bool
) -> Components:
    """Principal components of the controls, largest first, each with its largest loading positive.

    The sign is that of scikit-learn's PCA.
    """
    scale = total.scale() if standardize else np.ones(len(total.mean))
    values, vectors = np.linalg.eigh(total.covariance() / np.outer(scale, scale))
    values, vectors = values[::-1], vectors[:, ::-1]
    if not values[0] > 0:
        raise DataError(
            "alignment: the controls do not vary in any feature, so nothing can be fitted.\n"
            "  To fix: check the embeddings, or choose other controls (alignment.controls)."
        )
    vectors = vectors[:, values > limits.pca_tolerance * values[0]][:, : limits.max_components]
    largest = np.argmax(np.abs(vectors), axis=0)
    signs = np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    return Components(total.mean, vectors * signs / scale[:, None])


def _count(
    statistics: Mapping[str, ControlStatistics], min_controls: int
) -> tuple[ControlStatistics, dict[str, int]]:
    """The statistics of all batches that are large enough, and the controls of each batch."""
    counts: dict[str, int] = {}

    def parts() -> Iterator[ControlStatistics]:
        for name in statistics:
            batch = statistics[name]
            counts[name] = batch.num_wells
            if batch.num_wells >= min_controls:
                yield batch

    return merge(parts()), counts


def _judge_counts(counts: Mapping[str, int], limits: Limits) -> tuple[dict[str, str], list[str]]:
    small = {name: count for name, count in counts.items() if count < limits.min_controls}
    if limits.small_batches == "error":
        raise_problems(
            [
                Problem(
                    f'alignment, batch "{name}"',
                    f"{count} usable control wells",
                    f"at least {limits.min_controls}",
                    "choose other controls (alignment.controls), or leave such batches out with "
                    "alignment.small_batches: skip",
                )
                for name, count in small.items()
            ],
            DataError,
        )
    few = limits.warn_controls
    notes = [
        f'batch "{name}": {count} control wells; fewer than {few} make its map uncertain'
        for name, count in counts.items()
        if limits.min_controls <= count < few
    ]
    return {name: f"too_few_controls ({count})" for name, count in small.items()}, notes


def _named_batches(batch: ArrayLike) -> tuple[list[str], NDArray[np.intp]]:
    """The names of the batches, sorted, and the number of each well's batch among them."""
    raw, values = pd.factorize(np.asarray(batch))
    names, of_value = np.unique(np.asarray(values).astype(str), return_inverse=True)
    return names.tolist(), of_value[raw]


def _rows(chosen: NDArray[np.bool_]) -> NDArray[np.intp] | slice:
    """The numbers of the chosen rows, as a slice where they stand together: no copy is made."""
    rows = np.flatnonzero(chosen)
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _check_lengths(x: Floats, is_control: NDArray[np.bool_], batch: NDArray[np.intp]) -> None:
    if x.ndim != 2 or not len(x) == len(is_control) == len(batch):
        raise DataError(
            f"alignment: x has shape {x.shape}, is_control {len(is_control)} and batch "
            f"{len(batch)} entries. Expected (wells, features) and one entry per well."
        )
