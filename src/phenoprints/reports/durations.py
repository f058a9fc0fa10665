"""What every stage cost: time, as Snakemake measured it, and space."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

STAGE_OF_RULE = {
    "read_screen": "screens",
    "assess_quality": "quality",
    "precomputed_embeddings": "embeddings",
    "random_embeddings": "embeddings",
    "study_seed": "training",
    "study_page": "reports",
}
"""Stages of rules whose name does not begin with a stage's name or verb (tested)."""

STAGES = (
    "screens", "quality", "training", "embeddings", "alignment", "consistency", "curation",
    "probes", "maps", "benchmarks", "reports",
)  # fmt: skip
"""In the order of the journey."""

SIZED_STAGES = (
    "screens", "quality", "embeddings", "blocks", "alignment", "consistency", "curation",
    "encoders", "probes", "maps", "benchmarks",
)  # fmt: skip

PREFIXES = {
    "screen": "screens", "pack": "screens", "image": "screens", "quality": "quality",
    "embed": "embeddings",
    "align": "alignment", "consistency": "consistency", "curat": "curation", "funnel": "curation",
    "train": "training", "encoder": "training", "probe": "probes", "block": "probes",
    "trim": "probes", "task": "probes", "map": "maps",
    "benchmark": "benchmarks", "report": "reports",
}  # fmt: skip


def stage_of(rule: str) -> str:
    """Return the stage that a rule belongs to; the rule itself where it cannot be told."""
    if rule in STAGE_OF_RULE:
        return STAGE_OF_RULE[rule]
    words = rule.split("_")
    for word in words:
        for prefix, stage in PREFIXES.items():
            if word.startswith(prefix):
                return stage
    return rule


def job_durations(folder: Path) -> pd.DataFrame:
    """One row per job: stage, rule, job, seconds and peak_mb (NaN where not measured)."""
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        relative = path.relative_to(folder)
        try:
            table = pd.read_csv(path, sep="\t", na_values=["-"])
        except (ValueError, OSError):
            continue
        if "s" not in table or table.empty:
            continue
        rule = relative.parts[0] if len(relative.parts) > 1 else relative.stem
        peak = pd.to_numeric(table.get("max_rss", pd.Series(dtype=float)), errors="coerce").max()
        rows.append(
            {
                "stage": stage_of(rule), "rule": rule, "job": relative.with_suffix("").as_posix(),
                "seconds": float(table["s"].sum()), "peak_mb": float(peak),
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=["stage", "rule", "job", "seconds", "peak_mb"])


def stage_durations(jobs: pd.DataFrame) -> pd.DataFrame:
    """One row per stage, in the order of the journey: jobs, their seconds, highest peak memory."""
    grouped = jobs.groupby("stage", sort=False)
    table = grouped.agg(
        jobs=("job", "size"), seconds=("seconds", "sum"), peak_mb=("peak_mb", "max")
    ).reset_index()
    place = {stage: at for at, stage in enumerate(STAGES)}
    order = table["stage"].map(lambda stage: (place.get(stage, len(place)), stage))
    return table.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def stage_sizes(folder: Path) -> pd.DataFrame:
    """One row per stage that has left files in the run's folder: stage, files and bytes.

    Folders of images are left out: they may hold millions of files.
    """
    rows = []
    for stage in SIZED_STAGES:
        files = list(_files(folder / stage))
        if files:
            rows.append({"stage": stage, "files": len(files), "size": sum(files)})
    return pd.DataFrame(rows, columns=["stage", "files", "size"])


def _files(folder: Path) -> Iterator[int]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "images")
        for name in names:
            yield (Path(place) / name).stat().st_size
