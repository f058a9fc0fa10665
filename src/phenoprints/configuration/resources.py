"""What jobs ask a machine or a cluster for: memory that grows after a failure, threads, GPUs.

Threads are given twice in a rule: Snakemake cuts `threads` to the cores of the machine that it was
started on, also on a cluster, and `cpus_per_task` is what Slurm is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from phenoprints.configuration.memory import learned_counts, training_memory_mb


def memory_mb(first: int | Callable[[Any, Any], int]) -> Callable[..., int]:
    """Return a resource function: megabytes of the first attempt, half as much again after each.

    `first` is a number, or a function of the wildcards and the input.
    """
    if callable(first):
        return lambda wildcards, input, attempt: first(wildcards, input) * (attempt + 1) // 2  # noqa: A006
    return lambda wildcards, attempt: first * (attempt + 1) // 2  # noqa: ARG005


class JobResources:
    """Threads, GPUs, minutes and memory of the jobs of one run.

    Parameters
    ----------
    config
        The resolved configuration.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config

    def quality_threads(self, wildcards: Any) -> int:  # noqa: ARG002
        """Return threads of a measuring job; one that has its workers on Slurm only waits."""
        return 1 if self.config["workers"]["cluster"] == "slurm" else 4

    def inference_threads(self, wildcards: Any) -> int:  # noqa: ARG002
        """Return threads of an inference job: that of the network, and those that read."""
        return 1 + int(self.config["inference"]["num_workers"])

    def inference_gpus(self, wildcards: Any) -> int:  # noqa: ARG002
        """Return GPUs of an inference job; `auto` uses one that is there but asks for none."""
        return int(self.config["inference"]["device"] == "cuda")

    def training_threads(self, wildcards: Any) -> int:
        """Return threads on each node: of every device one, and those that read crops."""
        training = self._training(wildcards)
        return int(training["devices"] * (1 + training["num_workers"]))

    def training_gpus(self, wildcards: Any) -> int:
        """Return GPUs of a training job on all its nodes; none where the device is not cuda."""
        training = self._training(wildcards)
        return int(training["devices"] * training["nodes"]) if training["device"] == "cuda" else 0

    def training_nodes(self, wildcards: Any) -> int:
        """Return nodes of a training job."""
        return int(self._training(wildcards)["nodes"])

    def training_launcher(self, wildcards: Any) -> str | None:
        """Return what starts the processes of several nodes, which the job then does itself."""
        return "srun" if self.training_nodes(wildcards) > 1 else None

    def training_minutes(self, wildcards: Any) -> int:
        """Return minutes of a training job, with some to save its state."""
        return int(60 * self._training(wildcards)["hours"]) + 15

    def training_memory_mb(self, wildcards: Any, input: Any) -> int:  # noqa: A002
        """Return megabytes of a training job, by the wells that it learns from."""
        manifest = input.get("manifest")
        wells, sites = learned_counts(input.images, manifest[0] if manifest else None)
        encoder = self.config["encoders"][wildcards.encoder]
        return training_memory_mb(encoder, num_wells=wells, num_sites=sites)

    def _training(self, wildcards: Any) -> Mapping[str, Any]:
        training: Mapping[str, Any] = self.config["encoders"][wildcards.encoder]["training"]
        return training
