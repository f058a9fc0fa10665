"""Which wells stand for a verdict: typical, best and worst ones, and one for each rule."""

from __future__ import annotations

import numpy as np
import pandas as pd

from phenoprints.reports.examples import Example
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.quality_tables import metric_columns, rule_titles
from phenoprints.wells import CONTROL_ROLES

MAX_FAILING = 5
EXAMPLES_CAPTION = (
    "Passing wells: a typical control and treatment (nearest to the medians of all metrics), the "
    "sharpest one, and the one farthest from the medians. Failing wells: the one that breaks most "
    "rules, then the clearest of each rule."
)


def examples_of(run: Run, screen: str, table: pd.DataFrame) -> list[Example]:
    """Typical, best and worst passing wells, the worst failing one, and one for each rule."""
    titles = rule_titles(run, screen)
    passing, failing = (table[table["verdict"] == verdict] for verdict in ("pass", "fail"))
    chosen = dict(_passing(passing))
    if len(failing):
        num_broken = failing["reasons"].map(len)
        worst = failing.iloc[int(num_broken.to_numpy().argmax())]
        chosen[f"FAIL, the worst: {', '.join(map(str, worst['reasons']))}"] = worst
    taken = {int(row["well_id"]) for row in chosen.values()}
    for code, row in _clearest_failures(failing, taken).items():
        chosen[f"FAIL, {code} {titles.get(code, '')}".strip()] = row
    return [_example(row, what) for what, row in chosen.items()]


def _passing(passing: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """Typical control and treatment, then the sharpest well and the one farthest from typical."""
    groups = {
        "control": passing[passing["role"].isin(CONTROL_ROLES)],
        "treatment": passing[passing["role"] == "treatment"],
    }
    rows = [
        (f"PASS, a typical {what}", part.iloc[int(np.argmin(_distance(part)))])
        for what, part in groups.items()
        if len(part)
    ]
    sharp = [name for name in metric_columns(passing) if name.startswith("sharpness")]
    if len(passing) > len(rows) and sharp:
        ranks = passing[sharp].rank().mean(axis=1).to_numpy()
        rows.append(("PASS, the sharpest", passing.iloc[int(np.nanargmax(ranks))]))
    if len(passing) > len(rows):
        far = np.where(np.isfinite(distance := _distance(passing)), distance, -1.0)
        rows.append(("PASS, farthest from typical", passing.iloc[int(np.argmax(far))]))
    return rows


def _distance(part: pd.DataFrame) -> np.ndarray:
    """How far each well's metrics lie from the medians: the median over metrics of robust z."""
    values = part[metric_columns(part)].to_numpy(float)
    if not values.size:
        return np.zeros(len(part))
    middle = np.nanmedian(values, axis=0)
    spread = np.nanmedian(np.abs(values - middle), axis=0)
    z = np.abs(values - middle) / np.where(spread > 0, spread, np.inf)
    far: np.ndarray = np.nan_to_num(z, nan=0.0).mean(axis=1)
    return far


def _clearest_failures(failing: pd.DataFrame, taken: set[int]) -> dict[str, pd.Series]:
    """By rule a failing well that breaks few others, each well once."""
    failing = failing.assign(num_broken=failing["reasons"].map(len))
    rows = failing.explode("reasons").sort_values(["reasons", "num_broken"], kind="stable")
    chosen: dict[str, pd.Series] = {}
    used = set(taken)
    for code, part in rows.groupby("reasons", sort=True):
        free = part[~part["well_id"].isin(used)]
        if len(free) and len(chosen) < MAX_FAILING:
            chosen[str(code)] = free.iloc[0]
            used.add(int(free["well_id"].iloc[0]))
    return chosen


def _example(row: pd.Series, what: str) -> Example:
    place = f"{row['experiment']} / {row['plate']} / {row['well']}"
    return Example(int(row["well_id"]), f"{what}: {place}")
