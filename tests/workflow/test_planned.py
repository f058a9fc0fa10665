"""The workflow of the paper, planned over screens that are known by their size alone."""

from __future__ import annotations

import re
import resource
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_JOBS = 300
MAX_CPU_S = 5.0


def test_the_paper_is_planned_in_seconds_and_in_few_jobs(tmp_path, workflow):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    paper = str(ROOT / "config/examples/paper.yaml")
    done = workflow(tmp_path, "--dry-run", "--configfile", paper, "--", "all")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs = re.search(r"^total\s+(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    assert jobs is not None, done.stdout + done.stderr
    assert 20 < int(jobs[1]) < MAX_JOBS
    # Processor time, which a busy machine does not stretch.
    assert after.ru_utime - before.ru_utime <= MAX_CPU_S
    assert not list((tmp_path / "results").rglob("*.parquet"))


def test_the_whole_graph_holds_a_rule_of_every_stage(tmp_path, workflow):
    paper = str(ROOT / "config/examples/paper.yaml")
    done = workflow(tmp_path, "--dry-run", "--configfile", paper, "--", "all")
    listed = set(re.findall(r"^(\w+)\s+\d+$", done.stdout + done.stderr, flags=re.MULTILINE))
    assert {
        "read_screen", "measure_quality", "train_encoder", "embedding_batch", "fit_alignment",
        "consistency_tests", "curate_manifest", "probe_blocks", "trim_encoder", "build_map",
        "run_benchmarks", "write_reports",
    } <= listed  # fmt: skip
