"""The quality table: a row per site and per well, with a verdict and its reasons."""

from __future__ import annotations

import pyarrow as pa

from phenoprints.foundations.tables import Contract

VERDICTS = ("pass", "fail", "not assessed")

QUALITY = Contract(
    name="quality",
    schema=pa.schema(
        [
            ("well_id", pa.uint64()),
            ("site", pa.int32()),
            ("verdict", pa.string()),
            ("reasons", pa.list_(pa.string())),
        ]
    ),
    unique=("well_id", "site"),
    words={"verdict": VERDICTS},
    may_add=True,
)
"""`site` is -1 in the row that speaks for the whole well; `reasons` are rule codes; further columns
are metrics, named `<metric>_<channel>` in lower case."""
