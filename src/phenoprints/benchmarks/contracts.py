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
NaN where both are 0. `seen` says what the encoder has learned from: `none` of the screen, the
`screen` (other experiments of it) or these `experiments` themselves. A benchmark that could not
run has one row with metric "", NaN and the `reason`."""
