"""What a training has logged, finished or not: losses and speeds by step."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from phenoprints.foundations.provenance import artefact_path
from phenoprints.reports.runs import Run

LOSSES, SPEEDS, WORK_SUFFIX = "losses.csv", "speed.csv", ".training"
FIDELITY = "fidelity.csv"


def training_metrics(run: Run, encoder: str) -> pd.DataFrame | None:
    """Losses and speeds of a training, one row per logged step, sorted; None without any.

    While training runs its losses are those of the newest checkpoint, and its speeds are current.
    """
    folder = artefact_path(run.path("encoder", encoder=encoder))
    work = folder.with_name(folder.name + WORK_SUFFIX)
    losses = _read_csv(run, folder / LOSSES)
    if losses is None:
        losses = _history(run, work)
    speeds = _read_csv(run, work / SPEEDS)
    tables = [t for t in (losses, speeds) if t is not None and len(t) and "step" in t]
    if not tables:
        return None
    metrics = tables[0].drop_duplicates("step", keep="last")
    for table in tables[1:]:
        metrics = metrics.merge(table.drop_duplicates("step", keep="last"), on="step", how="outer")
    return metrics.sort_values("step", kind="stable", ignore_index=True)


def training_fidelity(run: Run, encoder: str) -> pd.DataFrame | None:
    """Return how hidden patches are predicted, all wells first; None without such a table."""
    table = _read_csv(run, artefact_path(run.path("encoder", encoder=encoder)) / FIDELITY)
    return table if table is not None and len(table) else None


def _read_csv(run: Run, path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        return pd.read_csv(path)
    except (ValueError, OSError) as error:
        run.unreadable[run.shown(path)] = f"not readable ({error})"
        return None


def _history(run: Run, work: Path) -> pd.DataFrame | None:
    """Return the rows that the newest checkpoint keeps of an unfinished training."""
    states = sorted(work.glob("**/step-*/state.json"))
    document = run.document_at(states[-1]) if states else None
    return pd.DataFrame(document["history"]) if document and document.get("history") else None
