"""`snakemake --profile slurm all` on a real Slurm gives what a local run gives."""

from __future__ import annotations

import csv
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from phenoprints.configuration.models.stages import Workers
from phenoprints.foundations.workers import worker_pool

from .conftest import Folder, Job, differing, jobs, shell, wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]

DASK_ON_SLURM = {"cluster": "slurm", "num_jobs": 1, "cores": 2, "memory_mb": 1000}


def test_a_whole_run_gives_the_same_bytes_through_a_drained_node_and_an_edit(folder, request):
    folder.configure(workers={**DASK_ON_SLURM, "folder": str(folder.path / "workers")})
    with folder.started("--", "all") as process:
        node = folder.wait_for_running("read_screen").node
        folder.configure(seed=7)
        shell("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        try:
            assert folder.wait_for_running("prepare_images").node != node
            folder.wait_for_running("measure_quality")
        finally:
            shell("scontrol", "update", f"nodename={node}", "state=resume")
        wait_for(lambda: "phenoprints-worker" in {job.name for job in jobs()}, "workers are asked")
        folder.ends_well(process)
    local = request.getfixturevalue("local")
    assert differing(folder.contents(), local.contents()) == []
    assert folder.printed.count("has been submitted with SLURM jobid") <= 20


def encoder_of(folder: Folder) -> dict[str, bytes]:
    contents = folder.contents()
    return {name: data for name, data in contents.items() if name.startswith("encoders/judge/")}


def newest_step(folder: Folder) -> int:
    found = (folder.results / "encoders/judge.training/checkpoints").glob("step-*/state.json")
    return max((int(path.parent.name.removeprefix("step-")) for path in found), default=0)


def wait_for_checkpoint(folder: Folder) -> Job:
    """The running training job, once it has saved a checkpoint."""
    job = folder.wait_for_running("train_encoder")
    wait_for(lambda: newest_step(folder), "a checkpoint is there")
    return job


def wait_for_log(folder: Folder, words: str) -> int:
    """The number of the step that the log of training tells after some words."""
    path = folder.results / "logs/train_encoder/judge.log"
    found = wait_for(
        lambda: path.exists() and re.search(rf"{words} after step (\d+)", path.read_text()), words
    )
    return int(found[1])


def send_back(job: Job, _folder: Folder) -> None:
    shell("scontrol", "requeue", job.number)


def terminate(job: Job, _folder: Folder) -> None:
    shell("scancel", "--signal=TERM", job.number)


def let_its_time_be_over(job: Job, folder: Folder) -> None:
    # Slurm looks at its clock every 30 s, in which the training would be over: hold it until then.
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        words = process.read_bytes().split(b"\0")
        if any(word.startswith(bytes(folder.path) + b"/.snakemake/scripts") for word in words[1:2]):
            os.kill(int(process.parent.name), signal.SIGSTOP)
    shell("scontrol", "update", f"jobid={job.number}", "endtime=now+1")


@pytest.mark.parametrize("preempt", [send_back, terminate, let_its_time_be_over])
def test_a_preempted_training_goes_on_where_it_was(local, curated, preempt):
    with curated.started("--", "train") as process:
        preempt(wait_for_checkpoint(curated), curated)
        saved = wait_for_log(curated, "stopped")
        assert 8 <= saved < 128
        assert wait_for_log(curated, "going on") == saved
        curated.ends_well(process)
    assert encoder_of(curated) == encoder_of(local)


def test_the_main_process_killed_and_started_again_mixes_nothing(local, curated):
    with curated.started("--", "train") as process:
        left = wait_for_checkpoint(curated)
        os.killpg(process.pid, signal.SIGKILL)
    assert curated.running("train_encoder") == left
    curated.run("--", "train")
    assert not curated.running("train_encoder")
    assert encoder_of(curated) == encoder_of(local)


def test_a_job_killed_for_memory_is_tried_again_with_more(local, curated):
    little = ["--set-resources", "train_encoder:mem_mb=150 + 3000 * (attempt - 1)"]
    curated.run(*little, "--", "train")
    assert "Trying to restart job" in curated.printed
    assert encoder_of(curated) == encoder_of(local)


def losses(folder: Folder) -> list[float]:
    with open(folder.results / "encoders/judge/losses.csv", newline="") as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


@pytest.mark.parametrize("several", ["devices", "nodes"])
def test_two_processes_of_one_job_give_the_curve_of_one(local, curated, several):
    curated.configure(training={several: 2})
    curated.run("--", "train")
    np.testing.assert_allclose(losses(curated), losses(local), rtol=1e-3)


def test_a_job_that_asks_for_a_gpu_gets_one_on_a_partition_that_has_some(curated):
    curated.configure(training={"device": "cuda"})
    with curated.started("--", "train"):
        job = curated.wait_for_running("train_encoder")
        told = shell("scontrol", "show", "job", "--details", job.number)
    assert "GRES=gpu:1(IDX:0)" in told
    assert "Partition=gpu" in told


def test_lost_workers_are_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("phenoprints.foundations.workers.LOOK_AFTER_S", 2.0)
    settings = Workers(**DASK_ON_SLURM, folder=str(tmp_path / "workers"))
    with worker_pool(1, settings) as spread:
        results = spread(time.sleep, [0.5] * 20)
        next(results)
        before = {job.number for job in jobs() if job.name == "phenoprints-worker"}
        shell("scancel", *before)
        assert len(list(results)) == 19
