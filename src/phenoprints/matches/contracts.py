"""The table of matches."""

from __future__ import annotations

import pyarrow as pa

from phenoprints.foundations.tables import Contract

MATCHES = Contract(
    name="matches",
    schema=pa.schema(
        [
            ("condition_id", pa.int32()),
            ("name", pa.string()),
            ("perturbation", pa.string()),
            ("kind", pa.string()),
            ("gene", pa.string()),
            ("concentration_um", pa.float64()),
            ("cell_type", pa.string()),
            ("background", pa.string()),
            ("num_wells", pa.int32()),
            ("consistency_p_value", pa.float64()),
            ("consistency_reason", pa.string()),
            ("rank", pa.int32()),
            ("level", pa.string()),
            ("neighbour", pa.string()),
            ("neighbour_kind", pa.string()),
            ("neighbour_cell_type", pa.string()),
            ("annotation", pa.string()),
            ("cosine", pa.float64()),
            ("low", pa.float64()),
            ("high", pa.float64()),
            ("p_value", pa.float64()),
            ("q_value", pa.float64()),
            ("smallest_p", pa.float64()),
            ("num_sets", pa.float64()),
            ("reason", pa.string()),
            ("is_novel", pa.bool_()),
            ("is_misfit", pa.bool_()),
            ("x", pa.float64()),
            ("y", pa.float64()),
        ]
    ),
    unique=("condition_id", "rank"),
    sorted_by=("condition_id", "rank"),
)
"""One row per new condition and neighbour; `rank` counts from 1 and is 0 in the only row of a
condition without a neighbour. `low` and `high` are a 95 % interval of the cosine; `reason` says why
p and q are NaN; `x` and `y` are the place on the reference's map."""
