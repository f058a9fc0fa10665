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


STEP_GFLOP = {"ca-vit-s16": 378.4, "vit-l8": 695.7, "vit-g8": 3113.5}
"""Operations of a training step on one crop of six channels, as `models.flops` counts them."""

TRAINED = {
    "CA-MAE-S/16, RxRx3": 2.2e6 * 100 * STEP_GFLOP["ca-vit-s16"] * 1e9,
    "MAE-L/8, RPI-93M": 3.5e9 * STEP_GFLOP["vit-l8"] * 1e9,
    "MAE-L/8, Phenoprints-16M": 8e9 * STEP_GFLOP["vit-l8"] * 1e9,
    "MAE-G/8, Phenoprints-16M": 8e9 * STEP_GFLOP["vit-g8"] * 1e9,
}
"""Training FLOPs of the paper's encoders, reckoned here: the crops that it names (wells · epochs;
3.5 and 8 billion) times our count of the operations of a training step on one crop."""

WHOLE_GENOME = {
    "recall_corum": ("relationships", "corum", "recall_0.05_0.95"),
    "recall_humap": ("relationships", "humap", "recall_0.05_0.95"),
    "recall_reactome": ("relationships", "reactome", "recall_0.05_0.95"),
    "recall_stringdb": ("relationships", "stringdb", "recall_0.05_0.95"),
    "replicate_ks": ("replicates", "", "ks"),
    "replicate_cvm": ("replicates", "", "cvm"),
}
"""The paper's names of the measures of Table 1, and benchmark, source and metric here."""


def published_training() -> pd.DataFrame:
    """Table 1 at the last block of the encoders in `TRAINED`, in the columns of our tables.

    Columns benchmark, source, metric, encoder, value, training_flops.
    """
    table = published_results()
    chosen = table["table"].str.startswith("table 1") & table["encoder"].isin(list(TRAINED))
    rows = table[chosen & ~table["is_trimmed"]].reset_index(drop=True)
    names = pd.DataFrame(
        [WHOLE_GENOME[metric] for metric in rows["metric"]],
        columns=["benchmark", "source", "metric"],
    )
    return names.assign(
        encoder=rows["encoder"], value=rows["value"], training_flops=rows["encoder"].map(TRAINED)
    )


def published_correlations() -> pd.DataFrame:
    """Return the rank correlations of Anax probes with whole-genome benchmarks of Figure 4."""
    columns = ["task", "benchmark", "source", "metric", "spearman"]
    rows = [
        ("anax", "relationships", "stringdb", "recall_0.05_0.95", 0.97),
        ("anax", "replicates", "", "ks", 0.91),
    ]
    return pd.DataFrame(rows, columns=columns)
