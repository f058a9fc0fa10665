"""Dry runs under the Slurm profile: what jobs ask for, whatever machine snakemake is started on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import json, os, sys
from snakemake import logging
from snakemake.cli import main

def told(self, record):
    facts = {key: record[key] for key in ("rule_name", "local", "threads")}
    facts["resources"] = dict(record["resources"].items())
    return "JOB " + json.dumps(facts, default=str)

logging.DefaultFormatter.format_job_info = told
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # a login node with one core
main(sys.argv[1:])
"""


def jobs_of(folder: Path, **sections: Any) -> dict[str, dict[str, Any]]:
    """What a job of each rule asks for when the tiny configuration runs with these sections."""
    config = yaml.safe_load((ROOT / "tests/slurm/config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **sections}))
    arguments = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--dry-run"]
    arguments += ["--profile", str(ROOT / "slurm"), "--configfile", str(folder / "config.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments, "--", "all"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = [json.loads(line) for line in re.findall(r"^JOB (.+)$", done.stdout, flags=re.M)]
    assert told, done.stdout + done.stderr
    return {job["rule_name"]: job for job in told}


@pytest.fixture(scope="module")
def on_processors(tmp_path_factory):
    """Jobs of one node each, without GPUs, some with several threads."""
    training, inference = {"devices": 2, "num_workers": 4}, {"num_jobs": 1, "num_workers": 3}
    return jobs_of(tmp_path_factory.mktemp("dry"), training=training, inference=inference)


@pytest.fixture(scope="module")
def on_gpus(tmp_path_factory):
    """Jobs with GPUs, training on several nodes, and workers that are jobs of their own."""
    return jobs_of(
        tmp_path_factory.mktemp("dry"),
        training={"device": "cuda", "devices": 8, "nodes": 16},
        inference={"device": "cuda", "num_jobs": 1},
        workers={"cluster": "slurm"},
    )


def test_jobs_ask_for_their_processors_and_not_for_those_of_the_login_node(on_processors):
    asked = {n: job["resources"].get("cpus_per_task", 1) for n, job in on_processors.items()}
    several = {name: number for name, number in asked.items() if number != 1}
    assert several == {
        "prepare_images": 4, "measure_quality": 4, "embeddings": 4, "train_encoder": 10
    }  # fmt: skip
    # The trap: Snakemake has cut all threads to the cores of the machine that it runs on.
    assert {job["threads"] for job in on_processors.values()} == {1}


def test_every_job_on_slurm_says_its_memory_and_minutes(on_processors):
    jobs = {name: job for name, job in on_processors.items() if not job["local"]}
    assert len(jobs) > 10
    for name, job in jobs.items():
        assert {"mem_mb", "runtime"} <= job["resources"].keys(), name


def test_gpus_and_nodes_are_asked_for_by_the_configuration(on_gpus):
    gpus = {name: job["resources"].get("gpu") for name, job in on_gpus.items()}
    assert {name: number for name, number in gpus.items() if number} == {
        "embeddings": 1, "train_encoder": 128
    }  # fmt: skip
    asked = on_gpus["train_encoder"]["resources"]
    expected = {"nodes": 16, "tasks": 16, "tasks_per_gpu": 0, "mpi": "srun"}
    assert {key: asked[key] for key in expected} == expected


def test_one_node_leaves_its_step_to_the_executor(on_processors):
    asked = on_processors["train_encoder"]["resources"]
    assert "mpi" not in asked
    assert (asked["nodes"], asked["tasks"], asked["gpu"]) == (1, 1, 0)


def test_a_job_whose_workers_are_jobs_waits_with_one_processor(on_gpus):
    assert on_gpus["measure_quality"]["resources"]["cpus_per_task"] == 1


KEY = re.compile(r"\s*(# )?[a-z][a-z_-]*:( |$)")


@pytest.mark.parametrize("name", ["config.yaml", "partitions.yaml"])
def test_every_key_of_the_profile_is_explained(name):
    """By a comment beside it or above it, or above the keys that it stands among."""
    explained = False
    for line in (ROOT / "slurm" / name).read_text().splitlines():
        if KEY.match(line):
            assert explained or "#" in line.lstrip("# "), line
        else:
            explained = line.lstrip().startswith("# ")


def test_the_example_of_partitions_is_one_that_the_executor_reads():
    from snakemake_executor_plugin_slurm.partitions import read_partition_file

    partitions = read_partition_file(ROOT / "slurm/partitions.yaml")
    assert {partition.name: partition.limits.max_gpu for partition in partitions} == {
        "cpu": 0, "gpu": 128
    }  # fmt: skip
