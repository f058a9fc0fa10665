"""The Methods paragraph: only what ran, with its settings and citations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from phenoprints.reports.methods import bibliography, methods
from phenoprints.reports.runs import Run


def test_every_stage_that_ran_has_its_sentence(whole_run: Path, config: dict[str, Any]) -> None:
    text = methods(Run(whole_run, config))
    for part in ("320 wells", "typical variation", "10,000 random sets", "Cauchy", "relationships"):
        assert part in text
    for part in ("everything-mae", "Linear probes (pathway)", "one vector per perturbation"):
        assert part in text
    assert "<img" not in text


def test_what_was_asked_of_the_software_is_said(whole_run: Path, config: dict[str, Any]) -> None:
    text = methods(Run(whole_run, config))
    for part in (
        "11 of 320 wells failed", "75 % masked", "Normal random vectors", "at least 4 controls",
        "at least 1/10,000", "C = 1", "the energy distance", "Software: Phenoprints", "seed 0",
    ):  # fmt: skip
        assert part in text, part


def test_screens_that_were_treated_differently_are_told_apart(
    whole_run: Path, config: dict[str, Any]
) -> None:
    own = {**config["screens"]["demo"]["alignment"], "method": "center-scale"}
    second = {**config["screens"]["demo"], "alignment": own}
    two = {**config, "screens": {**config["screens"], "other": second}}
    text = methods(Run(whole_run, two))
    assert "typical variation normalisation [@ando2017], a batch" in text
    assert "(demo); centre-scaling on each batch's controls" in text
    assert "(other)" in text


def test_nothing_is_said_of_stages_that_did_not_run(run_copy: Path, config: dict[str, Any]) -> None:
    for path in [*run_copy.glob("maps/*/*.json"), *run_copy.glob("benchmarks/*/*")]:
        path.unlink()
    text = methods(Run(run_copy, config))
    assert "one vector per perturbation" not in text
    assert "Maps were evaluated" not in text
    assert methods(Run(run_copy / "nothing", config)) == ""


def test_every_citation_has_its_entry_and_no_more(whole_run: Path, config: dict[str, Any]) -> None:
    text = methods(Run(whole_run, config))
    cited = sorted(set(re.findall(r"@([a-z]+\d{4})", text)))
    assert re.findall(r"^@\w+\{(\w+),", bibliography(text), flags=re.MULTILINE) == cited
    assert len(cited) >= 5
