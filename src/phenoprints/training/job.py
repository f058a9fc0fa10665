"""One training job: from the files that the workflow names to an encoder's folder."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from phenoprints.foundations.errors import ConfigurationError, PhenoprintsError
from phenoprints.foundations.locks import lock_folder
from phenoprints.foundations.progress import ProgressSink, progress_to
from phenoprints.foundations.publishing import publish_json
from phenoprints.screens.images import open_images
from phenoprints.training.dataset import (
    CONDITION_COLUMNS,
    Corpus,
    corpus_of_manifest,
    corpus_of_screen,
)
from phenoprints.training.interruption import SIGNALS
from phenoprints.training.settings import TrainingSettings
from phenoprints.training.sources import StoredImages
from phenoprints.training.train import EncoderPlan, Outcome, train
from phenoprints.wells import CONDITIONS, Screen

DONE = "done.json"
"""What the processes of a job leave for the one that started them."""
SHUTDOWN_S = 600
FIRST_PORT, NUM_PORTS = 20_000, 10_000
"""Where the processes of several nodes meet; jobs that share a node meet at ports of their own."""


@dataclass(frozen=True)
class TrainingJob:
    """What one encoder is trained from; plain values, so that it can be sent to other processes.

    Attributes
    ----------
    settings
        The encoder's entry of the configuration, its `training` resolved.
    folder
        Where the encoder is written.
    images
        By screen, its images.json.
    manifest, conditions
        The folder of a manifest, and the table of conditions in its numbering.
    screen, quality
        In place of a manifest: the folder of one screen, and its quality table.
    start_from
        A model folder, or None.
    """

    settings: Mapping[str, Any]
    folder: str
    images: Mapping[str, str]
    manifest: str | None = None
    conditions: str | None = None
    screen: str | None = None
    quality: str | None = None
    start_from: str | None = None
    seed: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def training(self) -> TrainingSettings:
        """The settings of training."""
        return TrainingSettings(**self.settings["training"])

    def corpus(self) -> Corpus:
        """Return the training set."""
        is_classifier = self.settings["kind"] == "weakly-supervised"
        labels = self.settings.get("labels", "perturbation") if is_classifier else None
        asks_for_unperturbed = bool(self.settings.get("classify_unperturbed"))
        chosen: dict[str, Any] = {"labels": labels, "classify_unperturbed": asks_for_unperturbed}
        if self.manifest is not None and self.conditions is not None:
            conditions = CONDITIONS.read(self.conditions, CONDITION_COLUMNS)
            return corpus_of_manifest(self.manifest, conditions, **chosen)
        if self.screen is not None:
            return corpus_of_screen(Screen.open(self.screen, self.quality), **chosen)
        raise ConfigurationError("A training job needs a manifest and its conditions, or a screen.")


def run_job(job: TrainingJob) -> dict[str, Any]:
    """Train in this process; figures about what was done."""
    return _train(job).figures()


def _train(job: TrainingJob) -> Outcome:
    settings, corpus = job.training, job.corpus()
    screens = {name: open_images(path) for name, path in job.images.items()}
    images = StoredImages(corpus, screens, cache_mb=settings.cache_mb)
    images.check_stores()
    return train(
        corpus,
        images,
        job.folder,
        plan=EncoderPlan(
            kind=job.settings["kind"],
            architecture=job.settings["architecture"],
            crop_px=job.settings.get("crop_px"),
            pool=job.settings.get("pool"),
            start_from=job.start_from,
        ),
        settings=settings,
        seed=job.seed,
    )


def launch_job(job: TrainingJob) -> dict[str, Any]:
    """Train on the configured devices: in this process, or in one process per device.

    Several devices are started by torchrun, several nodes by srun within a Slurm allocation. The
    signals that ask for an end are passed on. A job that trains the same encoder, left from a main
    process that was killed, saves and ends first; this one goes on from there.
    """
    with lock_folder(job.folder + ".training"):
        return _launch(job)


def _launch(job: TrainingJob) -> dict[str, Any]:
    settings = job.training
    if settings.devices * settings.nodes == 1:
        return run_job(job)
    path = Path(job.folder + ".training") / "job.json"
    publish_json(path, dataclasses.asdict(job))
    threads = str(settings.num_threads // settings.devices)
    run_and_pass_signals(command(settings, path), {"OMP_NUM_THREADS": threads})
    done: dict[str, Any] = json.loads(path.with_name(DONE).read_text(encoding="utf-8"))
    return done


def command(settings: TrainingSettings, path: Path) -> list[str]:
    """Return the command that starts one process per device, on every node."""
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    per_node = f"--nproc-per-node={settings.devices}"
    job = ["-m", "phenoprints.training", str(path)]
    if settings.nodes == 1:
        return [*torchrun, "--standalone", per_node, *job]
    job_id = _slurm_job()
    meeting = f"--rdzv-endpoint={socket.gethostname()}:{FIRST_PORT + job_id % NUM_PORTS}"
    across = [f"--nnodes={settings.nodes}", "--rdzv-backend=c10d", f"--rdzv-id={job_id}", meeting]
    # Another step of the job may hold its processors already.
    srun = ["srun", "--overlap", f"--nodes={settings.nodes}", f"--ntasks={settings.nodes}",
            "--ntasks-per-node=1", f"--cpus-per-task={settings.num_threads}",
            "--kill-on-bad-exit=1"]  # fmt: skip
    if settings.device == "cuda":
        srun.append(f"--gpus-per-node={settings.devices}")
    return [*srun, *torchrun, *across, per_node, *job]


def _slurm_job() -> int:
    given = os.environ.get("SLURM_JOB_ID", "0")
    return int(given) if given.isdecimal() else 0


def run_and_pass_signals(
    arguments: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Run a command to its end; SIGTERM and SIGUSR1 reach it as SIGTERM. A failure is an error."""
    # torchrun would otherwise kill its processes after 30 s, in the middle of a large checkpoint.
    patience = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SHUTDOWN_S)}
    process = subprocess.Popen(list(arguments), env={**patience, **os.environ, **environment})
    before = {
        number: signal.signal(number, lambda *_: process.send_signal(signal.SIGTERM))
        for number in SIGNALS
    }
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code:
        raise PhenoprintsError(
            f"Training ended with exit code {code}; what its processes said stands above. Start "
            "it again to go on from the newest checkpoint."
        )


def main(arguments: Sequence[str]) -> None:
    """Run the job of a JSON file, as one of the processes that torchrun or srun starts."""
    path = Path(arguments[0])
    job = TrainingJob(**json.loads(path.read_text(encoding="utf-8")))
    with progress_to(ProgressSink(sys.stderr), job=Path(job.folder).name):
        outcome = _train(job)
    if outcome.rank == 0:
        publish_json(path.with_name(DONE), outcome.figures())
