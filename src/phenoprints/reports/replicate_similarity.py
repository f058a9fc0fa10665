"""Whether replicates lie nearer to each other than to the controls, as the encoder saw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from phenoprints.reports.page_model import Section
from phenoprints.reports.runs import Run
from phenoprints.reports.tables import Column, Table

MAX_LISTED = 2000
NOTE = (
    "Mean cosine between the wells of a condition in one experiment, and between these wells and "
    "the experiment's controls, before alignment. Cosines of raw embeddings are close to 1; only "
    "which of the two is larger tells something."
)
COLUMNS = (
    Column("screen", "Screen"),
    Column("encoder", "Encoder"),
    Column("experiment", "Experiment"),
    Column("perturbation", "Perturbation"),
    Column("num_wells", "Wells", "count"),
    Column("num_controls", "Controls", "count"),
    Column("distance_among", "Distance among replicates", "number"),
    Column("distance_controls", "Distance to controls", "number"),
    Column("verdict", "Nearer to"),
)


def share_nearer(run: Run, names: Mapping[str, str]) -> float | None:
    """Return the share of a pair's conditions, each in an experiment, nearer to themselves; or
    None.
    """
    table = run.table("embedding_replicate_similarity", ["num_controls", "is_nearer"], **names)
    if table is None:
        return None
    known = table[table["num_controls"] > 0]
    return float(known["is_nearer"].mean()) if len(known) else None


def replicate_similarity_sections(run: Run, pairs: Sequence[Mapping[str, str]]) -> list[Section]:
    """Return a table of the conditions of every pair, those that stand out most
    first; or nothing.
    """
    tables = [table for names in pairs if (table := _of_pair(run, names)) is not None]
    if not tables:
        return []
    frame = pd.concat(tables, ignore_index=True).sort_values("gap", ascending=False, kind="stable")
    caption = "Distances (1 - cosine) of replicates and controls"
    shown = Table("replicate_similarity", caption, list(COLUMNS), frame.head(MAX_LISTED), NOTE)
    return [
        Section("replicate-similarity", "Replicates against controls, before alignment", [shown])
    ]


def _of_pair(run: Run, names: Mapping[str, str]) -> pd.DataFrame | None:
    table = run.table("embedding_replicate_similarity", **names)
    conditions = run.table(
        "screen_conditions", ["condition_id", "perturbation", "gene", "concentration_um"],
        screen=names["screen"],
    )  # fmt: skip
    if table is None or conditions is None or not (table["num_controls"] > 0).any():
        return None
    known = table[table["num_controls"] > 0].merge(conditions, on="condition_id", how="left")
    added: dict[str, Any] = {
        "distance_among": 1 - known["among_replicates"],
        "distance_controls": 1 - known["to_controls"],
        "verdict": known["is_nearer"].map({True: "replicates", False: "controls"}),
    }
    frame = known.assign(**names, **added)
    return frame.assign(gap=frame["distance_controls"] / frame["distance_among"].clip(lower=1e-12))
