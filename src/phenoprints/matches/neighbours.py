"""The reference perturbations nearest to each condition, with calibrated p- and q-values."""

# N wells · K components · G references · S null sets · n wells of a set · R neighbours

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from phenoprints.consistency import Design
from phenoprints.consistency.nulls import NullSets, null_sets
from phenoprints.consistency.pool import Pool
from phenoprints.consistency.sample import Sample
from phenoprints.consistency.settings import STRATA
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import generator
from phenoprints.matches.settings import MatchSettings

BLOCK = 1 << 23
"""Cosines held at a time: 32 MB."""

TIE = 1e-6
"""Cosines in float32 closer than this count as equal, against the condition."""

LARGEST = 1 - 1e-7
"""Cosines beyond this have no finite artanh in float32."""

MIN_SETS = 100
"""Null sets below which a p-value of 0.01 cannot be reached."""

COLUMNS = (
    "condition", "num_wells", "rank", "reference", "cosine", "low", "high", "p_value", "q_value",
    "smallest_p", "num_sets", "reason",
)  # fmt: skip


def calibrated_neighbours(
    x: ArrayLike,
    condition: ArrayLike,
    references: ArrayLike,
    design: Design | None = None,
    *,
    own: ArrayLike | None = None,
    settings: MatchSettings | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Find the nearest references of each condition, and test how near they are.

    A condition is the sum of the unit vectors of its wells, and is compared by cosine. The null
    are random sets of as many wells, of different groups and in the strata of the condition (its
    plates), without the condition's own group; of each set the *largest* cosine with any reference
    counts, so that the number of references does not matter. p = (b + 1)/(S + 1), where b of the S
    sets reach the observed cosine; neighbours of all ranks are compared with the same null, so p
    never decreases with the rank.

    Parameters
    ----------
    x : (N, K) float
        Aligned wells around the origin of the map.
    condition : (N,)
        Condition of each well; a missing value is a well that is only drawn from.
    references : (G, K) float
        Vectors of the perturbations of the map; one that is not finite or has length 0 is nobody's
        neighbour.
    design : Design, optional
        Well ids, groups, plates, … of the wells, as for experiment_consistency. Wells without a
        group are never drawn.
    own : (N,) int, optional
        The reference that each well is itself part of, -1 for none: it is neither a neighbour of
        the well's condition, nor one of a null set that contains the well. Needed where a map is
        compared with itself.
    settings : MatchSettings, optional
        `null_model`, `num_null`, `num_neighbours` and `num_resamples` are used.
    seed : int
        Key of the random streams, with the name of the experiment.

    Returns
    -------
    DataFrame
        condition, num_wells, rank (from 1), reference (row of `references`), cosine, low and high
        (95 % interval of the cosine of as many wells, by resampling), p_value, q_value, smallest_p,
        num_sets (null sets that do not hold the condition) and reason; rows by condition, sorted,
        and rank. Ties of cosines go to the earlier reference. q_value is that of Benjamini and
        Hochberg over the conditions at rank 1, and the same function of p at other ranks. p and q
        are NaN where reason is ``too_few_wells`` (one well), ``too_few_conditions`` (no null set)
        or ``too_few_sets`` (under a null of plates, fewer than 100). A condition without a
        direction (``zero_vector``, ``not_finite``) or without a reference but its own
        (``no_reference``) has one row of rank 0 and reference -1.

    Raises
    ------
    DataError
        Arrays that differ in length or width, or an array that the null needs is absent.
    """
    settings = settings or MatchSettings()
    design = design or Design()
    sample = Sample.of(x, condition, design, settings.null_model)
    usable, unit, own_rows = _checked(sample, references, own, design)
    search = _Search(sample, unit, own_rows, settings, seed, design.name)
    tables = [search.rows_of(test) for test in search.tests()]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    is_found = table["reference"] >= 0
    table.loc[is_found, "reference"] = usable[table.loc[is_found, "reference"].astype(np.intp)]
    table["q_value"] = q_values(table["p_value"], table["rank"] == 1)
    return table.sort_values(["condition", "rank"], kind="stable", ignore_index=True)[list(COLUMNS)]


class Test(NamedTuple):
    """A condition: its code, the rows of its wells, why it is not tested, and its null."""

    code: int
    rows: NDArray[np.int64]
    reason: str
    null: Null | None


@dataclass(frozen=True)
class Null:
    """Null sets, with the two largest cosines of each and the reference of the largest."""

    sets: NullSets
    groups: NDArray[np.int64]
    largest: NDArray[np.float32]
    nearest: NDArray[np.intp]
    second: NDArray[np.float32]

    def without(
        self, groups: NDArray[np.int64], own: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the largest cosines of the sets without these groups, own references left out."""
        kept = ~np.isin(self.groups, groups).any(axis=1)
        largest = np.where(np.isin(self.nearest, own), self.second, self.largest)
        return largest[kept], self.sets.weights[kept]


@dataclass(frozen=True)
class _Search:
    """The wells of one call, and what is sought for them."""

    sample: Sample
    unit: NDArray[np.float32]
    own: NDArray[np.int64]
    settings: MatchSettings
    seed: int
    name: str

    def tests(self) -> list[Test]:
        """Return the conditions, those of one composition after each other with one null."""
        rows, offsets = self.sample.members()
        pool = Pool.of(self.sample.group, self.sample.stratum)
        nulls: dict[bytes, Null | None] = {}
        tests = []
        for code in range(len(self.sample.names)):
            members = rows[offsets[code] : offsets[code + 1]]
            reason, null = _reason(self.sample, members), None
            if not reason:
                composition = np.sort(self.sample.stratum[members])
                key = composition.tobytes()
                if key not in nulls:
                    nulls[key] = self._null(pool, composition)
                null = nulls[key]
                reason = "" if null else "too_few_conditions"
            tests.append(Test(code, members, reason, null))
        return tests

    def _null(self, pool: Pool, composition: NDArray[np.int64]) -> Null | None:
        stream = generator(self.seed, "matches", self.name, composition.tolist())
        sets = null_sets(pool, composition, self.settings.num_null, stream)
        if sets is None:
            return None
        step = max(1, BLOCK // max(len(self.unit), composition.size * self.unit.shape[1]))
        starts = range(0, len(sets.rows), step)
        parts = [self._two_largest(sets.rows[start : start + step]) for start in starts]
        largest, nearest, second = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Null(sets, self.sample.group[sets.rows], largest, nearest, second)

    def _two_largest(
        self, sets: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float32]]:
        wells = self.sample.vectors.units(sets.ravel()).reshape(*sets.shape, -1)
        cosines = _unit(wells.sum(axis=1)) @ self.unit.T
        lines = np.arange(len(sets))
        for column in self.own[sets].T:
            cosines[lines[column >= 0], column[column >= 0]] = -np.inf
        nearest = cosines.argmax(axis=1)
        largest = cosines[lines, nearest]
        cosines[lines, nearest] = -np.inf
        return largest, nearest, cosines.max(axis=1)

    def rows_of(self, test: Test) -> pd.DataFrame:
        """Return the rows of one condition."""
        name, num_wells = self.sample.names[test.code], len(test.rows)
        about = {"condition": [name], "num_wells": num_wells, "num_sets": 0.0, "smallest_p": np.nan}
        if test.reason in ("zero_vector", "not_finite"):
            return _without_neighbours(about, test.reason)
        wells = self.sample.vectors.units(test.rows)
        cosines = (_unit(wells.sum(axis=0)[None]) @ self.unit.T)[0]
        own = np.unique(self.own[test.rows])
        cosines[own[own >= 0]] = -np.inf
        nearest = np.argsort(-cosines, kind="stable")[: self.settings.num_neighbours]
        nearest = nearest[np.isfinite(cosines[nearest])]
        if not len(nearest):
            return _without_neighbours(about, "no_reference")
        low, high = self._interval(name, wells, self.unit[nearest])
        p_value, reason = np.full(len(nearest), np.nan), test.reason
        if test.null is not None:
            null, weights = test.null.without(np.unique(self.sample.group[test.rows]), own)
            about |= {"num_sets": float(len(null)), "smallest_p": 1 / (weights.sum() + 1)}
            p_value = _p_values(cosines[nearest], null, weights)
            reason = self._too_few(weights)
        if reason:
            p_value[:] = np.nan
        return pd.DataFrame(
            {
                **about,
                "condition": [name] * len(nearest),
                "rank": np.arange(1, len(nearest) + 1),
                "reference": nearest,
                "cosine": cosines[nearest].astype(np.float64),
                "low": low,
                "high": high,
                "p_value": p_value,
                "reason": reason,
            }
        )

    def _too_few(self, weights: NDArray[np.float64]) -> str:
        if not len(weights):
            return "too_few_conditions"
        effective = weights.sum() ** 2 / (weights**2).sum()
        return "too_few_sets" if self.settings.null_model in STRATA and effective < MIN_SETS else ""

    def _interval(
        self, name: object, wells: NDArray[np.float32], neighbours: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return z ± t standard deviations of resampled wells, z = artanh of the cosine.

        t is Student's 97.5 % point with n - 1 degrees of freedom. Resampled sums are noisier than
        the sum itself and so less similar, which is why only their spread is used.
        """
        size = len(wells)
        if size < 2:
            return np.full(len(neighbours), np.nan), np.full(len(neighbours), np.nan)
        stream = generator(self.seed, "matches", "interval", self.name, str(name))
        counts = stream.multinomial(size, np.full(size, 1 / size), self.settings.num_resamples)
        products, projected = wells @ wells.T, wells @ neighbours.T
        spread = _fisher(counts, products, projected).std(axis=0) * np.sqrt(size / (size - 1))
        z = _fisher(np.ones((1, size)), products, projected)[0]
        reach = student.ppf(0.975, size - 1) * spread
        return np.tanh(z - reach), np.tanh(z + reach)


def _fisher(
    counts: NDArray[np.number], products: NDArray[np.floating], projected: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return artanh of the cosines (B, R) of sums of wells that are taken `counts` (B, n) times."""
    squares = np.einsum("bi,ij,bj->b", counts, products, counts, optimize=True)
    lengths = np.sqrt(np.maximum(squares, np.finfo(np.float32).tiny))
    cosines = counts @ projected / lengths[:, None]
    z: NDArray[np.float64] = np.arctanh(np.clip(cosines, -LARGEST, LARGEST))
    return z


def _without_neighbours(about: dict[str, object], reason: str) -> pd.DataFrame:
    nothing = dict.fromkeys(("cosine", "low", "high", "p_value"), np.nan)
    return pd.DataFrame({**about, "rank": 0, "reference": -1, **nothing, "reason": reason})


def _checked(
    sample: Sample, references: ArrayLike, own: ArrayLike | None, design: Design
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int64]]:
    """Return which references have a direction, these, and `own` among them by well_id."""
    vectors, num_wells = np.asarray(references, np.float32), len(sample.vectors.x)
    if vectors.ndim != 2 or vectors.shape[1] != sample.vectors.x.shape[1] or not len(vectors):
        raise DataError(
            f"references: shape {vectors.shape} for wells of {sample.vectors.x.shape[1]} "
            "components. Expected one or more rows with as many components."
        )
    rows = np.full(num_wells, -1) if own is None else np.asarray(own)
    if rows.shape != (num_wells,) or (
        num_wells and not -1 <= rows.min() <= rows.max() < len(vectors)
    ):
        raise DataError(
            f"own: shape {rows.shape} for {num_wells} wells. Expected a row of references per "
            "well, or -1."
        )
    if design.well_id is not None:
        rows = rows[np.argsort(np.asarray(design.well_id), kind="stable")]
    length = np.sqrt(np.einsum("gk,gk->g", vectors, vectors, dtype=np.float64))
    usable = np.flatnonzero(np.isfinite(length) & (length > 0))
    if not len(usable):
        raise DataError("references: none has a direction, so nothing can be compared with them.")
    place = np.full(len(vectors) + 1, -1)
    place[usable] = np.arange(len(usable))
    return usable, _unit(vectors[usable]), place[rows].astype(np.int64)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of length 1; a row of length 0 stays."""
    length = np.sqrt(np.einsum("nk,nk->n", vectors, vectors, dtype=np.float64))
    unit: NDArray[np.float32] = (
        vectors / np.where(length > 0, length, 1).astype(np.float32)[:, None]
    )
    return unit


def _reason(sample: Sample, rows: NDArray[np.int64]) -> str:
    """Return why the wells of a condition allow no test; "" where they do."""
    inverse = sample.vectors.inverse_norm[rows]
    if np.isnan(inverse).any():
        return "not_finite"
    if np.isinf(inverse).any():
        return "zero_vector"
    return "too_few_wells" if len(rows) < 2 else ""


def _p_values(
    cosines: NDArray[np.floating], null: NDArray[np.floating], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of weighted null values that reach each cosine, itself counted once."""
    order = np.argsort(null)
    reached = np.append(np.cumsum(weights[order][::-1])[::-1], 0.0)
    at_least = reached[np.searchsorted(null[order], cosines - TIE, side="left")]
    p: NDArray[np.float64] = (at_least + 1) / (weights.sum() + 1)
    return np.minimum(p, 1.0)


def q_values(p_values: pd.Series, is_first: pd.Series) -> NDArray[np.float64]:
    """Return min over t >= p of t·m/#{rank-1 p-values <= t}: Benjamini-Hochberg at rank 1."""
    p = p_values.to_numpy(np.float64)
    tested = np.sort(p[is_first.to_numpy() & np.isfinite(p)])
    if not len(tested):
        return np.full(len(p), np.nan)

    def rate(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return t * len(tested) / np.maximum(np.searchsorted(tested, t, side="right"), 1)

    ahead = np.append(np.minimum.accumulate(rate(tested)[::-1])[::-1], 1.0)
    q = np.minimum(rate(p), ahead[np.searchsorted(tested, p, side="left")])
    return np.where(np.isnan(p), np.nan, np.minimum(q, 1.0))
