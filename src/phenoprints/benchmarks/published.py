"""The paper's own results, to be printed beside ours and always marked as published."""

from __future__ import annotations

from importlib import resources

import pandas as pd


def published_results() -> pd.DataFrame:
    """Tables 1, 2, 3 and 6 and the probe results of *ViTally Consistent*, cell by cell.

    Columns table, encoder, block ("-" without), is_trimmed, metric, value, sd_or_mad (NaN
    without). Source: Kenyon-Dean et al. 2024, arXiv:2411.02572.
    """
    path = resources.files("phenoprints.benchmarks") / "data" / "published.tsv"
    with path.open(encoding="utf-8") as lines:
        table = pd.read_csv(lines, sep="\t", dtype={"block": str})
    table["is_trimmed"] = table.pop("trimmed") == "yes"
    return table
