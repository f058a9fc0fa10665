"""What can be chosen about training, with the defaults of the paper's smaller encoder."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems

SPEED_ONLY = frozenset(
    {
        "activation_checkpointing", "cache_mb", "checkpoint_minutes", "checkpoint_steps", "compile",
        "device",
        "devices", "hours", "keep_checkpoints", "log_steps", "micro_batch_size", "nodes",
        "num_workers", "panel_blocks", "strategy",
    }
)  # fmt: skip
"""Settings that change where and how fast training runs, not what it computes; but where crops
learn from each other, `num_together` decides too."""


LATER = frozenset({"latent_norm"})
"""Settings younger than the first checkpoints: those decide only where they are not the default."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a network learns.

    Attributes
    ----------
    num_epochs, max_crops
        One epoch is one random crop per well (times `crops_per_visit`); training ends after
        `max_crops` even when epochs are left (None: no limit).
    batch_size, micro_batch_size
        Crops of one optimiser step over all devices; crops of one forward pass on one device
        (None: the device's whole share). The rest is accumulated.
    optimizer, learning_rate, betas, weight_decay
        `lion`, `adamw` or `sgd` (momentum betas[0]); the largest rate of the schedule.
    warmup_fraction
        Share of the steps in which the one-cycle cosine schedule rises.
    gradient_clip
        Largest norm of the gradient; None: no limit.
    mask_fraction, fourier_weight, fourier_loss, decoder_width, decoder_blocks, decoder_heads
        Of masked autoencoders.
    latent_norm
        Whether a masked transformer's last norm stands between encoder and decoder.
    dino_outputs, dino_local_crops, dino_weight, koleo_weight, ibot_weight
        Of DINOv2's self-distillation: outputs of its heads, local views beside the two global ones,
        and the weights of its losses.
    drop_path, layer_scale
        Of vision transformers.
    label_smoothing, cut_mix, adapt_batch_norm
        Of classifiers: `cut_mix` is the largest share of a crop that a neighbour's rectangle may
        cover (0: off); `adapt_batch_norm` gives each micro-batch crops of one experiment and the
        encoder batch norms that use the batch's own statistics.
    flips
        Flip crops at random, up-down and left-right.
    crops_per_visit
        Random crops that are taken of a well whenever its turn comes; all in one batch.
    classify_visits
        Classifiers see the mean vector of the crops of a visit, not each crop alone.
    weight_by
        `wells`: every well once per epoch. `conditions`: wells are drawn with replacement so that
        every condition is seen equally often.
    validation_fraction, validation_experiments
        Wells kept aside to watch the loss: a share by a hash of the well, or whole experiments.
    precision, compile, activation_checkpointing, device, devices, nodes, strategy, num_workers
        Where and how it runs; `num_workers` threads read batches ahead.
    cache_mb
        Decoded images are kept in memory when all of them fit into so many megabytes.
    checkpoint_minutes, checkpoint_steps, keep_checkpoints, hours
        A checkpoint after so many minutes and, where given, steps; how many are kept; the time
        after which training saves and stops, to be continued by the next start.
    log_steps, panel_crops, panel_blocks
        Steps between rows of the logs; crops that are shown reconstructed; whether also from the
        tokens of every block.
    """

    num_epochs: int = 100
    max_crops: int | None = None
    batch_size: int = 2048
    micro_batch_size: int | None = None
    optimizer: Literal["lion", "adamw", "sgd"] = "lion"
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    warmup_fraction: float = 0.1
    gradient_clip: float | None = None
    mask_fraction: float = 0.75
    fourier_weight: float = 0.01
    fourier_loss: Literal["patch", "image", "as-published"] = "patch"
    drop_path: float = 0.1
    layer_scale: float = 1e-4
    decoder_width: int = 512
    decoder_blocks: int = 8
    decoder_heads: int = 16
    latent_norm: bool = True
    label_smoothing: float = 0.0
    cut_mix: float = 0.0
    adapt_batch_norm: bool = False
    dino_outputs: int = 65_536
    dino_local_crops: int = 4
    dino_weight: float = 1.0
    koleo_weight: float = 0.1
    ibot_weight: float = 1.0
    flips: bool = True
    crops_per_visit: int = 1
    classify_visits: bool = False
    weight_by: Literal["wells", "conditions"] = "wells"
    validation_fraction: float = 0.02
    validation_experiments: tuple[str, ...] = ()
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    activation_checkpointing: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: Literal["auto", "ddp", "fsdp2"] = "auto"
    num_workers: int = 0
    cache_mb: int = 1000
    checkpoint_minutes: float = 30.0
    checkpoint_steps: int | None = None
    keep_checkpoints: int = 2
    hours: float = 24.0
    log_steps: int = 10
    panel_crops: int = 4
    panel_blocks: bool = False

    def __post_init__(self) -> None:
        raise_problems(self._problems(), ConfigurationError)

    def _problems(self) -> list[Problem]:
        checks = [
            ("num_epochs", self.num_epochs >= 1, "1 or more"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("micro_batch_size", self.micro_batch_size is None or self.micro_batch_size >= 1,
             "1 or more, or null"),
            ("learning_rate", self.learning_rate > 0, "more than 0"),
            ("warmup_fraction", 0 <= self.warmup_fraction <= 1, "0 to 1"),
            ("validation_fraction", 0 <= self.validation_fraction < 1, "0 to less than 1"),
            ("cut_mix", 0 <= self.cut_mix <= 1, "0 to 1"),
            ("crops_per_visit", self.crops_per_visit >= 1, "1 or more"),
            ("crops_per_visit", self.batch_size % self.crops_per_visit == 0,
             f"a divisor of batch_size {self.batch_size}"),
            ("micro_batch_size", (self.micro_batch_size or 0) % self.crops_per_visit == 0,
             f"a multiple of crops_per_visit {self.crops_per_visit}"),
            ("keep_checkpoints", self.keep_checkpoints >= 1, "1 or more"),
        ]  # fmt: skip
        return [
            Problem("training", f"{name} is {getattr(self, name)}", expected)
            for name, is_fine, expected in checks
            if not is_fine
        ]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> TrainingSettings:
        """Settings by name; unknown names are an error with the nearest known one."""
        known = [field.name for field in dataclasses.fields(cls)]
        raise_problems(
            (_unknown(name, known) for name in values if name not in known), ConfigurationError
        )
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**given)

    @property
    def num_threads(self) -> int:
        """Threads on each node: of every device one, and those that read crops ahead."""
        return self.devices * (1 + self.num_workers)

    def num_steps(self, num_wells: int) -> int:
        """Optimiser steps of the whole training, at least one."""
        crops = self.num_epochs * num_wells * self.crops_per_visit
        if self.max_crops is not None:
            crops = min(crops, self.max_crops)
        return max(crops // self.batch_size, 1)

    def num_together(self) -> int:
        """Crops that a network sees at once: a device's share of a step, or a part of that."""
        share = self.batch_size // (self.devices * self.nodes)
        return min(self.micro_batch_size or share, share)

    def identity(self) -> dict[str, Any]:
        """The settings that decide the result: a resumed run must have the same."""
        values = dataclasses.asdict(self)
        usual = {f.name: f.default for f in dataclasses.fields(self) if f.name in LATER}
        left_out = {*SPEED_ONLY, *(k for k, default in usual.items() if values[k] == default)}
        return {k: _plain(v) for k, v in sorted(values.items()) if k not in left_out}


def _unknown(name: str, known: list[str]) -> Problem:
    near = difflib.get_close_matches(name, known, n=1)
    fix = f"did you mean {near[0]}" if near else ""
    return Problem("training", f'unknown setting "{name}"', "a setting of training", fix)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
