"""Compare what was measured with what is promised: one row per cell, null model and test."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.calibrate.bounds import mean_bounds, rate_bounds
from benchmarks.calibrate.cells import DEFAULT_NULL, SIMULATED, Cell
from benchmarks.calibrate.measure import ANY, Record

from phenoprints.alignment import AlignmentSettings

LIMITS = {"each": (0.015, 0.065), ANY: (0.03, 0.125)}
"""Most that may be called at 0.01 and at 0.05 without effect: per judge, and by any of two."""

AGAINST_CONTROLS_LIMIT = 0.02
"""Most that comparisons of wells with controls may call at 0.01."""

GUARD_TOLERANCE, GUARD_RELATIVE, GUARD_RELATIVE_FROM = 0.01, 0.1, 0.1
"""The guard may differ from the truth by a point; by a tenth of it where it is above 10 %."""

GUARD_COVERAGE = 0.9
"""Least share of screens whose 95 % interval of the guard contains the truth."""

MIN_RUN_SHARE, ENOUGH_CONTROLS = 0.7, 16
"""Of the cells with enough controls a plate, so many must have a guard that RUNs."""

MAX_POWER_LOSS = 0.05
"""Most power that the default null may lose against `experiment` on clean plates."""

DISTANCE_TOLERANCE = 0.01
"""The mean U-statistic without effect, as a share of the mean distance between two wells."""

DISTANCE_SCREENS = 20
"""Screens from which the spread between them is known well enough to judge the U-statistic."""

PASS, FAIL, NOT_JUDGED = "pass", "FAIL", "not judged"


def judge_cell(cell: Cell, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the rows of one cell from the records of its screens."""
    counts = pd.DataFrame([{"screen": r["screen"], **row} for r in records for row in r["counts"]])
    if "planted" not in counts:
        counts["planted"] = False
    counts["planted"] = counts["planted"].fillna(False).astype(bool)
    rows = [*_rate_rows(cell, counts[~counts["planted"]])]
    if cell.is_planted:
        rows += _power_rows(cell, counts[counts["planted"]])
    else:
        rows += _guard_rows(cell, counts, records)
        rows.append(_check_row(cell, counts, records))
    if cell.group == "controls":
        rows.append(_distance_row(records))
    design = {"cell": cell.name, "group": cell.group, "screens": len(records)}
    return [{**design, **row} for row in rows]


