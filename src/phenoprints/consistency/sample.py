"""The wells of one test as codes: conditions, groups of the pool, strata that null sets copy."""

# N wells

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phenoprints.consistency.design import Design
from phenoprints.consistency.settings import ANY_WELLS, NEGATIVE_CONTROLS, STRATA
from phenoprints.consistency.vectors import Vectors
from phenoprints.foundations.errors import DataError, Problem, raise_problems


@dataclass(frozen=True)
class Sample:
    """Wells to test, (N,) codes from 0; -1 is "not tested" or "not in the pool".

    `names` are the conditions by code. A null set has as many wells of each stratum as the
    condition that it is compared with.
    """

    vectors: Vectors
    names: Sequence[Any]
    condition: NDArray[np.int64]
    group: NDArray[np.int64]
    stratum: NDArray[np.int64]

    @classmethod
    def of(cls, x: ArrayLike, condition: ArrayLike, design: Design, null_model: str) -> Sample:
        """Check the arrays and code them, wells in order of well_id."""
        matrix, columns = _checked(x, {"condition": condition, **design.columns}, null_model)
        vectors = Vectors.of(matrix)
        codes, names = _codes(columns["condition"])
        group = codes if "group" not in columns else _codes(columns["group"])[0]
        is_control = (
            columns["is_control"].to_numpy(dtype=np.bool_)
            if "is_control" in columns
            else np.zeros(len(matrix), dtype=np.bool_)
        )
        group = np.where(vectors.is_usable, _pool_groups(group, is_control, null_model), -1)
        return cls(vectors, names, codes, group, _strata(columns, null_model))

    @property
    def num_wells(self) -> NDArray[np.int64]:
        """Number of wells of each condition."""
        return np.bincount(self.condition[self.condition >= 0], minlength=len(self.names))

    def members(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of the tested wells by condition, and where each condition starts."""
        rows = np.flatnonzero(self.condition >= 0)
        rows = rows[np.argsort(self.condition[rows], kind="stable")]
        return rows, np.concatenate([[0], np.cumsum(self.num_wells)])


def _checked(
    x: ArrayLike, arrays: dict[str, ArrayLike], null_model: str
) -> tuple[NDArray[Any], pd.DataFrame]:
    """Return the matrix and the columns that were given, in order of well_id."""
    matrix = np.asarray(x)
    if matrix.ndim != 2:
        raise DataError(f"x: {matrix.ndim} dimensions. Expected 2: wells in rows.")
    given = {k: pd.array(np.asarray(v)) for k, v in arrays.items()}
    problems = [
        Problem(name, f"{len(values)} values for {len(matrix)} wells", "one value per row of x")
        for name, values in given.items()
        if len(values) != len(matrix)
    ]
    raise_problems([*problems, *_missing(given, null_model)], DataError)
    columns = pd.DataFrame(given)
    if "well_id" in columns:
        order = np.argsort(columns["well_id"].to_numpy(), kind="stable")
        return matrix[order], columns.iloc[order]
    return matrix, columns


def _missing(given: dict[str, Any], null_model: str) -> list[Problem]:
    """Return the arrays that a null model needs and that are absent or incomplete."""
    needed = ("is_control",) if null_model == NEGATIVE_CONTROLS else STRATA.get(null_model, ())
    expected = f'a value per well for the null model "{null_model}"'
    problems = []
    for name in needed:
        if name not in given:
            cure = "" if name == "is_control" else 'give it, or choose null_model="experiment"'
            problems.append(Problem(name, "not given", expected, cure))
        elif pd.isna(given[name]).any():
            problems.append(Problem(name, "a value is missing", expected))
    return problems


def _codes(labels: Any) -> tuple[NDArray[np.int64], Sequence[Any]]:
    """Return labels as codes by sorted label, -1 where missing, and the labels."""
    codes, names = pd.factorize(labels, sort=True)
    return codes.astype(np.int64), names


def _strata(columns: pd.DataFrame, null_model: str) -> NDArray[np.int64]:
    """Return a code for what null sets copy of each well: its plate, experiment, … or nothing."""
    across = ["experiment"] if "experiment" in columns else []
    keys = [*across, *STRATA.get(null_model, ())]
    if not keys:
        return np.zeros(len(columns), dtype=np.int64)
    return np.asarray(columns.groupby(keys, sort=True).ngroup(), dtype=np.int64)


def _pool_groups(
    group: NDArray[np.int64], is_control: NDArray[np.bool_], null_model: str
) -> NDArray[np.int64]:
    """Return the group of each well in the pool: -1 outside of it, its own where any well goes."""
    own = np.arange(len(group))
    if null_model == NEGATIVE_CONTROLS:
        return np.where(is_control, own, -1).astype(np.int64)
    group = np.where(is_control, -1, group)
    if null_model == ANY_WELLS:
        group = np.where(group >= 0, own, -1)
    return group.astype(np.int64)
