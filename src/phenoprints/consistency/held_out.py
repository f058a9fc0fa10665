"""The null model of controls: wells against sets of controls, fold by fold of cross-fitted maps."""

# N wells · F folds · T tested conditions

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phenoprints.alignment import CrossFittedReader, HeldOut
from phenoprints.consistency.cauchy import combine_cauchy
from phenoprints.consistency.design import Design
from phenoprints.consistency.experiment import measure, result_table
from phenoprints.consistency.sample import Sample
from phenoprints.consistency.settings import NEGATIVE_CONTROLS, ConsistencySettings
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import generator
from phenoprints.wells import EmbeddingsReader, experiment_rows, read_checked

NO_FOLDS = """embeddings: no maps that were fitted without some of the controls.
  Expected them for null_model: negative-controls, which compares wells with controls.
  To fix: set alignment.folds to 2 or more and align again."""

RESOLVED = (0.0, 1.0 - 1e-6)
"""p-values of folds that are combined: a 1 would force a 1."""

UNTOUCHED = -1
"""The "fold" of controls that no map was fitted on: the plain map holds for them."""


def is_cross_fitted(reader: EmbeddingsReader) -> TypeGuard[CrossFittedReader]:
    """Return whether a reader has maps that were fitted without some of the controls."""
    return getattr(reader, "num_folds", 0) > 0


def folds_of_wells(facts: pd.DataFrame, reader: CrossFittedReader) -> NDArray[np.int64]:
    """Return the fold of every well that maps were fitted on, UNTOUCHED for the others, (N,).

    The rows of each experiment in `facts` are in the order of the reader's rows.
    """
    fold = np.full(len(facts), UNTOUCHED, dtype=np.int64)
    for experiment, rows in experiment_rows(facts).items():
        held_out = reader.held_out_controls(experiment)
        fold[rows[held_out.rows]] = held_out.fold
    return fold


def read_fold(reader: CrossFittedReader, experiment: str, fold: int, num_wells: int) -> HeldOut:
    """Return the wells of an experiment under the maps without a fold; UNTOUCHED: the plain map."""
    if fold != UNTOUCHED:
        return reader.read_held_out(experiment, fold)
    vectors = read_checked(reader, experiment, num_wells)
    return HeldOut(UNTOUCHED, vectors, np.zeros(num_wells, dtype=np.bool_))


def control_folds(facts: pd.DataFrame, reader: EmbeddingsReader) -> list[HeldOut]:
    """Read all wells under the maps without each fold, with the controls that these maps allow.

    Parameters
    ----------
    facts
        Wells of one or several experiments, each in the order of the reader's rows, with
        experiment and is_control (N,).
    reader
        A CrossFittedReader.

    Returns
    -------
    list of HeldOut
        One per fold that holds a control of `facts`; controls that no map was fitted on are one
        more, under the plain map. `is_control` are the controls of `facts` in this fold.

    Raises
    ------
    DataError
        When the embeddings have no such maps.
    """
    if not is_cross_fitted(reader):
        raise DataError(NO_FOLDS)
    fold = folds_of_wells(facts, reader)
    is_control = facts["is_control"].to_numpy(dtype=np.bool_)
    experiments = experiment_rows(facts)
    order = np.concatenate(list(experiments.values()))
    folds = []
    for number in np.unique(fold[is_control]).tolist():
        parts = [
            read_fold(reader, str(name), number, len(rows)).vectors
            for name, rows in experiments.items()
        ]
        vectors = np.concatenate(parts)[np.argsort(order)]
        folds.append(HeldOut(number, vectors, is_control & (fold == number)))
    return folds


def held_out_consistency(
    folds: Sequence[HeldOut],
    condition: ArrayLike,
    design: Design | None = None,
    *,
    num_null: int = 10_000,
    p_value_formula: str = "max-1",
    seed: int = 0,
) -> pd.DataFrame:
    """Test how consistent each condition's wells are, against random sets of control wells.

    In each fold the condition's wells and the fold's controls are seen by the same map, which was
    fitted without these controls; sets of different folds are never mixed. The p-values of the
    folds are combined by Cauchy's method.

    Parameters
    ----------
    folds : sequence of HeldOut
        All wells of one experiment (or of several, in the same order) under each fold's maps.
    condition : (N,)
        Condition of each well; a missing value is a well that is not tested.
    design : Design, optional
        The experiment's name and well ids; `is_control` is taken from the folds.
    num_null : int
        Null sets K of each fold. Folds in which no more than K sets exist are enumerated.
    p_value_formula, seed
        As in experiment_consistency.

    Returns
    -------
    DataFrame
        As experiment_consistency; the statistic is the mean over the folds. A condition whose wells
        are missing in some folds is tested in the others: wells that are themselves controls exist
        in one fold only. A fold with fewer controls than the condition has wells gives the reason
        ``too_few_controls``.

    Raises
    ------
    DataError
        When there is no fold, or arrays differ in length.
    """
    if not folds:
        raise DataError(NO_FOLDS)
    given = {
        "null_model": NEGATIVE_CONTROLS, "num_null": num_null, "p_value_formula": p_value_formula
    }  # fmt: skip
    settings = ConsistencySettings.from_section(given)
    design = design or Design()
    tables = [_tested(held_out, condition, design, settings, seed) for held_out in folds]
    return _over_folds(tables)


def _tested(
    held_out: HeldOut,
    condition: ArrayLike,
    design: Design,
    settings: ConsistencySettings,
    seed: int,
) -> pd.DataFrame:
    """Return the test against the controls of one fold, under its map."""
    own = replace(design, is_control=held_out.is_control)
    sample = Sample.of(held_out.vectors, condition, own, NEGATIVE_CONTROLS)
    key = f"fold {held_out.fold}"
    streams = partial(generator, seed, "consistency", design.name, key)
    return result_table(sample, measure(sample, settings, streams), settings, 0.0)


def _over_folds(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return mean statistics and combined p-values over the folds that a condition exists in.

    A fold with too few controls leaves the condition without a p-value.
    """
    if len(tables) == 1 or tables[0].empty:
        return tables[0]
    by_fold = pd.concat(tables, keys=range(len(tables)), names=["fold", "row"])
    of_row = by_fold.groupby("row")
    reasons = by_fold["reason"].unstack("fold")
    is_short = (reasons == "too_few_controls").any(axis=1)
    reason = reasons[0].mask((reasons == "").any(axis=1), "").mask(is_short, "too_few_controls")
    combined = {
        name: combine_cauchy(by_fold[name].unstack("fold").to_numpy(np.float64), clip=RESOLVED)
        for name in ("p_value", "smallest_p")
    }
    return tables[0].assign(
        statistic=of_row["statistic"].mean(),
        reason=reason.astype(object),
        num_sets=of_row["num_sets"].sum(min_count=1).mask(is_short),
        p_value=np.where(reason == "", combined["p_value"], np.nan),
        smallest_p=np.where(is_short, np.nan, combined["smallest_p"]),
    )
