"""Does the nearest neighbour of a treatment have its mechanism: 1-nearest-neighbour accuracy."""

# G treatments · K components

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import generator
from phenoprints.maps import unit_rows

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class NeighbourAccuracy:
    """Accuracy over `num_tested` treatments, and what random labels give (mean and sd)."""

    accuracy: float
    num_tested: int
    random: float
    random_sd: float


def mechanism_accuracy(
    vectors: Floats,
    mechanisms: Sequence[str],
    compounds: Sequence[str],
    *,
    batches: Sequence[Sequence[str]] | None = None,
    num_random: int = 20,
    seed: int = 0,
) -> NeighbourAccuracy:
    """Return the share of treatments whose nearest neighbour (cosine) has the same mechanism.

    Parameters
    ----------
    vectors
        One row per treatment (G, K), treatment means around the controls.
    mechanisms, compounds
        Of each treatment. The neighbour must be of another compound (Ljosa et al. 2013,
        doi:10.1177/1087057113503553); a treatment without mechanism ("") is neither asked nor
        answers.
    batches
        The experiments of each treatment. Given, the neighbour must also share none of them
        (Ando et al. 2017, doi:10.1101/161422).
    num_random
        Draws of random mechanisms: those of the compounds, permuted.

    Ties go to the earlier row. Treatments without any admissible neighbour are not tested.
    """
    known = np.asarray(mechanisms, dtype=object) != ""
    label = np.asarray(mechanisms, dtype=object)[known].astype(str)
    compound = np.asarray(compounds, dtype=object)[known].astype(str)
    own = None if batches is None else [batches[int(row)] for row in np.flatnonzero(known)]
    nearest = nearest_admissible(vectors[known], admissible(compound, own))
    tested = nearest >= 0
    if not tested.any():
        raise DataError("mechanism: no treatment has a neighbour of another compound (and batch).")
    hits = label[nearest[tested]] == label[tested]
    draws = _random_accuracies(label, compound, nearest, num_random, seed)
    return NeighbourAccuracy(
        float(hits.mean()), int(tested.sum()), float(draws.mean()), float(draws.std())
    )


def admissible(
    compound: NDArray[np.str_], batches: Sequence[Sequence[str]] | None = None
) -> NDArray[np.bool_]:
    """Which treatment (column) may answer for which (row): other compound, and no shared batch."""
    allowed: NDArray[np.bool_] = compound[:, None] != compound[None]
    if batches is not None:
        names = sorted({name for own in batches for name in own})
        member = np.zeros((len(batches), len(names)), dtype=np.float32)
        for row, own in enumerate(batches):
            member[row, np.searchsorted(names, list(own))] = 1
        allowed &= (member @ member.T) == 0
    return allowed


def nearest_admissible(vectors: Floats, allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the nearest admissible row of each row by cosine; -1 where none is admissible."""
    unit = unit_rows(np.asarray(vectors, np.float64))
    cosines = np.where(allowed, unit @ unit.T, -np.inf)
    cosines = np.nan_to_num(cosines, nan=-np.inf, neginf=-np.inf)
    nearest = cosines.argmax(axis=1)
    has_any = np.isfinite(cosines.max(axis=1, initial=-np.inf))
    return np.where(has_any, nearest, -1)


def _random_accuracies(
    label: NDArray[np.str_],
    compound: NDArray[np.str_],
    nearest: NDArray[np.intp],
    num_random: int,
    seed: int,
) -> NDArray[np.float64]:
    """Accuracies when whole compounds exchange their mechanisms."""
    names, first, code = np.unique(compound, return_index=True, return_inverse=True)
    tested = np.flatnonzero(nearest >= 0)
    rng = generator(seed, "benchmarks", "mechanism")
    draws = np.empty(num_random)
    for draw in range(num_random):
        shuffled = label[first][rng.permutation(len(names))][code]
        draws[draw] = (shuffled[nearest[tested]] == shuffled[tested]).mean()
    return draws


def confusion(vectors: Floats, mechanisms: Sequence[str], compounds: Sequence[str]) -> pd.DataFrame:
    """Count mechanisms (rows) by the mechanism of the nearest other compound (columns)."""
    label = np.asarray(mechanisms, dtype=object).astype(str)
    nearest = nearest_admissible(vectors, admissible(np.asarray(compounds, dtype=str)))
    tested = nearest >= 0
    return pd.crosstab(
        pd.Series(label[tested], name="mechanism"),
        pd.Series(label[nearest[tested]], name="nearest"),
    )
