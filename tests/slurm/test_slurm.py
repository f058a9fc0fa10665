"""`snakemake --profile slurm all` on a real Slurm gives what a local run gives."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import contents, new_folder, run, start

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def shell(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_for(happened: Callable[[], object], what: str, timeout_s: int = 120) -> object:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if value := happened():
            return value
        time.sleep(0.3)
    return pytest.fail(f"{what}: not within {timeout_s} s")


def running_job(rule: str) -> str | None:
    """The id of a running job of a rule; the executor writes the rule into the comment."""
    for line in shell("squeue", "--noheader", "--format=%i|%T|%k").splitlines():
        job, state, comment = line.split("|", 2)
        if state == "RUNNING" and rule in comment:
            return job
    return None


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the tiny run gives on this machine."""
    folder = new_folder(tmp_path_factory.mktemp("local"), "run")
    run(folder, "--", "all", slurm=False)
    return contents(folder)


def differing(ours: dict[str, bytes], theirs: dict[str, bytes]) -> list[str]:
    return sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )


def test_a_whole_run_gives_the_same_bytes_through_a_drained_node_and_an_edit(local, tmp_path):
    folder = new_folder(tmp_path, "run")
    process = start(folder, "--", "all")
    wait_for(lambda: running_job("prepare_images"), "the images are being prepared")
    configuration = folder / "config.yaml"
    configuration.write_text(configuration.read_text() + "seed: 7\n")
    node = os.uname().nodename.split(".")[0]
    shell("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    time.sleep(5)
    shell("scontrol", "update", f"nodename={node}", "state=resume")
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    assert differing(contents(folder), local) == []


def encoder_of(results: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in results.items() if name.startswith("encoders/judge/")}


def checkpoints(folder: Path) -> list[Path]:
    return list((folder / "results/tiny/encoders").glob("judge.training/**/step-*"))


def test_a_preempted_training_goes_on_where_it_was(local, tmp_path):
    folder = new_folder(tmp_path, "run")
    process = start(folder, "--", "train")
    job = wait_for(lambda: running_job("train_encoder"), "the encoder is being trained")
    wait_for(lambda: checkpoints(folder), "a checkpoint is there")
    shell("scontrol", "requeue", str(job))
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    assert encoder_of(contents(folder)) == encoder_of(local)


def test_the_main_process_killed_and_started_again_mixes_nothing(local, tmp_path):
    folder = new_folder(tmp_path, "run")
    process = start(folder, "--", "train")
    wait_for(lambda: running_job("train_encoder"), "the encoder is being trained")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run(folder, "--unlock")
    run(folder, "--", "train")
    assert encoder_of(contents(folder)) == encoder_of(local)


def test_a_job_killed_for_memory_is_tried_again_with_more(local, tmp_path):
    folder = new_folder(tmp_path, "run")
    little = ["--set-resources", "make_encoder:mem_mb=150 + 2000 * (attempt - 1)"]
    printed = run(folder, *little, "--", "train")
    assert "Trying to restart job" in printed
    assert encoder_of(contents(folder)) == encoder_of(local)
