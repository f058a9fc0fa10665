"""Fit on control statistics: a part that all batches share, and one affine map per batch."""

# N wells · D features · K components

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from phenoprints.alignment.affine import Affine, Floats
from phenoprints.alignment.limits import DEFAULT_LIMITS, Limits
from phenoprints.alignment.shared import SharedPart, centred_features, principal_components
from phenoprints.alignment.statistics import ControlStatistics, merge

Dtype = type[np.floating[Any]]
T = TypeVar("T")
Projected = Iterator[tuple[str, ControlStatistics]]


@dataclass
class FittedMaps:
    """The shared part, the map of every batch, and what was noted while fitting.

    `total` are the statistics of all controls that the shared part was fitted on, None where it was
    fitted before and stays; `skipped` gives the reason of every
    batch without a map.
    """

    total: ControlStatistics | None
    shared: SharedPart
    affines: dict[str, Affine]
    num_controls: dict[str, int]
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class BatchPart(ABC):
    """What is fitted on the controls of one batch, given the shared part."""

    @abstractmethod
    def rows(self, projected: Floats) -> Floats:
        """Return rows in shared components (N, K) as this batch maps them, before the colour."""

    @abstractmethod
    def affine(self, shared: SharedPart, dtype: Dtype) -> Affine:
        """Return the map of the batch from features to vectors, in `dtype`, before the colour."""


@dataclass(frozen=True)
class Scaled(BatchPart):
    """Standardise components on the batch's controls: y = p · scale + offset."""

    scale: Floats
    offset: Floats

    @classmethod
    def of(cls, batch: ControlStatistics) -> Scaled:
        """Read mean and spread (ddof 0) off the batch's statistics in shared components."""
        scale = 1 / batch.scale()
        return cls(scale, -batch.mean * scale)

    def rows(self, projected: Floats) -> Floats:
        """Return the standardised rows."""
        dtype = projected.dtype
        return projected * self.scale.astype(dtype) + self.offset.astype(dtype)

    def affine(self, shared: SharedPart, dtype: Dtype) -> Affine:
        """Return the map with the shared matrix kept apart, since all batches have the same."""
        matrix = None if shared.matrix is None else shared.matrix.astype(dtype, copy=False)
        centre = shared.centre.astype(dtype, copy=False)
        return Affine(centre, matrix, self.scale.astype(dtype), self.offset.astype(dtype))


