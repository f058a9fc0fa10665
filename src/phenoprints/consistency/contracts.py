"""The consistency table: one test per experiment and condition (or gene, or pseudo-condition)."""

from __future__ import annotations

import pyarrow as pa

from phenoprints.foundations.tables import Contract

LEVELS = ("condition", "gene", "control", "control_gene")

CONSISTENCY = Contract(
    name="consistency",
    schema=pa.schema(
        [
            ("level", pa.string()),
            ("experiment", pa.string()),
            ("condition_id", pa.int32()),
            ("name", pa.string()),
            ("num_wells", pa.int32()),
            ("statistic", pa.float64()),
            ("p_value", pa.float64()),
            ("num_sets", pa.float64()),
            ("smallest_p", pa.float64()),
            ("single_position", pa.bool_()),
            ("single_plate", pa.bool_()),
            ("reason", pa.string()),
        ]
    ),
    sorted_by=("level", "experiment", "condition_id", "name"),
    words={"level": LEVELS},
)
"""`condition` rows carry a condition_id; `gene` rows have condition_id -1 and the gene as name;
`control` rows are pseudo-conditions of control wells: condition_id is the condition whose design
they copy, the name is `<round>/<copy>`, "" where nothing copies it (then `reason` is why).
`control_gene` rows copy the design of a gene: condition_id is -1, the name `<round>/<copy>/<gene>`,
or `//<gene>`.
`experiment` is "" where the test runs across experiments; `reason` is "" beside a p-value.
`num_sets` is the number of null sets that exist (at most 1e15; missing for genes by their guides),
`smallest_p` the smallest p-value that the test can give; missing where there is no null set."""
