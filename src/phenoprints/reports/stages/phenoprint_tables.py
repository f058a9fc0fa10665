"""What the page of curation reads: the funnel, judged conditions, and the truth."""

from __future__ import annotations

import pandas as pd

from phenoprints.reports.frames import is_true
from phenoprints.reports.proportions import Share
from phenoprints.reports.runs import Run

TOLD_ELSEWHERE = ("control", "resolution")
"""Warnings of the funnel that have rules of their own, CU107 and CO103."""

STEP_COLUMNS = ("step", "what", "wells_in", "wells_out", "conditions_in", "conditions_out")


def funnel_steps(run: Run, manifest: str) -> pd.DataFrame:
    """One row per step (0 is held-out experiments): STEP_COLUMNS and `reasons`, wells by reason."""
    document = run.document("funnel", manifest=manifest) or {}
    rows = [
        {
            "step": f"{number} {step['step'].replace('_', ' ')}",
            "what": step.get("leaves", ""),
            **{f"{what}_in": step["before"][what] for what in ("wells", "conditions")},
            **{f"{what}_out": step["after"][what] for what in ("wells", "conditions")},
            "reasons": {reason: n for reason, n in step["reasons"].items() if n},
        }
        for number, step in enumerate(document.get("steps", []))
    ]
    return pd.DataFrame(rows, columns=[*STEP_COLUMNS, "reasons"])


def funnel_warnings(run: Run, manifest: str) -> pd.DataFrame:
    """Return the funnel's warnings (where, what, expected, fix) that no other page reports."""
    document = run.document("funnel", manifest=manifest) or {}
    columns = ["kind", "where", "what", "expected", "fix"]
    warnings = pd.DataFrame(document.get("warnings", []), columns=columns)
    return warnings[~warnings["kind"].isin(TOLD_ELSEWHERE)].reset_index(drop=True)


def judges_of(phenoprints: pd.DataFrame) -> list[str]:
    """Return the judges whose combined p-values the table holds."""
    prefix = "p_value_"
    return [name.removeprefix(prefix) for name in phenoprints.columns if name.startswith(prefix)]


def count_phenoprints(phenoprints: pd.DataFrame | None) -> tuple[int, int] | None:
    """Conditions with a phenoprint, and testable ones; None where nothing judged."""
    if phenoprints is None or not judges_of(phenoprints):
        return None
    has = is_true(phenoprints["has_phenoprint"])
    testable = is_true(phenoprints["is_testable"])
    return int(has.sum()), int(testable.sum())


def nominal_rate(run: Run, manifest: str) -> float:
    """Return the expected false phenoprints per tested unit under no effect.

    Without its word on it 1 - (1 - p_value)^judges, which holds for one chance per judge.
    """
    expected = (run.document("funnel", manifest=manifest) or {}).get("expected_false") or {}
    if expected.get("rate") is not None:
        return float(expected["rate"])
    settings = run.config["manifests"][manifest]
    return float(1 - (1 - float(settings["p_value"])) ** len(settings["judges"]))


def truth_table(run: Run, manifest: str) -> pd.DataFrame | None:
    """Conditions of simulated screens with truth and verdict, or None without a truth."""
    phenoprints = run.table("phenoprints", manifest=manifest)
    if phenoprints is None or not judges_of(phenoprints):
        return None
    tables = []
    for screen in run.config["manifests"][manifest]["screens"]:
        truth = run.table_at(run.folder / "screens" / screen / "truth.parquet")
        if truth is not None:
            tables.append(truth)
    if not tables:
        return None
    keys = ["perturbation", "concentration_um"]
    truth = pd.concat(tables, ignore_index=True).drop_duplicates(keys)
    columns = [*keys, "has_phenoprint", "is_testable"]
    return truth.merge(phenoprints[columns], on=keys, how="inner")


def recovery(truth: pd.DataFrame) -> dict[str, Share]:
    """Recall, precision and false calls; `partial` counts in none."""
    called = is_true(truth["has_phenoprint"])
    full, none = truth["truth"] == "full", truth["truth"] == "none"
    found, false = int((called & full).sum()), int((called & none).sum())
    return {
        "recall": Share(found, int(full.sum())),
        "precision": Share(found, found + false),
        "false_calls": Share(false, int(none.sum())),
    }


def decided_by_clip(phenoprints: pd.DataFrame) -> pd.Series:
    """Whether any judge's verdict on a condition depends on the upper clip."""
    columns = [name for name in phenoprints.columns if name.startswith("depends_on_clip_")]
    flags: pd.Series = phenoprints[columns].fillna(False).astype(bool).any(axis=1)
    return flags
