"""The consistency test of one experiment: whether the wells of a condition look the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phenoprints.consistency import kernels
from phenoprints.consistency.design import Design
from phenoprints.consistency.nulls import (
    Null,
    Pool,
    StratifiedPool,
    Streams,
    Vectors,
    matched_null,
    pool_nulls,
)
from phenoprints.consistency.settings import ConsistencySettings
from phenoprints.foundations.errors import DataError, Problem, raise_problems
from phenoprints.foundations.randomness import generator

TIE = 1e-9
"""Statistics closer than this are equal: sums of the same wells in another order differ by less."""

REASONS = ("too_few_wells", "too_few_conditions", "zero_vector", "not_finite")


@dataclass(frozen=True)
class Sample:
    """Wells to test. Codes count from 0; -1 is "not tested" or "not in the pool".

    `stratum` is None where null sets need only the right size; otherwise they copy a condition's
    number of wells per stratum.
    """

    vectors: Vectors
    condition: NDArray[np.int64]
    group: NDArray[np.int64]
    stratum: NDArray[np.int64] | None
    may_draw_itself: bool
    """Whether a condition's own wells can be a null set."""


def experiment_consistency(
    x: ArrayLike,
    condition: ArrayLike,
    design: Design | None = None,
    *,
    null: str = "distinct-conditions",
    num_null: int = 10_000,
    p_form: str = "max-1",
    seed: int = 0,
) -> pd.DataFrame:
    """How consistent each condition's wells are, and how often random wells are as consistent.

    The statistic of n wells is the mean of all n² cosines between them, diagonal included, which
    equals ``|Σ u_i|²/n²``, ``u = x/|x|``. The p-value is the share of null sets whose statistic
    is at least as large; ties count. Where at most `num_null` null sets exist they are all
    visited and p = (b + 1)/(M + 1), or b/M under a null that can draw the condition itself.

    Parameters
    ----------
    x : (N, D) float
        Aligned embeddings of one experiment, wells in rows.
    condition : (N,)
        Condition of each well; a missing value (None, NaN) is a well that is only drawn from.
    design : Design, optional
        The experiment's name, well ids, groups, strata and controls, as far as they matter.
    null : str
        ``distinct-conditions``: n wells of n different groups. ``any-wells``: any n wells.
        ``negative-controls``: n wells among the controls. ``layout-matched``: n wells of n
        different groups with the condition's own number of wells per stratum.
    num_null : int
        Null sets K.
    p_form : str
        ``max-1``: max(b, 1)/K. ``plus-1``: (b + 1)/(K + 1).
    seed : int
        Key of the random stream, together with the experiment's name.

    Returns
    -------
    DataFrame
        condition, num_wells, statistic, p_value, reason; a row per condition, sorted. p_value is
        NaN exactly where reason is one of ``too_few_wells`` (one well), ``too_few_conditions``
        (no null set of that size exists), ``zero_vector`` or ``not_finite``.

    Raises
    ------
    DataError
        When arrays differ in length, x is not a matrix, or an array that the null needs is absent.

    Notes
    -----
    ViTally Consistent (2024), section 3.1, appendix A.3, equations 2 and 3. Nulls of different n
    share their draws, so p-values of one experiment are not independent of each other.

    Examples
    --------
    >>> x = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> experiment_consistency(x, ["a", "a", "b", "b"])["statistic"].round(3).tolist()
    [1.0, 0.854]
    """
    settings = ConsistencySettings(null=null, num_null=num_null, p_form=p_form)
    design = design or Design()
    matrix, columns = _checked(x, {"condition": condition, **design.columns}, null)
    names, sample = _sample(matrix, columns, null)
    table = tested(
        sample,
        len(names),
        settings,
        lambda key: generator(seed, "consistency", design.experiment, key),
    )
    table.insert(0, "condition", names)
    return table


def _checked(
    x: ArrayLike, arrays: dict[str, ArrayLike], null: str
) -> tuple[NDArray[Any], pd.DataFrame]:
    """The matrix and the columns that were given, in order of well_id."""
    matrix = np.asarray(x)
    if matrix.ndim != 2:
        raise DataError(f"x: {matrix.ndim} dimensions. Expected 2: wells in rows.")
    given = {k: pd.array(np.asarray(v)) for k, v in arrays.items()}
    problems = [
        Problem(name, f"{len(values)} values for {len(matrix)} wells", "one value per row of x")
        for name, values in given.items()
        if len(values) != len(matrix)
    ]
    needed = {"negative-controls": "is_control", "layout-matched": "stratum"}.get(null)
    if needed and needed not in given:
        problems.append(Problem(needed, "not given", f'a value per well for the null "{null}"'))
    raise_problems(problems, DataError)
    columns = pd.DataFrame(given)
    if "well_id" in columns:
        order = np.argsort(columns["well_id"].to_numpy(), kind="stable")
        return matrix[order], columns.iloc[order]
    return matrix, columns


def codes_of(labels: Any) -> tuple[NDArray[np.int64], Sequence[Any]]:
    """Labels as codes by sorted label, -1 where missing, and the labels."""
    codes, names = pd.factorize(labels, sort=True)
    return codes.astype(np.int64), names


