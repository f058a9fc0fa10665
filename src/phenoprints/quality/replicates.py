"""Whether replicates look more alike than wells of different conditions, by the metrics alone."""

# W wells · M metrics · n wells of one set

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator
from phenoprints.quality.plates import good_wells, plate_profiles
from phenoprints.wells import CONTROL_ROLES, single_condition

COLUMNS = ["kind", "condition_id", "num_wells", "correlation"]
REPLICATES, DIFFERENT = "replicates", "different conditions"
NUM_RANDOM = 1000
MAX_WELLS = 50
"""Wells of a set that are compared: a keyed sample where a condition has more."""

Floats = NDArray[np.float64]


def replicate_correlations(
    quality: pd.DataFrame, wells: pd.DataFrame, *, seed: int = 0, num_random: int = NUM_RANDOM
) -> pd.DataFrame:
    """How alike the profiles of each condition's wells are, and those of random sets of wells.

    Parameters
    ----------
    quality
        As `assess` gives it; the rows of whole wells that pass are used.
    wells
        The wells table: well_id, experiment, plate, role, conditions.
    num_random
        Random sets; each has as many wells as a condition drawn at random, all of different ones.

    Returns
    -------
    kind (`replicates` or `different conditions`), condition_id (-1 for random sets), num_wells,
    correlation: the median over all pairs of wells of the set of Pearson's correlation between
    their profiles. A profile is the robust z of the metrics against the wells of its own plate, so
    that plates do not make wells alike. Wells of several conditions and controls are left out, and
    conditions with one well; no row where fewer than two conditions are left.

    Source: percent replicating, Chandrasekaran et al. 2023, doi:10.1101/2023.03.23.534023.
    """
    table, names = good_wells(quality, wells)
    condition = single_condition(table["conditions"])
    is_used = (condition >= 0) & ~table["role"].isin(CONTROL_ROLES).to_numpy()
    if not names or not is_used.any():
        return _as_table([])
    unit = _unit_rows(plate_profiles(table, names)[is_used])
    own = table[is_used].reset_index(drop=True)
    own["code"] = condition[is_used]
    own = own[np.abs(unit).sum(axis=1) > 0].sort_values("well_id")
    members = {int(str(k)): part.index.to_numpy() for k, part in own.groupby("code", sort=True)}
    if len(members) < 2:
        return _as_table([])
    random = _random_sets(members, seed, num_random)
    return _as_table([*_replicates(unit, members, seed), *_different(unit, random)])


def percent_replicating(table: pd.DataFrame) -> tuple[int, int, float]:
    """Conditions above the 95th percentile of the random sets, all conditions, that percentile.

    The percentile is NaN without random sets, and then no condition is above it.
    """
    ours = table.loc[table["kind"] == REPLICATES, "correlation"]
    random = table.loc[table["kind"] == DIFFERENT, "correlation"]
    limit = float(random.quantile(0.95)) if len(random) else float("nan")
    return int((ours > limit).sum()), len(ours), limit


def _replicates(
    unit: Floats, members: dict[int, NDArray[np.intp]], seed: int
) -> Iterator[tuple[str, int, int, float]]:
    for condition, rows in members.items():
        if len(rows) > MAX_WELLS:
            rng = generator(seed, "quality", "replicates", condition)
            rows = np.sort(rng.choice(rows, MAX_WELLS, replace=False))
        if len(rows) > 1:
            yield REPLICATES, condition, len(rows), _median_correlation(unit[rows])


def _random_sets(
    members: dict[int, NDArray[np.intp]], seed: int, num_random: int
) -> Iterator[NDArray[np.intp]]:
    """Draw sets of wells of different conditions, sized like randomly drawn conditions."""
    rng = generator(seed, "quality", "replicates")
    conditions = list(members)
    sizes = np.array([min(len(rows), MAX_WELLS, len(conditions)) for rows in members.values()])
    sizes = sizes[sizes > 1]
    for size in rng.choice(sizes, num_random) if len(sizes) else ():
        chosen = rng.choice(len(conditions), size, replace=False)
        yield np.array([rng.choice(members[conditions[at]]) for at in chosen])


def _different(
    unit: Floats, sets: Iterator[NDArray[np.intp]]
) -> Iterator[tuple[str, int, int, float]]:
    for rows in sets:
        yield DIFFERENT, -1, len(rows), _median_correlation(unit[rows])


def _unit_rows(profiles: Floats) -> Floats:
    """Profiles of mean 0 and length 1, whose products are Pearson's correlations; 0 if constant."""
    centred = profiles - profiles.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: Floats = np.where(length > 1e-9, centred / np.where(length > 0, length, 1), 0.0)
    return unit


def _median_correlation(unit: Floats) -> float:
    above = np.triu_indices(len(unit), 1)
    return float(np.median((unit @ unit.T)[above]))


def _as_table(rows: list[tuple[str, int, int, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(
        {"kind": "str", "condition_id": np.int64, "num_wells": np.int32, "correlation": float}
    )
