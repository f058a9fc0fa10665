"""Draw the vectors of a simulated screen: correlated well noise, nuisance effects and effects."""

# N wells · D features · F factors

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator
from phenoprints.wells import edge_distance, single_condition

Floats = NDArray[np.float32]

FACTOR_SHARE = 0.7
"""Share of the variance of a well that lies in the correlated factors."""

RING_DECAY = 1.5
"""Wells from the edge over which the effect of the edge falls to 1/e."""


@dataclass(frozen=True)
class Noise:
    """A normal distribution of well vectors with a covariance of low rank plus a diagonal.

    `loadings` (F, D) and `sd` (D,): a draw is f @ loadings + sd · e with standard normal f, e. The
    mean variance of a feature is 1. `degrees` of freedom make it a multivariate t distribution of
    the same covariance, whose wells differ in length; None keeps it normal.
    """

    loadings: Floats
    sd: Floats
    degrees: float | None = None

    @classmethod
    def of(
        cls,
        features: int,
        seed: int,
        degrees: float | None = None,
        *,
        factor_share: float = FACTOR_SHARE,
    ) -> Noise:
        """Draw a covariance: max(4, D/8) factors of decaying strength, unequal feature variances.

        `factor_share` (0 to below 1) of the mean variance lies in the factors, 0 leaves features
        uncorrelated. `degrees` must exceed 2, or be None.
        """
        rng = generator(seed, "simulation", "noise", features)
        num_factors = min(features, max(4, features // 8))
        strength = np.arange(1, num_factors + 1) ** -0.5
        loadings = strength[:, None] * rng.standard_normal((num_factors, features))
        loadings *= np.sqrt(factor_share * features / np.square(loadings).sum())
        variance = rng.gamma(4.0, size=features)
        variance *= (1.0 - factor_share) / variance.mean()
        return cls(loadings.astype(np.float32), np.sqrt(variance).astype(np.float32), degrees)

    def covariance(self) -> NDArray[np.float64]:
        """Return the covariance (D, D) of a draw."""
        loadings = self.loadings.astype(np.float64)
        return loadings.T @ loadings + np.diag(self.sd.astype(np.float64) ** 2)

    def draw(self, rng: np.random.Generator, count: int, *, is_normal: bool = False) -> Floats:
        """Draw `count` vectors (count, D); `is_normal` ignores `degrees`."""
        factors = rng.standard_normal((count, len(self.loadings)), dtype=np.float32)
        x = factors @ self.loadings
        x += self.sd * rng.standard_normal(x.shape, dtype=np.float32)
        if self.degrees is not None and not is_normal:
            scale = np.sqrt((self.degrees - 2.0) / rng.chisquare(self.degrees, count))
            x *= scale.astype(np.float32)[:, None]
        return x


@dataclass(frozen=True, kw_only=True)
class VectorEffects:
    """Lengths of the effects, in units of the length of the well noise (0: absent).

    Every effect is a draw of the normal noise distribution, times its length: one per experiment
    (`batch`), per plate (`plate`), per screen for its `edge` (falling off inwards), per `row`,
    per `column` and per position (`position`) of all plates. The share `active` of the conditions,
    the first ones, has an effect of the length `effect` each.
    """

    batch: float = 1.0
    plate: float = 0.0
    edge: float = 0.0
    row: float = 0.0
    column: float = 0.0
    position: float = 0.0
    active: float = 0.0
    effect: float = 0.0


@dataclass(frozen=True)
class SimulatedVectors:
    """The vectors of a screen as a reader of embeddings.

    `vectors` (N, D) in the order of `wells`; `attributes` is empty.
    """

    wells: pd.DataFrame
    vectors: Floats
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments, sorted."""
        return sorted(self.wells["experiment"].unique())

    def read(self, experiment: str) -> Floats:
        """Return the vectors of one experiment's wells, in the order of the wells table."""
        return self.vectors[(self.wells["experiment"] == experiment).to_numpy()]


def draw_vectors(
    wells: pd.DataFrame, noise: Noise, effects: VectorEffects, *, seed: int, item: str = ""
) -> SimulatedVectors:
    """Draw the vectors of all wells.

    Parameters
    ----------
    wells
        A wells table, as from `lay_out`; any table of that contract will do.
    noise
        Distribution of the well noise; effects are drawn from its normal form.
    effects
        Lengths of the effects.
    seed, item
        Key of the random stream; two judges of the same wells have different items.

    Returns
    -------
    SimulatedVectors
        float32 vectors.
    """
    rng = generator(seed, "simulation", "vectors", item)
    x = noise.draw(rng, len(wells))
    for length, codes in _levels(wells, effects):
        if length:
            levels = noise.draw(rng, int(codes.max(initial=-1)) + 1, is_normal=True)
            levels *= np.float32(length)
            x[codes >= 0] += levels[codes[codes >= 0]]
    if effects.edge:
        ring = np.exp(-edge_distance(wells) / RING_DECAY).astype(np.float32)
        x += ring[:, None] * noise.draw(rng, 1, is_normal=True) * np.float32(effects.edge)
    return SimulatedVectors(wells, x)


def _levels(wells: pd.DataFrame, effects: VectorEffects) -> list[tuple[float, NDArray[np.int64]]]:
    """Return the length of each kind of effect, and the level (-1: none) of every well."""
    keys = {
        "batch": ["experiment"], "plate": ["experiment", "plate"], "row": ["row"],
        "column": ["column"], "position": ["row", "column"],
    }  # fmt: skip
    levels = [
        (getattr(effects, name), wells.groupby(by, sort=True).ngroup().to_numpy())
        for name, by in keys.items()
    ]
    condition = single_condition(wells["conditions"])
    num_active = round(effects.active * (condition.max(initial=-1) + 1))
    return [*levels, (effects.effect, np.where(condition < num_active, condition, -1))]
