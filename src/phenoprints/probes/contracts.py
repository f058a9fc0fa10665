"""The tables of the probes: the split of a task, accuracies of blocks, and confusions."""

from __future__ import annotations

import pyarrow as pa

from phenoprints.foundations.tables import Contract

SPLIT = Contract(
    name="split",
    schema=pa.schema(
        [
            ("well_id", pa.uint64()),
            ("screen", pa.string()),
            ("experiment", pa.string()),
            ("cell_type", pa.string()),
            ("background", pa.string()),
            ("label", pa.string()),
            ("split", pa.string()),
        ]
    ),
    unique=("screen", "well_id"),
    sorted_by=("screen", "experiment", "well_id"),
    words={"split": ("train", "validation", "test", "")},
)
"""A row per labelled well; `split` is "" where its class has too few experiments."""

_RUN = [
    ("encoder", pa.string()),
    ("task", pa.string()),
    ("screen", pa.string()),
    ("cell_type", pa.string()),
    ("background", pa.string()),
    ("block", pa.int32()),
]

ACCURACIES = Contract(
    name="accuracies",
    schema=pa.schema(
        [
            *_RUN,
            ("balanced_accuracy", pa.float64()),
            ("validation_accuracy", pa.float64()),
            ("standard_error", pa.float64()),
            ("train_accuracy", pa.float64()),
            ("num_iterations", pa.int32()),
            ("has_converged", pa.bool_()),
            ("num_classes", pa.int32()),
            ("num_train", pa.int32()),
            ("num_validation", pa.int32()),
            ("num_test", pa.int32()),
        ]
    ),
    unique=("encoder", "task", "screen", "cell_type", "background", "block"),
    sorted_by=("encoder", "task", "screen", "cell_type", "background", "block"),
    may_add=True,
)
"""`balanced_accuracy` is that of the test split; blocks count from 1."""

CONFUSIONS = Contract(
    name="confusions",
    schema=pa.schema(
        [
            *_RUN,
            ("label", pa.string()),
            ("predicted", pa.string()),
            ("num_wells", pa.int32()),
        ]
    ),
    sorted_by=("encoder", "task", "screen", "cell_type", "background", "block", "label",
               "predicted"),
)  # fmt: skip
"""Test wells by true and predicted class, for the best and the last block."""
