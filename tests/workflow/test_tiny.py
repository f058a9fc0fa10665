"""The promises of a whole run, kept by one that is as small as it can be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("tiny")]

APART = {"logs", "durations", "reports", "reports.provenance.json", "fingerprints", "stale"}
"""What tells of time; pages show durations, and the cache of fingerprints has times."""

TIMED = re.compile(r"\.training/|\.units/|\.throughput\.json")
"""Logs of training, markers and rates of embedding, which lie beside what they made."""


def contents(results: Path) -> dict[str, bytes]:
    files = [path for path in sorted(results.rglob("*")) if path.is_file()]
    named = {path.relative_to(results): path for path in files}
    return {
        str(name): path.read_bytes()
        for name, path in named.items()
        if name.parts[0] not in APART and not TIMED.search(str(name))
    }


def test_the_same_seed_gives_the_same_bytes(tiny, tiny_again):
    first, second = contents(tiny), contents(tiny_again)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert len(first) > 50


def test_two_runs_say_the_same_however_long_they_took(tiny, tiny_again):
    first, second = (
        json.loads((results / "reports.provenance.json").read_text())["notes"]["findings_sha256"]
        for results in (tiny, tiny_again)
    )
    assert first == second


def dry_run(results, workflow):
    folder = results.parents[1]
    done = workflow(folder, "--dry-run", "--configfile", str(folder / "config.yaml"), "--", "all")
    text = done.stdout + done.stderr
    return set(re.findall(r"^(\w+)\s+\d+$", text, flags=re.MULTILINE)) - {"all", "total"}


def test_a_second_run_does_nothing(tiny, workflow):
    assert dry_run(tiny, workflow) == set()


DEPENDENTS = {
    "benchmarks/tiny/judge.parquet": {"run_benchmarks", "compare_encoders", "write_reports"},
    "benchmarks/by_training.parquet": {"compare_encoders", "write_reports"},
    "maps/tiny/judge.provenance.json": {
        "build_map",
        "run_benchmarks",
        "compare_encoders",
        "write_reports",
    },
    "consistency/tiny/judge.parquet": {"consistency_tests", "curate_manifest", "write_reports"},
    "curation/phenoprints/manifest.provenance.json": {"curate_manifest", "write_reports"},
    "reports/index.html": {"write_reports"},
}


@pytest.mark.parametrize("artefact", DEPENDENTS)
def test_a_deleted_artefact_rebuilds_just_what_depends_on_it(artefact, tiny_again, workflow):
    path = tiny_again / artefact
    aside = path.with_name(path.name + ".aside")
    path.rename(aside)
    try:
        assert dry_run(tiny_again, workflow) == DEPENDENTS[artefact]
    finally:
        aside.rename(path)


def test_every_artefact_has_its_provenance(tiny):
    needed = [*tiny.glob("screens/*/*.parquet"), *tiny.glob("quality/*.parquet")]
    needed += [*tiny.glob("consistency/*/*.parquet"), *tiny.glob("benchmarks/*/*.parquet")]
    needed += [path for path in tiny.glob("encoders/*") if path.is_dir() and "." not in path.name]
    assert len(needed) > 10
    without = [p.name for p in needed if not p.with_name(p.name + ".provenance.json").exists()]
    assert without == []


def test_logs_say_how_far_jobs_were_and_have_no_control_characters(tiny):
    logs = {path.relative_to(tiny / "logs"): path for path in (tiny / "logs").rglob("*.log")}
    texts = {str(name): path.read_text(encoding="utf-8") for name, path in logs.items()}
    assert [
        name for name, text in texts.items() if re.search(r"[^\n\t -~\u00a0-\uffff]", text)
    ] == []
    ends = {
        "prepare_images/tiny": "288 of 288 sites in",
        "measure_quality/tiny.0": "288 of 288 sites in",
        "train_encoder/judge": "128 of 128 steps in",
        "embeddings/tiny.judge": "288 of 288 wells in",
        "consistency/tiny.judge": "3 of 3 experiments in",
        "curate_manifest/phenoprints": "1 of 1 parts in",
        "build_map/tiny.judge": "3 of 3 experiments in",
        "run_benchmarks/tiny.judge": "2 of 2 benchmarks in",
    }
    told = {job: [line for line in texts[f"{job}.log"].splitlines() if job in line] for job in ends}
    assert {job: lines for job, lines in told.items() if ends[job] not in "".join(lines)} == {}
