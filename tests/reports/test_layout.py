"""What the pages assume of the workflow: paths, and the stage of every rule."""

from __future__ import annotations

import re
from pathlib import Path

from phenoprints.configuration.layout import LAYOUT, artefact, pathvars
from phenoprints.foundations.versions import STAGE_VERSIONS
from phenoprints.reports.durations import job_durations, stage_durations, stage_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_layout_is_written_once() -> None:
    rules = [path.read_text("utf-8") for path in (ROOT / "workflow/rules").glob("*.smk")]
    templates = [template for template in LAYOUT.values() if "{" in template]
    assert not [each for each in templates if any(f"/{each}" in text for text in rules)]
    assert pathvars("x")["quality"] == "<run_dir>/quality/{screen}.parquet"
    assert artefact("results/x", "quality", screen="a") == Path("results/x/quality/a.parquet")


def test_every_measured_rule_belongs_to_a_stage() -> None:
    folders = [
        folder
        for path in (ROOT / "workflow/rules").glob("*.smk")
        for folder in re.findall(r'"<benchmarks>/(\w+)[/.]', path.read_text(encoding="utf-8"))
    ]
    assert folders
    strange = {rule for rule in folders if stage_of(rule) not in STAGE_VERSIONS}
    assert strange <= {"download_annotation"}


def test_durations_are_summed_by_stage(tmp_path: Path) -> None:
    for name, text in {
        "fit_alignment/a.tsv": "s\tmax_rss\n1.5\t10\n",
        "fit_alignment/b.tsv": "s\tmax_rss\n2.5\t-\n",
        "write_reports.tsv": "s\tmax_rss\n1\t5\n",
        "broken/c.tsv": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    jobs = job_durations(tmp_path)
    assert len(jobs) == 3
    stages = stage_durations(jobs).set_index("stage")
    assert stages.loc["alignment", "seconds"] == 4.0
    assert stages.loc["alignment", "peak_mb"] == 10.0
    assert stages.loc["reports", "jobs"] == 1
