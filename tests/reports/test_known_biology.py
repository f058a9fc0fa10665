"""Tables of known biology are shown with their terms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from phenoprints.annotation import terms
from phenoprints.foundations.publishing import publish_json
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.known_biology import terms_sections


def test_licences_of_the_tables_that_were_used_are_shown(
    run_copy: Path, config: dict[str, Any]
) -> None:
    run = Run(run_copy, config)
    assert terms_sections(run) == []
    path = run_copy / "benchmarks/demo/untrained.parquet.provenance.json"
    publish_json(path, {"notes": {"terms": terms(["corum", "humap", "of your own"])}})
    (section,) = terms_sections(run)
    told = json.loads(section.parts[1].frame.set_index("table").to_json())
    assert told["licence"] == {"corum": "CC BY-NC 4.0", "humap": "CC BY 4.0"}
    assert told["use"] == {"corum": "non-commercial only", "humap": "any"}