def judge_all(rows: Sequence[Mapping[str, Any]], cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the row over all cells: the share of cells whose guard RUNs under the default null."""
    enough = {cell.name for cell in cells if cell.layout.controls >= ENOUGH_CONTROLS}
    guards = [
        row
        for row in rows
        if row["test"] == "guard" and row["null_model"] == DEFAULT_NULL
        and row["judge"] == "each" and row["cell"] in enough
    ]  # fmt: skip
    runs = sum(row["run_share"] > 0.5 for row in guards)
    share = runs / len(guards) if guards else math.nan
    passes = not guards or share >= MIN_RUN_SHARE
    return {
        "cell": "all", "group": "all", "null_model": DEFAULT_NULL, "test": "guard runs",
        "judge": "each", "screens": 0, "tested": len(guards), "run_share": share,
        "verdict": PASS if passes else FAIL,
        "reason": f"{runs} of {len(guards)} cells with {ENOUGH_CONTROLS} or more controls a plate",
    }  # fmt: skip


def exception(cell: Cell, null_model: str, test: str) -> str:
    """Return why the rate of calls of a row has no limit; "" where it has one."""
    if cell.has_fixed_place_effect:
        return "fixed positions with effects of places"
    offset_blind = null_model in ("experiment", "any-wells", "negative-controls")
    if offset_blind and cell.effects.plate and cell.layout.spread != "many-plates":
        return "this null does not separate plates"
    if test in ("conditions", "genes") and cell.is_alone:
        return "no other condition on the plate"
    return ""


def _limits(null_model: str, test: str, judge: str) -> tuple[float, float]:
    if test in ("doses", "activity") or null_model == "negative-controls":
        return AGAINST_CONTROLS_LIMIT * (2 if judge == ANY else 1), math.inf
    return LIMITS[judge]


def _rate_rows(cell: Cell, counts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    counts = counts.assign(judge=np.where(counts["judge"] == ANY, ANY, "each"))
    keys = ["null_model", "test", "judge"]
    by_screen = counts.groupby([*keys, "screen"], sort=False).sum(numeric_only=True)
    for key, part in by_screen.groupby(keys, sort=False):
        null_model, test, judge = map(str, key)
        yield _rate_row(cell, null_model, test, judge, part)


def _rate_row(
    cell: Cell, null_model: str, test: str, judge: str, part: pd.DataFrame
) -> dict[str, Any]:
    tested, limits = int(part["tested"].sum()), _limits(null_model, test, judge)
    row: dict[str, Any] = {
        "null_model": null_model, "test": test, "judge": judge, "truth": 0.0, "tested": tested,
    }  # fmt: skip
    too_many = []
    for threshold, limit in zip(("0.01", "0.05"), limits, strict=True):
        called = part[f"called_{threshold}"]
        low, high = rate_bounds(called, part["tested"])
        rate = called.sum() / tested if tested else math.nan
        row |= {f"called_{threshold}": rate, f"low_{threshold}": low, f"high_{threshold}": high}
        if low > limit:
            too_many.append(f"{rate:.2%} at {threshold}, at least {low:.2%}; limit {limit:.1%}")
    excused = exception(cell, null_model, test)
    if not tested:
        return {**row, "verdict": NOT_JUDGED, "reason": "no condition is testable"}
    if excused:
        return {**row, "verdict": NOT_JUDGED, "reason": excused}
    return {**row, "verdict": FAIL if too_many else PASS, "reason": "; ".join(too_many)}


def _guard_rows(
    cell: Cell, counts: pd.DataFrame, records: Sequence[Record]
) -> Iterator[dict[str, Any]]:
    guard = pd.DataFrame([{"screen": r["screen"], **row} for r in records for row in r["guard"]])
    if guard.empty:
        return
    truth = counts[counts["test"] == "conditions"].copy()
    truth = truth[truth["tested"] > 0]
    truth["truth"] = truth["called_0.01"] / truth["tested"]
    keys = ["null_model", "judge", "screen"]
    counted = ["truth", "called_0.01", "tested"]
    both = guard.merge(
        truth[[*keys, *counted]], on=keys, how="left", suffixes=("", "_conditions")
    ).rename(columns={"tested": "tested_conditions"})
    numbers = ["rate", "low", "high", "tests"]
    both[numbers] = both[numbers].astype(np.float64)
    both["judge"] = np.where(both["judge"] == ANY, ANY, "each")
    if cell.judges == 1:
        both = both[both["judge"] == "each"]
    for key, part in both.groupby(["null_model", "judge"], sort=False):
        yield _guard_row(cell, str(key[0]), str(key[1]), part)


def _guard_row(cell: Cell, null_model: str, judge: str, part: pd.DataFrame) -> dict[str, Any]:
    is_run = part["rate"].notna() & part["truth"].notna()
    run, truth = part[is_run], float(part["truth"].mean())
    row: dict[str, Any] = {
        "null_model": null_model, "test": "guard", "judge": judge, "truth": truth,
        "run_share": float(is_run.mean()), "tested": int(run["tests"].sum()),
    }  # fmt: skip
    if run.empty:
        return {**row, **_not_run(cell, part, truth)}
    by_screen = run.assign(difference=run["rate"] - run["truth"]).groupby("screen")
    mean, low, high = mean_bounds(by_screen["difference"].mean())
    covered = (run["low"] <= run["truth"]) & (run["truth"] <= run["high"])
    row |= {"guard": float(run["rate"].mean()), "difference": mean, "coverage": covered.mean()}
    sums = run.groupby("screen")[["called_0.01", "tested_conditions"]].sum()
    least_truth, most_truth = rate_bounds(sums["called_0.01"], sums["tested_conditions"])
    low = min(low, row["guard"] - most_truth)
    high = max(high, row["guard"] - least_truth)
    reasons = [*_off(mean, low, high, truth), *_uncovered(covered, run["screen"])]
    return {**row, "verdict": FAIL if reasons else PASS, "reason": "; ".join(reasons)}


def _not_run(cell: Cell, part: pd.DataFrame, truth: float) -> dict[str, str]:
    """Return the verdict of a guard that never ran."""
    reason = part["reason"].dropna().astype(str)
    said = reason.mode().iloc[0] if len(reason) else "no reason"
    if math.isnan(truth):
        return {"verdict": NOT_JUDGED, "reason": f"no condition is testable; NOT RUN: {said}"}
    accepted = may_not_run(cell)
    return {
        "verdict": PASS if accepted else FAIL,
        "reason": f"NOT RUN: {said}" + ("" if accepted else " (not in the list)"),
    }


def may_not_run(cell: Cell) -> str:
    """Return why the guard of a cell may be NOT RUN; "" where it must RUN."""
    in_fold = cell.layout.controls // AlignmentSettings().folds
    if cell.source == SIMULATED and cell.most_on_a_plate > in_fold:
        return (
            f"{cell.most_on_a_plate} wells of a condition on a plate, {in_fold} controls of a fold"
        )
    return ""


def _off(mean: float, low: float, high: float, truth: float) -> list[str]:
    """Return the problem of a mean difference that is certainly larger than allowed."""
    allowed = GUARD_TOLERANCE
    if truth > GUARD_RELATIVE_FROM:
        allowed = max(allowed, GUARD_RELATIVE * truth)
    least = low if mean > 0 else -high
    text = f"guard minus truth {mean:+.2%} (truth {truth:.2%}), allowed {allowed:.2%}"
    return [text] if least > allowed else []


def _uncovered(covered: pd.Series, screen: pd.Series) -> list[str]:
    """Return the problem of intervals that certainly contain the truth too rarely."""
    by_screen = covered.groupby(screen)
    high = rate_bounds(by_screen.sum(), by_screen.size())[1]
    text = f"{covered.mean():.0%} of intervals contain the truth, expected {GUARD_COVERAGE:.0%}"
    return [text] if high < GUARD_COVERAGE else []


def _power_rows(cell: Cell, counts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    found = counts[counts["judge"] != ANY].assign(
        power=lambda t: t["called_0.01"] / t["tested"].where(t["tested"] > 0)
    )
    table = found.pivot_table(index="screen", columns="null_model", values="power")
    for null_model in table.columns:
        verdict, reason = NOT_JUDGED, ""
        if null_model == DEFAULT_NULL and "experiment" in table:
            verdict, reason = _power_verdict(cell, table[DEFAULT_NULL] - table["experiment"])
        yield {
            "null_model": null_model, "test": "power", "judge": "each",
            "truth": cell.effects.effect, "called_0.01": float(table[null_model].mean()),
            "tested": int(found.loc[found["null_model"] == null_model, "tested"].sum()),
            "verdict": verdict, "reason": reason,
        }  # fmt: skip


def _power_verdict(cell: Cell, gain: pd.Series) -> tuple[str, str]:
    """Judge what the default null gains over `experiment` in power, screen by screen."""
    mean, _, high = mean_bounds(gain)
    text = f"{mean:+.1%} against experiment"
    if not cell.effects.plate:
        return (FAIL if high < -MAX_POWER_LOSS else PASS), text
    if cell.layout.spread == "many-plates":
        return (FAIL if high <= 0 else PASS), text
    return NOT_JUDGED, text


def _check_row(cell: Cell, counts: pd.DataFrame, records: Sequence[Record]) -> dict[str, Any]:
    """Judge the warnings of `phenoprints check`: given where due, and nowhere else."""
    own = counts[(counts["null_model"] == DEFAULT_NULL) & (counts["test"] == "conditions")]
    share = own["tested"].sum() / max(len(own) * cell.layout.conditions, 1)
    is_inseparable = cell.has_fixed_place_effect and cell.layout.spread == "many-plates"
    is_due = is_inseparable or cell.is_alone or share == 0
    may_warn = cell.layout.positions == "fixed" or share < 1 or bool(may_not_run(cell))
    warned = np.mean([bool(r["warnings"]) for r in records])
    first = next((r["warnings"][0] for r in records if r["warnings"]), "silent")
    is_wrong = (is_due and warned < 1) or (warned > 0 and not (is_due or may_warn))
    return {
        "null_model": DEFAULT_NULL, "test": "check", "judge": "each", "truth": math.nan,
        "tested": len(records), "verdict": FAIL if is_wrong else PASS, "reason": first,
    }  # fmt: skip


def _distance_row(records: Sequence[Record]) -> dict[str, Any]:
    unit = float(np.mean([r["distance"]["between_wells"] for r in records]))
    mean, low, high = mean_bounds([r["distance"]["unbiased"] / unit for r in records])
    least = low if mean > 0 else -high
    text = f"mean U-statistic {mean:+.2%} of the distance between two wells"
    verdict = FAIL if least > DISTANCE_TOLERANCE else PASS
    if len(records) < DISTANCE_SCREENS:
        verdict, text = NOT_JUDGED, f"{text}; judged from {DISTANCE_SCREENS} screens on"
    return {
        "null_model": "", "test": "magnitude", "judge": "each", "truth": 0.0,
        "tested": len(records), "difference": mean, "verdict": verdict, "reason": text,
    }  # fmt: skip
