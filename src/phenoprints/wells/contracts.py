"""The tables that a screen becomes: wells, sites and conditions."""

from __future__ import annotations

import pyarrow as pa

from phenoprints.foundations.tables import Contract
from phenoprints.wells.plates import plate_formats

ROLES = ("treatment", "negative_control", "positive_control", "unperturbed")
KINDS = ("crispr", "sirna", "orf", "compound", "other")
MODALITIES = ("cell-painting", "brightfield")

WELLS = Contract(
    name="wells",
    schema=pa.schema(
        [
            ("well_id", pa.uint64()),
            ("screen", pa.string()),
            ("experiment", pa.string()),
            ("plate", pa.string()),
            ("well", pa.string()),
            ("row", pa.int16()),
            ("column", pa.int16()),
            ("plate_format", pa.int16()),
            ("cell_type", pa.string()),
            ("background", pa.string()),
            ("modality", pa.string()),
            ("role", pa.string()),
            ("conditions", pa.list_(pa.int32())),
            ("replicate_group", pa.string()),
        ]
    ),
    unique=("experiment", "plate", "well"),
    sorted_by=("experiment", "plate", "well"),
    words={"role": ROLES, "modality": MODALITIES},
    derived={"plate_format": plate_formats},
)
"""One row per well. `row` and `column` count from 1; `well` is A01 … AF48; `plate_format` is the
number of wells of the plate (tables of 0.1 lack it: see `plate_formats`); `conditions` are
`condition_id`s (empty: unperturbed, null: unknown); "" is "none" in cell_type, background and
replicate_group."""

SITES = Contract(
    name="sites",
    schema=pa.schema(
        [
            ("well_id", pa.uint64()),
            ("site", pa.int32()),
            ("locator", pa.string()),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("channels", pa.list_(pa.string())),
        ]
    ),
    unique=("well_id", "site"),
)
"""One row per imaged site, in the order of the wells table. `locator` is `<reader>:<payload>`."""

CONDITIONS = Contract(
    name="conditions",
    schema=pa.schema(
        [
            ("condition_id", pa.int32()),
            ("perturbation", pa.string()),
            ("kind", pa.string()),
            ("gene", pa.string()),
            ("guide", pa.string()),
            ("concentration_um", pa.float64()),
            ("cell_type", pa.string()),
            ("background", pa.string()),
        ]
    ),
    unique=("condition_id",),
    sorted_by=("condition_id",),
    words={"kind": KINDS},
    may_add=True,
)
"""One row per condition; further columns are annotations (mechanism, pathway, structure)."""
