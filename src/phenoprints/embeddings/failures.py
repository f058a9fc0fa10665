"""Wells and sites without a vector: each with its file and reason, few of them or an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from phenoprints.foundations.errors import DataError, Problem, describe
from phenoprints.foundations.tables import Contract
from phenoprints.wells import WHOLE_WELL

FAILURES = Contract(
    name="failures",
    schema=pa.schema(
        [
            ("well_id", pa.uint64()),
            ("experiment", pa.string()),
            ("plate", pa.string()),
            ("well", pa.string()),
            ("site", pa.int32()),
            ("file", pa.string()),
            ("reason", pa.string()),
        ]
    ),
    sorted_by=("experiment", "plate", "well", "site", "file"),
)
"""A row per failed site and, with `site` -1, per well without any vector (its row is NaN)."""

NO_GOOD_SITE = "no_good_site"
"""The reason of a well that quality control left out: no failure to read."""


def failures_table(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Failures as a table of their contract."""
    table = pd.DataFrame(list(rows), columns=list(FAILURES.schema.names))
    return table.astype({"well_id": np.uint64, "site": np.int32})


class Failures:
    """Collected failures of an embedding job; raises DataError as soon as there are too many.

    Parameters
    ----------
    num_wells
        Wells of the screen.
    max_failed_fraction
        Share of them that may be without a vector, those left out by quality control not counted.
    where
        The job's name in messages.
    """

    def __init__(
        self, num_wells: int, max_failed_fraction: float = 1.0, where: str = "embeddings"
    ) -> None:
        self.num_wells, self.max_failed_fraction = num_wells, max_failed_fraction
        self.where = where
        self.rows: list[Sequence[Any]] = []
        self.num_failed = 0

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Count more of them; a well is in no two calls."""
        self.rows += rows
        *_, site, _, reason = range(len(FAILURES.schema.names))
        whole = (row for row in rows if row[site] == WHOLE_WELL)
        self.num_failed += sum(row[reason] != NO_GOOD_SITE for row in whole)
        if self.num_failed <= self.max_failed_fraction * self.num_wells:
            return
        table = failures_table(self.rows)
        refuse_too_many(
            table[table["reason"] != NO_GOOD_SITE], self.num_wells, where=self.where,
            max_failed_fraction=self.max_failed_fraction,
        )  # fmt: skip

    def table(self) -> pd.DataFrame:
        """All of them, sorted."""
        frame: pd.DataFrame = FAILURES.conform(failures_table(self.rows)).to_pandas()
        return frame


def well_failures(wells: pd.DataFrame, file: str, reason: str) -> pd.DataFrame:
    """Failure rows for whole wells; `wells` has well_id, experiment, plate and well."""
    keys = wells[["well_id", "experiment", "plate", "well"]].reset_index(drop=True)
    rows: pd.DataFrame = keys.assign(site=WHOLE_WELL, file=file, reason=reason)
    return rows[list(FAILURES.schema.names)]


def refuse_too_many(
    failures: pd.DataFrame, num_wells: int, *, max_failed_fraction: float, where: str
) -> None:
    """Raise DataError when a larger share of wells than allowed has no vector, listing them."""
    failed = failures[failures["site"] == WHOLE_WELL]
    share = failed["well_id"].nunique() / max(num_wells, 1)
    if share <= max_failed_fraction:
        return
    problems = [
        Problem(f"{row.experiment}/{row.plate}/{row.well}", f"{row.reason} ({row.file})")
        for row in failed.itertuples()
    ]
    error = DataError(
        f"{where}: {failed['well_id'].nunique()} of {num_wells} wells have no vector "
        f"({100 * share:.1f} %).\n"
        f"  Expected at most {100 * max_failed_fraction:g} % (max_failed_fraction).\n"
        "  To fix: correct the files or the columns that name the wells, or raise "
        f"max_failed_fraction of the screen.\n{describe(problems)}"
    )
    error.problems = tuple(problems)
    raise error
