"""The artefacts of one manifest: folders of parts, and the figures of its funnel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.consistency import ConsistencySettings
from phenoprints.curation.false_positives import (
    expected_false,
    judges_of,
    overlap_of_judges,
    warnings_of,
)
from phenoprints.curation.funnel import Funnel, Thin, curate_parts
from phenoprints.curation.measured import measured_false
from phenoprints.curation.parts import Parts
from phenoprints.curation.phenoprints import judged_units
from phenoprints.curation.rules import Rules
from phenoprints.curation.writing import FolderSink
from phenoprints.foundations.publishing import published_folder

ScreenTables = Mapping[str, pd.DataFrame]


def write_manifest(
    parts: Parts,
    phenoprints: pd.DataFrame,
    rules: Rules,
    manifest: str | Path,
    reasons: str | Path,
    *,
    seed: int = 0,
    workers: int = 1,
    thin: Thin | None = None,
) -> Funnel:
    """Run the funnel and publish two folders of Parquet parts, whole or not at all.

    `manifest` holds the wells to learn from (part-*.parquet), with the columns of the wells table,
    condition ids in the numbering of `phenoprints`, and `locators`; and their good sites
    (sites-*.parquet, contract SITES), where the screens have images. `thin` is that of
    `curate_parts`. `reasons` holds well_id, step
    and reason of all other wells. Their bytes depend neither on `workers` nor on the order of the
    parts.
    """
    with published_folder(manifest) as stays, published_folder(reasons) as leaves:
        sink = FolderSink(stays, leaves)
        return curate_parts(parts, phenoprints, rules, sink, seed=seed, workers=workers, thin=thin)


def figures(
    funnel: Funnel,
    phenoprints: pd.DataFrame,
    genes: pd.DataFrame,
    consistency: Mapping[str, ScreenTables],
    rules: Rules,
    settings: Mapping[str, ConsistencySettings],
    new_ids: Mapping[str, NDArray[np.int32]] | None = None,
) -> dict[str, Any]:
    """Everything that is counted about a manifest, as plain data for funnel.json.

    `new_ids` are those of `phenoprints_table`.
    """
    units = judged_units(phenoprints, genes, rules)
    measured = measured_false(
        consistency, rules, conditions=phenoprints, new_ids=new_ids, settings=settings
    )
    warnings = warnings_of(consistency, units, rules, settings, funnel.reached, measured)
    return {
        "steps": funnel.steps,
        "judges": {judge: _judge(phenoprints, judge, rules) for judge in judges_of(phenoprints)},
        "conditions": _verdicts(phenoprints),
        "genes": _verdicts(genes),
        "overlap": overlap_of_judges(units, rules),
        "expected_false": expected_false(units, rules, funnel.judged_wells),
        "measured_false": measured,
        "nominal_rate": rules.p_value,
        "warnings": [
            {
                "kind": kind,
                "where": each.where,
                "what": each.what,
                "expected": each.expected,
                "fix": each.fix,
            }
            for kind, problems in warnings.items()
            for each in problems
        ],
    }


def _judge(table: pd.DataFrame, judge: str, rules: Rules) -> dict[str, int]:
    p = "p_value" if rules.combine == "cauchy" else "smallest_p_value"
    return {
        "tested": int(table[f"p_value_{judge}"].notna().sum()),
        "phenoprints": int((table[f"{p}_{judge}"] < rules.p_value).sum()),
        "q_below_0.05": int((table[f"q_value_{judge}"] < 0.05).sum()),
        "depends_on_clip": int(table[f"depends_on_clip_{judge}"].sum()),
    }


def _verdicts(table: pd.DataFrame) -> dict[str, int]:
    return {
        "all": len(table),
        "testable": int(table["is_testable"].sum()),
        "with_phenoprint": int(table["has_phenoprint"].sum()),
    }
