"""A small table of profiles, the configuration that reads it, and what a run makes of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from phenoprints.configuration import load
from phenoprints.embeddings.precomputed import MatchedVectors, match_vectors
from phenoprints.embeddings.vector_tables import VectorTable, read_profiles
from phenoprints.screens import Screen, read

FEATURES = ["f0", "f1", "f2"]
COLUMNS = {
    "experiment": "batch", "plate": "plate", "well": "well", "perturbation": "compound",
    "concentration_um": "dose", "kind": {"value": "compound"},
    "role": {"column": "compound", "default": "treatment"},
}  # fmt: skip
Change = Callable[[dict[str, Any]], None]


def good_table() -> pd.DataFrame:
    """Two batches of one plate with six compounds at two doses and six controls each, as text."""
    rng = np.random.default_rng(5)
    rows = []
    for batch, plate in (("b0", "0041000"), ("b1", "0041010")):
        treatments = [(f"cpd{i}", dose) for i in range(6) for dose in ("1", "10")]
        wells = [f"{row}{column:02}" for row in "ABC" for column in range(1, 7)]
        for well, (name, dose) in zip(wells, [*treatments, *[("DMSO", "")] * 6], strict=True):
            values = [f"{value:.4f}" for value in rng.standard_normal(len(FEATURES))]
            rows.append((batch, plate, well, name, dose, *values))
    return pd.DataFrame(rows, columns=["batch", "plate", "well", "compound", "dose", *FEATURES])


def section(**changes: Any) -> dict[str, Any]:
    """The configuration of the small table; `screen` and `encoder` add to their sections."""
    screen = {
        "source": "profiles-table", "root": ".", "wells": "wells.csv", "columns": COLUMNS,
        "roles": {"DMSO": "negative_control"},
        "limits": {"compound": {"min_experiments": 1, "min_wells": 2}},
    }  # fmt: skip
    return {
        "run": "t",
        "screens": {"s": {**screen, **changes.get("screen", {})}},
        "encoders": {
            "e": {"kind": "precomputed", "screens": ["s"], **changes.get("encoder", {})},
        },
        "manifests": {"phenoprints": {"screens": ["s"], "judges": ["e"]}},
        "annotation": {"offline": True},
    }


@dataclass(frozen=True)
class Result:
    """What a run makes of the tables: the screen, the vectors and how they match."""

    screen: Screen
    table: VectorTable
    matched: MatchedVectors

    @property
    def warnings(self) -> str:
        """All that is noted, in one text."""
        notes = self.screen.notes["warnings"], self.table.notes, self.matched.warnings
        return "\n".join(line for lines in notes for line in lines)

    @property
    def roles(self) -> dict[str, int]:
        """Wells by role."""
        return {str(k): int(v) for k, v in self.screen.wells["role"].value_counts().items()}


def write_config(folder: Path, **changes: Any) -> Path:
    """Write the configuration beside the tables."""
    path = folder / "config.yaml"
    content = section(**changes)
    content["screens"]["s"]["root"] = str(folder)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def run(folder: Path, **changes: Any) -> Result:
    """Read the tables of a folder as a run does."""
    config = load(write_config(folder, **changes))
    return result_of(config)


def result_of(config: Mapping[str, Any]) -> Result:
    """Read the tables of a loaded configuration as a run does."""
    settings, encoder = config["screens"]["s"], config["encoders"]["e"]
    screen = read(settings, name="s")
    root = Path(settings["root"])
    paths = sorted(path for p in encoder["profiles"]["s"] for path in root.glob(p))
    table = read_profiles(paths, encoder, settings)
    return Result(screen, table, match_vectors(screen.wells, table))
