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
from phenoprints.consistency.design import Design
from phenoprints.consistency.experiment import Measured, measure, result_table
from phenoprints.consistency.p_values import NullCounts
from phenoprints.consistency.sample import Sample
from phenoprints.consistency.settings import NEGATIVE_CONTROLS, ConsistencySettings
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import generator
from phenoprints.wells import EmbeddingsReader, experiment_rows, read_checked

NO_FOLDS = """embeddings: no maps that were fitted without some of the controls.
  Expected them for null_model: negative-controls, which compares wells with controls.
  To fix: set alignment.folds to 2 or more and align again."""

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
    fitted without these controls; sets of different folds are never mixed. Null sets that are at
    least as consistent are summed over folds, and p is their share of all null sets.

    Parameters
    ----------
    folds : sequence of HeldOut
        All wells of one experiment (or of several, in the same order) under each fold's maps.
    condition : (N,)
        Condition of each well; a missing value is a well that is not tested.
    design : Design, optional
        The experiment's name and well ids; `is_control` is taken from the folds.
    num_null : int
        Null sets K over all folds. Folds in which no more than their share of K sets exist are
        enumerated.
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
    parts = [
        _measured(
            held_out, condition, design, settings.model_copy(update={"num_null": share}), seed
        )
        for held_out, share in zip(folds, _shares(num_null, len(folds)), strict=True)
    ]
    return result_table(parts[0][0], _over_folds([part for _, part in parts]), settings, 0.0)


def _shares(num_null: int, num_folds: int) -> list[int]:
    """Return the number of null sets of each fold, at least 1."""
    shares = np.diff(np.linspace(0, num_null, num_folds + 1).astype(int))
    return [max(int(share), 1) for share in shares]


def _measured(
    held_out: HeldOut,
    condition: ArrayLike,
    design: Design,
    settings: ConsistencySettings,
    seed: int,
) -> tuple[Sample, Measured]:
    own = replace(design, is_control=held_out.is_control)
    sample = Sample.of(held_out.vectors, condition, own, NEGATIVE_CONTROLS)
    key = f"fold {held_out.fold}"
    streams = partial(generator, seed, "consistency", design.name, key)
    return sample, measure(sample, settings, streams)


def _over_folds(parts: Sequence[Measured]) -> Measured:
    """Return the mean statistic and the summed counts over the folds that a condition exists in."""
    reasons = np.array([part.reason for part in parts])
    statistics = np.array([part.statistic for part in parts])
    is_used, is_measured = reasons == "", np.isfinite(statistics)
    num_measured = np.maximum(is_measured.sum(axis=0), 1)
    mean = np.where(is_measured, statistics, 0.0).sum(axis=0) / num_measured
    return Measured(
        np.where(is_measured.any(axis=0), mean, np.nan),
        np.where(is_used.any(axis=0), "", reasons[0]).astype(object),
        NullCounts.summed([part.counts for part in parts], is_used),
    )
