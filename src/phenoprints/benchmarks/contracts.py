"""The benchmark table: a row per benchmark, source and metric of one screen and encoder."""

from __future__ import annotations

import pyarrow as pa

from phenoprints.foundations.tables import Contract

SEEN = ("none", "screen", "experiments")

BENCHMARKS = Contract(
    name="benchmarks",
    schema=pa.schema(
        [
            ("benchmark", pa.string()),
            ("source", pa.string()),
            ("context", pa.string()),
            ("encoder", pa.string()),
            ("block", pa.string()),
            ("metric", pa.string()),
            ("value", pa.float64()),
            ("sd", pa.float64()),
            ("n", pa.int64()),
            ("seen", pa.string()),
            ("random", pa.float64()),
            ("random_sd", pa.float64()),
            ("z", pa.float64()),
            ("significance", pa.float64()),
            ("reason", pa.string()),
        ]
    ),
    unique=("benchmark", "source", "context", "metric"),
    sorted_by=("benchmark", "source", "context", "metric"),
    words={"seen": SEEN},
)
"""`context` is kind, cell type and background where a screen has several. `sd` is over draws, pairs
or perturbations, as the benchmark says; `n` counts what the value is a mean of. `random` is the
same figure for random vectors, names or scores, and `z` = (value - random)/sqrt(sd² + random_sd²),
NaN where both are 0. `significance` says whether the value differs from chance, where z compares
with the spread between perturbations: (value - mean)/sd of draws of the value itself without any
signal (names, scores or labels permuted), NaN where there are none. `seen` says what the encoder
has learned from: `none` of the screen, the `screen` (other experiments of it) or these
`experiments` themselves. A benchmark that could not run has one row with metric "", NaN and the
`reason`."""

_MEASURE = [
    ("screen", pa.string()),
    ("benchmark", pa.string()),
    ("source", pa.string()),
    ("context", pa.string()),
    ("metric", pa.string()),
    ("encoder", pa.string()),
    ("value", pa.float64()),
]

BY_PROBES = Contract(
    name="by_probes",
    schema=pa.schema(
        [
            ("is_published", pa.bool_()),
            ("task", pa.string()),
            *_MEASURE,
            ("balanced_accuracy", pa.float64()),
            ("spearman", pa.float64()),
            ("num_encoders", pa.int64()),
        ]
    ),
    sorted_by=("is_published", "task", "screen", "benchmark", "source", "context", "metric",
               "encoder"),
)  # fmt: skip
"""Probe accuracy and benchmark of each encoder (Figure 4), with their rank correlation over all
`num_encoders` of a task and measure. Published rows are the paper's correlations: no encoder, 0 of
them, no accuracy."""

BY_TRAINING = Contract(
    name="by_training",
    schema=pa.schema(
        [
            ("is_published", pa.bool_()),
            *_MEASURE,
            ("training_flops", pa.float64()),
            ("slope", pa.float64()),
            ("intercept", pa.float64()),
            ("r_squared", pa.float64()),
            ("num_encoders", pa.int64()),
        ]
    ),
    sorted_by=("is_published", "screen", "benchmark", "source", "context", "metric", "encoder"),
)
"""Training FLOPs and benchmark of each encoder (Figure 9), with the line value = intercept +
slope · log10(FLOPs) over the encoders of a measure; NaN below three. Published rows are the paper's
encoders, whose FLOPs are reckoned here."""
