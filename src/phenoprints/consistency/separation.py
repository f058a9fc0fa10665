"""What no null model can separate: found from the layout alone, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment.folds import HeldOut, HeldOutControls, assign_folds
from phenoprints.consistency.facts import well_facts
from phenoprints.consistency.pseudo_conditions import copying_reasons
from phenoprints.consistency.screen import screen_consistency
from phenoprints.consistency.settings import ConsistencySettings
from phenoprints.wells import ArrayEmbeddings
from phenoprints.wells.designs import fixed_positions

MIN_NULL = 100
"""Random sets that are enough to count those that exist."""

MAX_FIXED = 0.5
"""Share of conditions that keep their positions from which a caution is given."""

MAX_UNCOPIED = 0.5
"""Share of conditions whose design the controls cannot copy from which the guard is NOT RUN."""

UNCOPIED = {
    "no_controls": "their plates hold no control wells",
    "too_few_controls": "their plates hold fewer control wells of one fold than wells of a "
    "condition; lower alignment.folds, or judge without a measured rate",
    "positions_differ": "they keep their positions over plates and the control wells do not",
}


def can_reach(table: pd.DataFrame, threshold: float) -> pd.Series:
    """Return for every test of conditions with enough wells whether it can be below a threshold.

    Empty for a table without the column `smallest_p`, as versions before 0.2 wrote it.
    """
    if "smallest_p" not in table:
        return pd.Series(dtype=bool)
    has_sets = table["p_value"].notna() | (table["reason"] == "too_few_sets")
    tests = table[(table["level"] == "condition") & has_sets]
    can: pd.Series = (tests["smallest_p"] < threshold) & (tests["reason"] == "")
    return can


def best_case(
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    settings: ConsistencySettings,
    *,
    is_fitted: NDArray[np.bool_],
    folds: int,
    threshold: float = 0.01,
) -> pd.DataFrame:
    """Return the tests of a screen as if every condition were as consistent as can be.

    The null sets are counted by running the tests on vectors that hold nothing.

    Parameters
    ----------
    wells, conditions : DataFrame
        As in phenoprints.wells.contracts.
    settings : ConsistencySettings
        The null model, the scope, the number of random sets.
    is_fitted : (N,) bool
        Wells that the alignment will be fitted on.
    folds : int
        Folds of these wells.
    threshold : float
        As in screen_consistency.

    Returns
    -------
    DataFrame
        As screen_consistency, with the smallest p-value of each test as its p-value; missing
        where there is no test.
    """
    table = _on_nothing(_Layout(wells, is_fitted, folds), conditions, settings, MIN_NULL, threshold)
    num_null, formula = settings.num_null, settings.p_value_formula
    num_sets = table["num_sets"].to_numpy(dtype=np.float64)
    from_draws = 1.0 / (num_null + (formula == "plus-1"))
    floor = np.where(num_sets <= num_null, 1.0 / (num_sets + 1.0), from_draws)
    # Few sets were all visited, so that the table has the value itself.
    floor = np.where(num_sets <= MIN_NULL, table["smallest_p"], floor)
    floor[table["p_value"].isna() | np.isnan(num_sets)] = np.nan
    return table.assign(p_value=floor, smallest_p=floor)


def _on_nothing(
    layout: _Layout,
    conditions: pd.DataFrame,
    settings: ConsistencySettings,
    num_null: int,
    threshold: float,
) -> pd.DataFrame:
    few = settings.replace(num_null=num_null, control_guard=False)
    return screen_consistency(layout.wells, conditions, layout, settings=few, threshold=threshold)


def design_warnings(
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    settings: ConsistencySettings,
    *,
    is_fitted: NDArray[np.bool_],
    folds: int,
    threshold: float = 0.01,
) -> list[str]:
    """Return what the layout of a screen keeps its tests from separating, a sentence each.

    Named are conditions that share no plate with another condition, positions that conditions keep
    over plates, tests with fewer null sets than 1/threshold, and controls that cannot copy the
    designs. Other layouts give nothing.

    Parameters
    ----------
    wells, conditions : DataFrame
        As in phenoprints.wells.contracts.
    settings : ConsistencySettings
        The null model and the scope.
    is_fitted : (N,) bool
        Wells that the alignment will be fitted on.
    folds : int
        Folds of these wells.
    threshold : float
        p-value below which a condition has a phenoprint.
    """
    facts = well_facts(wells, conditions)
    tested = facts[facts["is_tested"]]
    if tested.empty:
        return []
    alone = _alone(tested)
    return [
        *_alone_warning(alone, tested),
        *_position_warning(tested),
        *_sets_warning(_Layout(wells, is_fitted, folds), conditions, settings, alone, threshold),
        *(_control_warning(facts, wells, is_fitted, folds) if settings.control_guard else ()),
    ]


class _Layout(ArrayEmbeddings):
    """Vectors that hold nothing, (N, 1), with the folds that an alignment will have."""

    def __init__(self, wells: pd.DataFrame, is_fitted: NDArray[np.bool_], folds: int) -> None:
        super().__init__(wells, np.ones((len(wells), 1), np.float32))
        self.wells, self.num_folds = wells, max(folds, 1)
        fold = assign_folds(wells, is_fitted, self.num_folds)
        names = wells["experiment"].to_numpy()
        self.fold_of = {name: fold[names == name] for name in self.experiments}

    def held_out_controls(self, experiment: str) -> HeldOutControls:
        fold = self.fold_of[experiment]
        rows = np.flatnonzero(fold >= 0).astype(np.int32)
        return HeldOutControls(rows, fold[rows], self.read(experiment)[rows])

    def read_held_out(self, experiment: str, fold: int) -> HeldOut:
        own = self.fold_of[experiment]
        vectors = np.where(((own < 0) | (own == fold))[:, None], self.read(experiment), np.nan)
        return HeldOut(fold, vectors.astype(np.float32), own == fold)


def _alone(tested: pd.DataFrame) -> set[int]:
    """Conditions that share no plate with another one, all replicates of an experiment on one."""
    plate = tested.groupby(["experiment", "plate"])["condition_id"]
    is_alone = plate.transform("nunique") == 1
    num_plates = tested.groupby(["experiment", "condition_id"])["plate"].transform("nunique")
    of_condition = (is_alone & (num_plates == 1)).groupby(tested["condition_id"]).all()
    return set(of_condition.index[of_condition])


def _alone_warning(alone: set[int], tested: pd.DataFrame) -> Iterator[str]:
    if alone:
        total = tested["condition_id"].nunique()
        yield (
            f"{len(alone)} of {total} conditions have all their replicates on a plate that holds "
            "no other condition: no null model can tell their effect from that of the plate. "
            "Put several conditions on each plate"
        )


def _position_warning(tested: pd.DataFrame) -> Iterator[str]:
    """Yield a caution where conditions keep their positions over the plates of their
    experiments.
    """
    label = tested["experiment"] + "/" + tested["condition_id"].astype(str)
    share = fixed_positions(tested, label)
    if share > MAX_FIXED:
        yield (
            f"{share:.0%} of the conditions keep their positions on all plates of an experiment: "
            "an effect of the edge, row or column cannot be told from theirs. The control guard "
            "measures it where controls keep their positions too; see docs/how-to/positions.md"
        )


def _sets_warning(
    layout: _Layout,
    conditions: pd.DataFrame,
    settings: ConsistencySettings,
    alone: set[int],
    threshold: float,
) -> Iterator[str]:
    num_null = max(MIN_NULL, int(np.ceil(1.0 / threshold)) + 1)
    table = _on_nothing(layout, conditions, settings, num_null, threshold)
    tests = table[(table["num_wells"] > 1) & ~table["condition_id"].isin(alone)]
    tests = tests[tests["level"] == "condition"]
    can = can_reach(tests, threshold).reindex(tests.index, fill_value=False)
    of_condition = can.groupby(tests["condition_id"]).any()
    num_unable = int((~of_condition).sum())
    if num_unable:
        yield (
            f"{num_unable} of {len(of_condition)} conditions have fewer than "
            f"{1.0 / threshold:.0f} distinct null sets in every test, so no p-value can be below "
            f"{threshold:g}. Put more conditions on their plates, or see the null models in "
            "docs/consistency.md"
        )


def _control_warning(
    facts: pd.DataFrame, wells: pd.DataFrame, is_fitted: NDArray[np.bool_], folds: int
) -> Iterator[str]:
    fold = assign_folds(wells, is_fitted, max(folds, 1))
    controls = facts[facts["is_control"]].assign(fold=fold[facts["is_control"].to_numpy()])
    reasons = copying_reasons(facts[facts["is_tested"]], controls)
    uncopied = reasons[reasons != ""]
    if len(uncopied) > MAX_UNCOPIED * len(reasons):
        reason = UNCOPIED[uncopied.mode().iloc[0]]
        yield (
            "the control guard will be NOT RUN: control wells cannot copy the design of "
            f"{len(uncopied)} of {len(reasons)} conditions, since {reason}"
        )