class Method(ABC):
    """A way of aligning: what is shared, and what each batch has for itself."""

    limits: Limits

    def fit(self, statistics: Mapping[str, ControlStatistics], dtype: Dtype) -> FittedMaps:
        """Fit to the statistics of each batch, which are asked for exactly twice, in order.

        `dtype` is that of the maps; all decompositions run in float64.
        """
        total, counts = _count(statistics, self.limits.min_controls)
        skipped, notes = self.limits.judge(counts)
        total = total.summed()
        shared = self.share(total)
        kept = [name for name in counts if name not in skipped]
        projected = ((name, shared.project(statistics[name])) for name in kept)
        ready = self.in_precision(shared, dtype)
        shared, white = self.fit_batches(
            shared, projected, dtype, lambda _, part: part.affine(ready, dtype)
        )
        colour = None if shared.colour is None else shared.colour.astype(dtype)
        affines = {name: white.pop(name).coloured(colour, dtype) for name in list(white)}
        return FittedMaps(total, shared, affines, counts, skipped, notes)

    def fit_frozen(
        self, statistics: Mapping[str, ControlStatistics], shared: SharedPart, dtype: Dtype
    ) -> FittedMaps:
        """Fit batches to a shared part that was fitted before, on other batches, and stays."""
        counts = {name: statistics[name].num_wells for name in statistics}
        skipped, notes = self.limits.judge(counts)
        kept = [name for name in counts if name not in skipped]
        affines = {name: self.fit_batch(shared, statistics[name], dtype) for name in kept}
        return FittedMaps(None, shared, affines, counts, skipped, notes)

    def fit_batch(self, shared: SharedPart, controls: ControlStatistics, dtype: Dtype) -> Affine:
        """Return the map of one batch under a shared part that was fitted before, unchanged."""
        part = self.batch_part(shared, shared.project(controls), dtype)
        return self.map_of(part, shared, dtype)

    def map_of(self, part: BatchPart, shared: SharedPart, dtype: Dtype) -> Affine:
        """Return the whole map of a batch."""
        white = part.affine(self.in_precision(shared, dtype), dtype)
        return white.coloured(shared.colour, dtype)

    def transform(self, x: Floats, shared: SharedPart, part: BatchPart, dtype: Dtype) -> Floats:
        """Return rows x (N, D) of one batch, mapped step by step where they are few."""
        if len(x) > x.shape[1]:
            return self.map_of(part, shared, dtype)(x)
        y = part.rows(shared.project_rows(x, dtype))
        return y if shared.colour is None else y @ shared.colour.astype(dtype, copy=False)

    def for_new_batches(self, reference_wells: int) -> Method:  # noqa: ARG002
        """Return the method for batches that are new to a stored shared part.

        Only TVN, which estimates a covariance of a batch, has another one; see place_experiments.
        """
        return self

    @abstractmethod
    def share(self, total: ControlStatistics) -> SharedPart:
        """Return what all batches share, as far as their raw controls determine it."""

    def batch_part(
        self,
        shared: SharedPart,  # noqa: ARG002
        projected: ControlStatistics,
        dtype: Dtype,  # noqa: ARG002
    ) -> BatchPart:
        """Fit one batch, from its controls' statistics in shared components."""
        return Scaled.of(projected)

    def fit_batches(
        self,
        shared: SharedPart,
        projected: Projected,
        dtype: Dtype,
        use: Callable[[str, BatchPart], T],
        *,
        only_inner: bool = False,  # noqa: ARG002
    ) -> tuple[SharedPart, dict[str, T]]:
        """Fit every batch; return the shared part with what pooling the batches adds to it.

        What `use` makes of each batch, by name and part, is kept; parts themselves are not.
        `only_inner`: only lengths and cosines of vectors are wanted, so that the faster form will
        do: the vectors may be rotated, and wells of many small batches are pooled in one product of
        `dtype`, which rounds otherwise.
        """
        return shared, self.each_batch(shared, projected, dtype, use)

    def each_batch(
        self,
        shared: SharedPart,
        projected: Projected,
        dtype: Dtype,
        use: Callable[[str, BatchPart], T],
    ) -> dict[str, T]:
        """Return what `use` makes of every batch, under a shared part that is complete."""
        return {name: use(name, self.batch_part(shared, of, dtype)) for name, of in projected}

    def in_precision(self, shared: SharedPart, dtype: Dtype) -> SharedPart:
        """Return the shared part as the maps of the batches use it."""
        return shared.astype(dtype)


@dataclass(frozen=True)
class CenterScaling(Method):
    """Standardise every feature per batch on that batch's controls (ddof 0)."""

    limits: Limits = DEFAULT_LIMITS

    def share(self, total: ControlStatistics) -> SharedPart:
        """Return the mean over all controls."""
        return centred_features(total)


@dataclass(frozen=True)
class PCACenterScaling(Method):
    """PCA fitted on all controls, then standardise per batch on that batch's controls."""

    standardize_first: bool = False
    limits: Limits = DEFAULT_LIMITS

    def share(self, total: ControlStatistics) -> SharedPart:
        """Return the principal components of all controls."""
        return principal_components(
            total,
            standardize=self.standardize_first,
            tolerance=self.limits.pca_tolerance,
            max_components=self.limits.max_components,
        )


def _count(
    statistics: Mapping[str, ControlStatistics], min_controls: int
) -> tuple[ControlStatistics, dict[str, int]]:
    """Yield the statistics of all batches that are large enough, and the controls of each batch."""
    counts: dict[str, int] = {}

    def parts() -> Iterator[ControlStatistics]:
        for name in statistics:
            batch = statistics[name]
            counts[name] = batch.num_wells
            if batch.num_wells >= min_controls:
                yield batch

    return merge(parts()), counts
