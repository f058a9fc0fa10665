"""Which conditions of a screen can pass steps 2, 3 and 5 of the funnel, whatever is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.wells import num_conditions

TREATMENT = "treatment"
WITHIN = "within-experiments"
Limits = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Reach:
    """Conditions of treatments: all, those that reach step 3, those that can have a phenoprint.

    `best` are the largest numbers of experiments and of wells that any condition has.
    """

    conditions: int
    reach_step_3: int
    can_pass_step_5: int
    best: tuple[int, int]


def treatment_rows(wells: pd.DataFrame, conditions: pd.DataFrame) -> pd.DataFrame:
    """One row per treatment well and condition: well_id, experiment, condition_id, kind, number.

    `number` counts the well's conditions; wells of unknown conditions are left out.
    """
    chosen = wells[wells["role"] == TREATMENT]
    number = num_conditions(chosen["conditions"])
    rows = chosen[["well_id", "experiment", "conditions"]].assign(number=number)[number > 0]
    rows = rows.explode("conditions", ignore_index=True)
    rows = rows.rename(columns={"conditions": "condition_id"})
    rows["condition_id"] = rows["condition_id"].astype(np.int64)
    kinds = conditions.set_index("condition_id")["kind"]
    return rows.drop_duplicates(["well_id", "condition_id"]).join(kinds, on="condition_id")


def reach(
    rows: pd.DataFrame, limits: Limits, *, num_null: int = 10_000, p_value: float = 0.01
) -> Reach:
    """How far the conditions of `treatment_rows` can get.

    `limits` holds min_experiments, min_wells and scope by kind of perturbation. A condition can
    pass step 5 when its smallest possible p-value lies below `p_value` (see `smallest_p`).
    """
    by = rows.groupby("condition_id")
    experiments, wells = by["experiment"].nunique(), by["well_id"].nunique()
    kind = by["kind"].first()
    enough = experiments >= _limit(kind, limits, "min_experiments")
    enough &= wells >= _limit(kind, limits, "min_wells")
    floor = smallest_p(rows, limits, num_null).reindex(kind.index)
    return Reach(
        conditions=len(kind),
        reach_step_3=int(enough.sum()),
        can_pass_step_5=int((enough & (floor < p_value)).sum()),
        best=(int(experiments.max()), int(wells.max())) if len(kind) else (0, 0),
    )


def smallest_p(rows: pd.DataFrame, limits: Limits, num_null: int) -> pd.Series[float]:
    """The smallest combined p-value that each condition can have, by condition_id.

    A test of n wells has M possible sets of n wells of different conditions: its p is at least
    1/(M + 1) where M is at most K, else 1/K. Fewer than two wells, or fewer than n conditions, give
    no test. Experiments at their floors combine to what Cauchy's rule gives them.
    """
    from phenoprints.consistency import combine_cauchy

    single = rows[rows["number"] == 1]
    sizes = single.groupby(["condition_id", "experiment"], sort=True).size().rename("n")
    kinds = single.drop_duplicates("condition_id")[["condition_id", "kind"]]
    tests = sizes.reset_index().merge(kinds, on="condition_id")
    tests["sets"] = _num_sets(tests)
    is_within = tests["kind"].map(lambda kind: limits[kind].get("scope", WITHIN)) == WITHIN
    within = tests[is_within & (tests["n"] >= 2)]
    floors = within.assign(floor=_floor(within["sets"], num_null)).dropna(subset="floor")
    combined = floors.groupby("condition_id")["floor"].agg(lambda p: float(combine_cauchy(p)))
    across = tests[~is_within].groupby("condition_id")
    whole = _floor(across["sets"].prod()[across["n"].sum() >= 2], num_null).dropna()
    return pd.concat([combined.astype(float), whole.astype(float)])


def _limit(kind: pd.Series[str], limits: Limits, key: str) -> pd.Series[int]:
    return kind.map(lambda each: limits[each][key])


def _num_sets(tests: pd.DataFrame) -> pd.Series[float]:
    """Possible null sets of each test's size in its experiment; 0 with too few conditions."""
    from phenoprints.consistency.pool import elementary_symmetric

    result = pd.Series(0.0, index=tests.index)
    for _, part in tests.groupby("experiment"):
        possible = np.append(elementary_symmetric(part["n"].to_numpy(np.int64)), 0.0)
        result[part.index] = possible[np.minimum(part["n"], len(part) + 1)]
    return result


def _floor(num_sets: pd.Series[float], num_null: int) -> pd.Series[float]:
    few = num_sets <= num_null
    floor = (1.0 / (num_sets + 1.0)).where(few, 1.0 / num_null)
    return floor.where(num_sets > 0)
