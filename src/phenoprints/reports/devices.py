"""What networks cost: device hours of training and embedding, from what they log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.reports.runs import Run
from phenoprints.reports.training_logs import training_metrics

COLUMNS = (
    "stage", "what", "device", "num_devices", "hours", "items", "rate", "waiting", "mfu",
)  # fmt: skip
UNKNOWN = "not told"


def device_work(run: Run) -> pd.DataFrame:
    """One row per training and per screen that a network looked at (COLUMNS).

    `items` are crops or wells, `rate` is per second, `waiting` the share of time spent waiting for
    data, `mfu` NaN where the card's peak is not known. What has left no record has no row.
    """
    rows = [*_trainings(run), *_embeddings(run)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _trainings(run: Run) -> Iterator[dict[str, Any]]:
    for encoder in run.plan.trained_encoders:
        metrics = training_metrics(run, encoder)
        if metrics is None or not {"crops", "crops_per_s"} <= {*metrics.columns}:
            continue
        told = metrics.dropna(subset=["crops", "crops_per_s"])
        crops = np.diff(told["crops"].to_numpy(float), prepend=0.0)
        seconds = crops / told["crops_per_s"].to_numpy(float)
        total = float(seconds.sum())
        if total <= 0:
            continue
        settings = run.config["encoders"][encoder].get("training") or {}
        devices = int(settings.get("devices", 1)) * int(settings.get("nodes", 1))
        yield {
            "stage": "training",
            "what": encoder,
            "device": _device(told, str(settings.get("device", ""))),
            "num_devices": devices,
            "hours": devices * total / 3600,
            "items": int(crops.sum()),
            "rate": crops.sum() / total,
            **{name: _weighted(told, name, seconds) for name in ("waiting", "mfu")},
        }


def _device(told: pd.DataFrame, asked: str) -> str:
    """Return the device that the log names; else the one that was asked for, unless that was
    `auto`.
    """
    if "device" in told and told["device"].notna().any():
        return str(told["device"].dropna().iloc[-1])
    return asked if asked in ("cpu", "cuda") else UNKNOWN


def _weighted(told: pd.DataFrame, name: str, seconds: np.ndarray) -> float:
    values = pd.to_numeric(told[name], errors="coerce") if name in told else pd.Series(dtype=float)
    known = values.notna().to_numpy()
    if not known.any():
        return float("nan")
    return float(np.average(values[known], weights=seconds[known]))


def _embeddings(run: Run) -> Iterator[dict[str, Any]]:
    for screen, encoder in run.plan.pairs:
        told = run.document("embedding_throughput", screen=screen, encoder=encoder)
        if not told or not told.get("seconds"):
            continue
        seconds = float(told["seconds"])
        yield {
            "stage": "embeddings",
            "what": f"{screen} by {encoder}",
            "device": ", ".join(map(str, told.get("devices") or [UNKNOWN])),
            "num_devices": 1,
            "hours": seconds / 3600,
            "items": int(told.get("wells", 0)),
            "rate": float(told.get("wells", 0)) / seconds,
            "waiting": float(told.get("waiting_s", 0)) / seconds,
            "mfu": np.nan,
        }
