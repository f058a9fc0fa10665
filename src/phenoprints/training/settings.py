"""The settings of training, and what follows from them."""

from __future__ import annotations

from typing import Any

from phenoprints.configuration.models.training import Training
from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems

SPEED_ONLY = frozenset(
    {
        "activation_checkpointing", "cache_mb", "checkpoint_form", "checkpoint_minutes",
        "checkpoint_steps", "compile", "compile_step", "device", "devices", "hours",
        "keep_checkpoints", "log_steps", "micro_batch_size", "nodes", "num_workers", "pack_depth",
        "panel_blocks", "strategy",
    }
)  # fmt: skip
"""Settings that change where and how fast training runs, not what it computes; but where crops
learn from each other, `num_together` decides too."""


LATER = frozenset({"fidelity_crops", "latent_norm", "normalize_patches", "patch_px", "weight_init"})
"""Settings younger than the first checkpoints: those decide only where they are not the default."""


class TrainingSettings(Training):
    """How a network learns; fields and defaults are those of the configuration.

    The rest of a step that does not fit `micro_batch_size` is accumulated. `weight_by: conditions`
    draws wells with replacement, so that every condition is seen equally often.
    """

    def model_post_init(self, _: Any) -> None:
        """Check the sizes of batches against the crops of a visit."""
        visit = self.crops_per_visit
        checks = {
            "batch_size": (self.batch_size % visit, f"a multiple of crops_per_visit {visit}"),
            "micro_batch_size": (
                (self.micro_batch_size or 0) % visit, f"a multiple of crops_per_visit {visit}"
            ),
        }  # fmt: skip
        raise_problems(
            (
                Problem("training", f"{name} is {getattr(self, name)}", expected)
                for name, (remainder, expected) in checks.items()
                if remainder
            ),
            ConfigurationError,
        )

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
        """Return the settings that decide the result: a resumed run must have the same."""
        defaults = {name: type(self).model_fields[name].default for name in LATER}
        values = self.plain()
        left_out = {*SPEED_ONLY, *(name for name in LATER if values[name] == defaults[name])}
        return {name: value for name, value in values.items() if name not in left_out}
