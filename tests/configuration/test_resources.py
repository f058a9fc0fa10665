"""Memory that grows after a failure, threads and GPUs of jobs; messages at the end of a run."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest

from phenoprints.configuration import load
from phenoprints.configuration.resources import JobResources, memory_mb
from phenoprints.configuration.run_messages import failure_message, success_message

CONFIG = {
    "run": "r",
    "screens": {"s": {"source": "simulated"}},
    "manifests": {"m": {"screens": ["s"]}},
    "encoders": {"e": {"kind": "mae", "architecture": "vit-tiny", "manifest": "m"}},
}
JOB = SimpleNamespace(encoder="e", screen="s")


def resources(**sections):
    return JobResources(load({**CONFIG, **sections}))


def test_memory_grows_by_half_after_each_failure():
    assert [memory_mb(1000)(None, attempt=n) for n in (1, 2, 3)] == [1000, 1500, 2000]
    of_input = memory_mb(lambda wildcards, paths: 100 * len(paths))
    assert of_input(None, [1, 2], attempt=2) == 300


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({}, (1, 0, 1, None)),
        ({"device": "cuda", "devices": 4, "nodes": 2, "num_workers": 3}, (16, 8, 2, "srun")),
        ({"device": "cpu", "devices": 2}, (2, 0, 1, None)),
    ],
)
def test_training_asks_for_what_its_devices_need(training, expected):
    of = resources(training=training)
    threads, gpus, nodes = of.training_threads(JOB), of.training_gpus(JOB), of.training_nodes(JOB)
    assert (threads, gpus, nodes, of.training_launcher(JOB)) == expected


def test_a_training_job_ends_before_its_limit_and_asks_for_memory():
    assert resources(training={"hours": 2.5}).training_minutes(JOB) == 165
    inputs = SimpleNamespace(images=["absent/images.json"], get=lambda name: None)
    assert resources().training_memory_mb(JOB, inputs) > 3_000


def test_inference_and_quality():
    of = resources(inference={"num_workers": 3, "device": "cuda"}, workers={"cluster": "slurm"})
    assert (of.inference_threads(JOB), of.inference_gpus(JOB), of.quality_threads(JOB)) == (4, 1, 1)
    assert resources().quality_threads(JOB) == 4
    assert resources().inference_gpus(JOB) == 0


@pytest.fixture
def expand(tmp_path):
    folder = tmp_path / "results/r"
    (folder / "reports").mkdir(parents=True)
    (folder / "logs").mkdir()
    paths = {
        "<report_verdicts>": folder / "reports/verdicts.json",
        "<report_index>": folder / "reports/index.html",
        "<logs>": folder / "logs",
    }
    return lambda kind: str(paths[kind])


def test_a_run_that_ends_well_counts_its_verdicts(expand, tmp_path):
    assert success_message(expand) == ""
    counts = {"FAIL": 0, "CHECK": 2, "NOT RUN": 1, "PASS": 7}
    path = tmp_path / "results/r/reports/verdicts.json"
    path.write_text(json.dumps({"counts": counts}))
    assert "0 FAIL, 2 CHECK, 1 NOT RUN, 7 PASS" in success_message(expand)
    assert "index.html" in success_message(expand)


def test_a_run_that_stops_names_the_first_error_and_how_to_resume(expand, tmp_path):
    told = failure_message(expand, time.time() - 60)
    assert told.startswith("\nThe run stopped; completed results are kept. Logs: ")
    assert told.endswith("rerun the same command to resume.\n")
