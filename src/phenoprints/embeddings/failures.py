"""Wells and sites without a vector: each with its file and reason, few of them or an error."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from phenoprints.foundations.errors import DataError, Problem, describe
from phenoprints.foundations.tables import Contract

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

WHOLE_WELL = -1


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
    raise DataError(
        f"{where}: {failed['well_id'].nunique()} of {num_wells} wells have no vector "
        f"({100 * share:.1f} %).\n"
        f"  Expected at most {100 * max_failed_fraction:g} % (max_failed_fraction).\n"
        "  To fix: correct the files or the columns that name the wells, or raise "
        f"max_failed_fraction of the screen.\n{describe(problems)}"
    )
