"""How many conditions of a screen can pass each step of the funnel, whatever is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.consistency import ConsistencySettings
from phenoprints.curation.encoding import TREATMENT, encode
from phenoprints.curation.exclusion import RARE, ConditionFacts, condition_flags, count
from phenoprints.curation.phenoprints import phenoprints_table
from phenoprints.curation.rules import Rules
from phenoprints.curation.wells_with_quality import screen_parts

JUDGE = "best-case"


@dataclass(frozen=True)
class Feasibility:
    """Conditions of treatments: all of them, those that reach step 3, those that can pass step 5.

    `most_experiments` and `most_wells` are the largest numbers that any condition has.
    """

    conditions: int
    reach_step_3: int
    can_pass_step_5: int
    most_experiments: int
    most_wells: int


def feasibility(
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    rules: Rules,
    *,
    tests: pd.DataFrame | None = None,
    settings: ConsistencySettings | None = None,
) -> Feasibility:
    """Count the conditions that can pass the steps of a manifest over one screen.

    Parameters
    ----------
    wells, conditions
        As in phenoprints.wells.contracts; no well fails its quality.
    rules
        The rules of the manifest; whether it has judges does not matter.
    tests
        As from phenoprints.consistency.best_case; without it no condition can pass step 5.
    settings
        With which the tests are combined.

    Returns
    -------
    Feasibility
        A condition can pass step 5 where the rule holds for it if every test has its smallest
        possible p-value.
    """
    screen = str(wells["screen"].iloc[0]) if len(wells) else ""
    table = _judged(screen, conditions, rules, tests, settings)
    num_wells, num_experiments, is_treated = _counts(wells, table, rules)
    flags = condition_flags(ConditionFacts.of(table, rules), num_wells, num_experiments)
    reaches = is_treated & (flags & RARE == 0)
    can_pass = reaches & table["has_phenoprint"].fillna(False).to_numpy(dtype=np.bool_)
    return Feasibility(
        conditions=int(is_treated.sum()),
        reach_step_3=int(reaches.sum()),
        can_pass_step_5=int(can_pass.sum()),
        most_experiments=int(num_experiments[is_treated].max(initial=0)),
        most_wells=int(num_wells[is_treated].max(initial=0)),
    )


def _judged(
    screen: str,
    conditions: pd.DataFrame,
    rules: Rules,
    tests: pd.DataFrame | None,
    settings: ConsistencySettings | None,
) -> pd.DataFrame:
    judges = {} if tests is None else {JUDGE: {screen: tests}}
    options = {screen: settings or ConsistencySettings()}
    return phenoprints_table(judges, conditions, rules, settings=options)


def _counts(
    wells: pd.DataFrame, table: pd.DataFrame, rules: Rules
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Wells and experiments of each condition after step 2; whether a treatment well has it."""
    num = len(table)
    new_ids = np.full(int(table["condition_id"].max()) + 1 if num else 0, -1, dtype=np.int32)
    new_ids[table["condition_id"]] = np.arange(num, dtype=np.int32)
    total, is_treated = np.zeros((2, num), dtype=np.int64), np.zeros(num, dtype=np.bool_)
    for each in screen_parts(wells, new_ids):
        part = encode(each, num)
        total += count(part, rules, num)
        of_treatment = np.repeat(part.role == TREATMENT, np.diff(part.offsets))
        is_treated[part.values[of_treatment]] = True
    return total[0], total[1], is_treated
