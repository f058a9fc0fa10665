"""What the page of quality reads: verdicts of wells, checks of plates, planted bad wells."""

from __future__ import annotations

import pandas as pd

from phenoprints.reports.proportions import Share
from phenoprints.reports.runs import Run
from phenoprints.wells import WHOLE_WELL

PLATE_COLUMNS = [
    "experiment", "plate", "code", "check", "value", "threshold", "verdict", "detail",
]  # fmt: skip
WELL_COLUMNS = ("well_id", "experiment", "plate", "well", "row", "column", "plate_format", "role")


def well_quality(run: Run, screen: str) -> pd.DataFrame | None:
    """Return the row that speaks for each well, with its place and role; None
    without both tables.
    """
    quality = run.table("quality", screen=screen)
    wells = run.table("screen_wells", WELL_COLUMNS, screen=screen)
    if quality is None or wells is None:
        return None
    whole = quality[quality["site"] == WHOLE_WELL].drop(columns="site")
    return wells.merge(whole, on="well_id", how="left", validate="one_to_one")


def metric_columns(table: pd.DataFrame) -> list[str]:
    """Return the metrics of a quality table: its numeric columns beyond keys and place."""
    known = {*WELL_COLUMNS, "verdict", "reasons"}
    numeric = table.select_dtypes("number").columns
    return [name for name in numeric if name not in known and table[name].notna().any()]


def rule_titles(run: Run, screen: str) -> dict[str, str]:
    """Return the title of every quality-control rule, from the stage's catalogue."""
    rows = run.list_at(run.path("quality_rules", screen=screen))
    return {str(row["code"]): str(row.get("what", "")) for row in rows}


def plate_checks(run: Run, screen: str) -> pd.DataFrame:
    """Tabulate plate checks: experiment, plate, code, check, value, threshold, verdict, detail."""
    table = run.table("quality_plates", screen=screen)
    return pd.DataFrame(columns=PLATE_COLUMNS) if table is None else table


def planted(run: Run, screen: str, table: pd.DataFrame) -> dict[str, Share]:
    """Planted bad wells that were found, and good wells that failed; or nothing.

    Only simulated screens know their bad wells.
    """
    truth = run.table_at(run.folder / "screens" / screen / "bad_wells.parquet", ["well_id"])
    if truth is None or (table["verdict"] == "not assessed").all():
        return {}
    is_bad = table["well_id"].isin(truth["well_id"])
    failed = table["verdict"] == "fail"
    return {
        "found": Share(int((failed & is_bad).sum()), int(is_bad.sum())),
        "false_alarms": Share(int((failed & ~is_bad).sum()), int((~is_bad).sum())),
    }