def _sample(matrix: NDArray[Any], columns: pd.DataFrame, null: str) -> tuple[Sequence[Any], Sample]:
    vectors = Vectors.of(matrix)
    condition, names = codes_of(columns["condition"])
    group = condition if "group" not in columns else codes_of(columns["group"])[0]
    stratum = codes_of(columns["stratum"])[0] if "stratum" in columns else None
    is_control = (
        columns["is_control"].to_numpy(dtype=np.bool_)
        if "is_control" in columns
        else np.zeros(len(matrix), dtype=np.bool_)
    )
    return names, Sample(
        vectors=vectors,
        condition=condition,
        group=pool_groups(group, is_control, vectors.is_usable, null),
        stratum=stratum,
        may_draw_itself=null == "any-wells",
    )


def pool_groups(
    group: NDArray[np.int64],
    is_control: NDArray[np.bool_],
    is_usable: NDArray[np.bool_],
    null: str,
) -> NDArray[np.int64]:
    """The group of each well in the null's pool: -1 outside of it, its own where any well goes."""
    if null == "negative-controls":
        group = np.where(is_control, np.arange(len(group)), -1)
    else:
        group = np.where(is_control, -1, group)
        if null == "any-wells":
            group = np.where(group >= 0, np.arange(len(group)), -1)
    return np.where(is_usable, group, -1)


def tested(
    sample: Sample, num_conditions: int, settings: ConsistencySettings, streams: Streams
) -> pd.DataFrame:
    """num_wells, statistic, p_value and reason of each condition code 0 … num_conditions - 1."""
    rows = np.flatnonzero(sample.condition >= 0)
    rows = rows[np.argsort(sample.condition[rows], kind="stable")]
    num_wells = np.bincount(sample.condition[rows], minlength=num_conditions)
    offsets = np.concatenate([[0], np.cumsum(num_wells)])
    statistic = kernels.group_statistics(
        sample.vectors.x, sample.vectors.inverse_norm, rows, offsets
    )
    reason = _reasons(sample, rows, num_wells)
    statistic[(reason == "not_finite") | (reason == "zero_vector")] = np.nan
    is_open = reason == ""
    open_statistic = np.where(is_open, statistic, np.nan)
    if sample.stratum is None:
        p_value = _by_size(sample, num_wells, open_statistic, settings, streams)
    else:
        members = [np.sort(sample.stratum[part]) for part in np.split(rows, offsets[1:-1])]
        p_value = _by_composition(sample, members, open_statistic, settings, streams)
    reason[is_open & np.isnan(p_value)] = "too_few_conditions"
    return pd.DataFrame(
        {"num_wells": num_wells, "statistic": statistic, "p_value": p_value, "reason": reason}
    )


def _reasons(
    sample: Sample, rows: NDArray[np.int64], num_wells: NDArray[np.int64]
) -> NDArray[np.object_]:
    """Why a condition cannot be tested, as far as its own wells say; "" where they do not."""
    reason = np.full(len(num_wells), "", dtype=object)
    reason[num_wells < 2] = "too_few_wells"
    inverse_norm = sample.vectors.inverse_norm[rows]
    reason[sample.condition[rows[np.isinf(inverse_norm)]]] = "zero_vector"
    reason[sample.condition[rows[np.isnan(inverse_norm)]]] = "not_finite"
    return reason


def _by_size(
    sample: Sample,
    num_wells: NDArray[np.int64],
    statistic: NDArray[np.float64],
    settings: ConsistencySettings,
    streams: Streams,
) -> NDArray[np.float64]:
    is_open = ~np.isnan(statistic)
    pool = Pool.of(sample.group)
    nulls = pool_nulls(sample.vectors, pool, num_wells[is_open], settings.num_null, streams)
    p_value = np.full(len(statistic), np.nan)
    for size, null in nulls.items():
        chosen = is_open & (num_wells == size)
        p_value[chosen] = p_values(statistic[chosen], null, settings, sample.may_draw_itself)
    return p_value


def _by_composition(
    sample: Sample,
    members: list[NDArray[np.int64]],
    statistic: NDArray[np.float64],
    settings: ConsistencySettings,
    streams: Streams,
) -> NDArray[np.float64]:
    assert sample.stratum is not None
    pool = StratifiedPool.of(sample.group, sample.stratum)
    alike: dict[bytes, list[int]] = {}
    for code in np.flatnonzero(~np.isnan(statistic)):
        alike.setdefault(members[code].tobytes(), []).append(int(code))
    p_value = np.full(len(statistic), np.nan)
    for codes in alike.values():
        null = matched_null(sample.vectors, pool, members[codes[0]], settings.num_null, streams)
        if null is not None:
            p_value[codes] = p_values(statistic[codes], null, settings, sample.may_draw_itself)
    return p_value


def p_values(
    statistic: NDArray[np.float64],
    null: Null,
    settings: ConsistencySettings,
    may_draw_itself: bool,
) -> NDArray[np.float64]:
    """The p-value of each statistic under one null; ties count as at least as large."""
    total = len(null.statistics)
    at_least = total - np.searchsorted(null.statistics, statistic - TIE, side="left")
    if null.is_complete and not may_draw_itself:
        return (at_least + 1) / (total + 1)
    if null.is_complete or settings.p_form == "max-1":
        return np.maximum(at_least, 1) / total
    return (at_least + 1) / (total + 1)
