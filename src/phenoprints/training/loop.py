"""The training loop: crops in, an encoder out; killed anywhere, it goes on to the same bytes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import generator
from phenoprints.training.checkpoints import Checkpoint, newest, write_checkpoint
from phenoprints.training.devices import full_state, load_state, prepare
from phenoprints.training.interruption import Interruption, TrainingInterruptedError, interruptible
from phenoprints.training.loading import Batch, Loader
from phenoprints.training.objectives import DinoObjective, Objective
from phenoprints.training.optimizers import build_optimizer, learning_rate, set_learning_rate
from phenoprints.training.progress import Progress
from phenoprints.training.settings import TrainingSettings
from phenoprints.training.sharded import ShardedWriter, load_shards


@dataclass
class Run:
    """One training run: what is trained on what, and where its checkpoints lie.

    `identity` is what a resumed run must share. `validation` are batches that are never learned
    from. `flops` are the operations that the encoder will have cost, None where not known.
    """

    objective: Objective
    loader: Loader
    settings: TrainingSettings
    num_steps: int
    seed: int
    identity: Mapping[str, Any]
    folder: Path
    progress: Progress
    validation: list[Batch]
    flops: float | None = None


class Trainer:
    """Runs the steps of a `Run` on the devices of a Fabric."""

    def __init__(self, run: Run, fabric: Any) -> None:
        self.run, self.fabric, self.settings = run, fabric, run.settings
        prepare(run.objective, run.settings)
        run.objective.train()
        self.module, self.optimizer = self._set_up()
        self.step = 0
        self._finite: list[tuple[int, Tensor]] = []
        self._shards = self._sharded_writer()
        self._saved_at = time.monotonic()

    def _set_up(self) -> tuple[Any, Any]:
        if self.settings.strategy == "fsdp2":
            module = self.fabric.setup_module(self.run.objective)
            optimizer = build_optimizer(module, self.settings)
            return module, self.fabric.setup_optimizers(optimizer)
        optimizer = build_optimizer(self.run.objective, self.settings)
        return tuple(self.fabric.setup(self.run.objective, optimizer))  # type: ignore[return-value]

    def _sharded_writer(self) -> ShardedWriter | None:
        if self.settings.checkpoint_form == "whole":
            return None
        rank, size = self.fabric.global_rank, self.fabric.world_size
        keep = self.settings.keep_checkpoints
        return ShardedWriter(self.run.folder, rank=rank, world_size=size, keep=keep)

    @property
    def _plain(self) -> tuple[Any, Any]:
        """Module and optimiser without Fabric's wrappers, for their state."""
        return self.module._forward_module, self.optimizer.optimizer

    def fit(self) -> None:
        """All steps from the newest checkpoint on; saves and raises when asked to stop."""
        self._resume()
        parts: dict[str, Tensor] = {}
        with interruptible(self.settings.hours) as interruption:
            for batch in self.run.loader.batches(self.step, self.run.num_steps):
                if not parts:
                    self._begin(batch.step)
                self.run.progress.waited(batch.wait_s)
                with _memory_named(len(batch)):
                    self._accumulate(batch, parts)
                    if not batch.is_last:
                        continue
                    self._step(batch.step, parts)
                parts = {}
                self._after_step(interruption)

    def _begin(self, step: int) -> None:
        """Random state and rate of a step, which are functions of its number."""
        key = (self.run.seed, "training", "step", step, self.fabric.global_rank)
        torch.manual_seed(int(generator(*key).integers(2**62)))
        rate = learning_rate(step, self.run.num_steps, self.settings)
        set_learning_rate(self.optimizer, rate)

    def _accumulate(self, batch: Batch, total: dict[str, Tensor]) -> None:
        """Add gradients and parts of the loss, weighted by the micro-batch's share of the step."""
        batch = batch.on(self.fabric.device)
        with self.fabric.no_backward_sync(self.module, enabled=not batch.is_last):
            parts = self._forward(batch)
            self.fabric.backward(parts["loss"] * batch.share)
        for name, value in parts.items():
            total[name] = total.get(name, torch.zeros_like(value)) + value.detach() * batch.share

    def _step(self, step: int, parts: Mapping[str, Tensor]) -> None:
        """Move the weights, and log where a row is due."""
        norm = None
        if self.settings.gradient_clip is not None:
            norm = self.fabric.clip_gradients(
                self.module, self.optimizer, max_norm=self.settings.gradient_clip
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        if isinstance(self.run.objective, DinoObjective):
            self.run.objective.after_step(step, self.run.num_steps)
        self.step = step + 1
        self._finite.append((step, torch.isfinite(parts["loss"])))
        if self.step % self.settings.log_steps == 0 or self.step == self.run.num_steps:
            row = {"learning_rate": learning_rate(step, self.run.num_steps, self.settings)}
            # Asked for here only: a number on the device that is looked at stops its queue.
            self._log(parts, row if norm is None else {**row, "gradient_norm": _number(norm)})

    def _forward(self, batch: Batch) -> dict[str, Tensor]:
        parts: dict[str, Tensor] = self.module(
            batch.images, batch.keys, batch.classes, batch.channels
        )
        return parts

    def _log(self, parts: Mapping[str, Tensor], row: Mapping[str, float]) -> None:
        self._check_finite()
        values = {name: self._mean(value) for name, value in parts.items()}
        if self.run.validation and self.step == self.run.num_steps:
            values.update({f"validation_{k}": v for k, v in self._validate().items()})
        if self.fabric.is_global_zero:
            self.run.progress.log(self.step, {**values, **row})

    def _mean(self, value: Tensor) -> float:
        return float(self.fabric.all_reduce(value, reduce_op="mean"))

    def _validate(self) -> dict[str, float]:
        """Mean parts of the loss over the batches kept aside."""
        self.module.eval()
        with torch.no_grad():
            rows = [self._forward(b.on(self.fabric.device)) for b in self.run.validation]
        self.module.train()
        weights = np.array([len(b) for b in self.run.validation], dtype=np.float64)
        return {
            name: float(np.average([float(r[name]) for r in rows], weights=weights))
            for name in rows[0]
        }

    def _check_finite(self) -> None:
        """Stop at the first step whose loss was not a number, naming its wells."""
        bad = [step for step, is_finite in self._finite if not bool(is_finite)]
        self._finite.clear()
        if not bad:
            return
        crops = self.run.loader.crops(bad[0])
        wells = self.run.loader.corpus.well_ids[np.unique(crops.wells)]
        named = ", ".join(str(well) for well in wells[:20])
        more = f" and {len(wells) - 20} more" if len(wells) > 20 else ""
        raise DataError(
            f"The loss of step {bad[0]} is not a number. Its wells: {named}{more}. To fix: look at "
            "their images; lower learning_rate, or set gradient_clip."
        )

    def _after_step(self, interruption: Interruption) -> None:
        if self.step == self.run.num_steps:
            return
        minutes = (time.monotonic() - self._saved_at) / 60.0
        every = self.settings.checkpoint_steps
        is_due = minutes >= self.settings.checkpoint_minutes
        is_due = is_due or bool(every and self.step % every == 0)
        wants_stop, is_due = self._any(interruption.is_wanted, is_due)
        if wants_stop or is_due:
            self.save()
        if wants_stop:
            self.finish_saving()
            raise TrainingInterruptedError(
                f"Training stopped after step {self.step} of {self.run.num_steps}: "
                f"{interruption.reason or 'another process was asked to'}. Start it again to go on."
            )

    def _any(self, *wanted: bool) -> list[bool]:
        """Whether any process wants each of these, so that all do the same after the same step."""
        if self.fabric.world_size == 1:
            return list(wanted)
        flags = torch.tensor(wanted, dtype=torch.float32, device=self.fabric.device)
        return [bool(flag > 0) for flag in self.fabric.all_reduce(flags, reduce_op="max").tolist()]

    def save(self) -> None:
        """Write a checkpoint of the current step; shards are written while training goes on."""
        self._check_finite()
        history = list(self.run.progress.history)
        if self._shards is not None:
            started = Checkpoint(self.step, {}, {}, self.run.identity, history)
            self._shards.start(*self._plain, started)
        else:
            model, optimizer = full_state(*self._plain)
            if self.fabric.is_global_zero:
                checkpoint = Checkpoint(self.step, model, optimizer, self.run.identity, history)
                write_checkpoint(self.run.folder, checkpoint, keep=self.settings.keep_checkpoints)
            self.fabric.barrier()
        self._saved_at = time.monotonic()

    def finish_saving(self) -> None:
        """Wait for a checkpoint that is still being written; nothing is saved after it."""
        if self._shards is not None:
            self._shards.close()

    def _resume(self) -> None:
        checkpoint = newest(self.run.folder, self.run.identity)
        if checkpoint is None:
            self.run.progress.begin(0, [])
            return
        if checkpoint.shards is not None:
            load_shards(checkpoint.shards, *self._plain)
        else:
            load_state(*self._plain, dict(checkpoint.model), dict(checkpoint.optimizer))
        self.step = checkpoint.step
        self.run.progress.begin(checkpoint.step, checkpoint.history)

    def forget_checkpoints(self) -> None:
        """Delete the checkpoints of a run that is done, so that a new one starts afresh."""
        shutil.rmtree(self.run.folder, ignore_errors=True)

    def state(self) -> dict[str, Tensor]:
        """Return the objective's weights, gathered on the CPU of the first process."""
        model, _ = full_state(*self._plain)
        return model


def _number(value: Tensor) -> float:
    """Return a scalar as a number, gathered where its parts lie on several devices."""
    whole = value.full_tensor() if hasattr(value, "full_tensor") else value
    return float(whole)


@contextmanager
def _memory_named(num_crops: int) -> Iterator[None]:
    """Turn a lack of memory into a DataError that names the settings to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise DataError(
            f"Not enough memory for {num_crops} crops at once. To fix: lower micro_batch_size (a "
            "masked transformer learns the same; batch norms, CutMix, DINOv2 and drop_path act on "
            "fewer crops at once, and their training begins again); where it is 1 already, set "
            "activation_checkpointing, or strategy: fsdp2 over "
            "several devices. On CPUs also lower cache_mb."
        ) from error


def run_training(run: Run, fabric: Any) -> tuple[Trainer, dict[str, Tensor]]:
    """Train to the end; the trainer, and the objective's weights (on the first process)."""
    trainer = Trainer(run, fabric)
    try:
        trainer.fit()
    finally:
        trainer.finish_saving()
    return trainer, trainer.state()
