"""Checkpoints in shards, written in the background: each process writes what it holds."""

from __future__ import annotations

import shutil
import threading
import warnings
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from phenoprints.foundations.errors import CorruptionError
from phenoprints.training.checkpoints import Checkpoint, publish_shards
from phenoprints.training.devices import SEPARATOR

WORK = ".shards"
"""Where shards are written, below the folder of checkpoints, before they are one."""
MODEL, OPTIMIZER = "model.", "optimizer."


class ShardedWriter:
    """Writes one checkpoint at a time by torch's distributed checkpoint, as safetensors.

    Tensors are copied to the memory of the computer first, so that training goes on while they are
    written. When all processes have written theirs, the first one publishes the folder as
    `write_checkpoint` does: whole or absent.
    """

    def __init__(self, folder: Path, *, rank: int, world_size: int, keep: int) -> None:
        self.folder, self.rank, self.keep = folder, rank, keep
        self.is_alone = world_size == 1
        # Collectives of the background need a backend of the CPU, and must not mix with training's.
        self.group: Any = None
        if not self.is_alone:
            self.group = torch.distributed.new_group(backend="gloo")
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, module: nn.Module, optimizer: Optimizer, checkpoint: Checkpoint) -> None:
        """Begin to write the present state as this checkpoint, after the one before is done."""
        from torch.distributed import checkpoint as of_torch

        dcp: Any = of_torch
        self.finish()
        work = self.folder / WORK
        if self.rank == 0:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
        if not self.is_alone:
            torch.distributed.barrier(self.group)
        _be_quiet()
        started = dcp.async_save(
            flat_state(module, optimizer),
            storage_writer=dcp.HuggingFaceStorageWriter(str(work), save_distributed=True),
            process_group=self.group,
            no_dist=self.is_alone,
        )
        self._thread = threading.Thread(target=self._publish, args=(started, work, checkpoint))
        self._thread.start()

    def _publish(self, written: Future[Any], work: Path, checkpoint: Checkpoint) -> None:
        try:
            written.result()
            if self.rank == 0:
                publish_shards(self.folder, work, checkpoint, keep=self.keep)
        except BaseException as error:  # raised again by finish()
            self._error = error

    def finish(self) -> None:
        """Wait for the checkpoint that is being written; raise what went wrong with it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            if not self.is_alone:  # no process goes on before the first one has published
                torch.distributed.barrier(self.group)
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def close(self) -> None:
        """Finish, and leave the processes' group, which would keep them from ending."""
        self.finish()
        if self.group is not None:
            torch.distributed.destroy_process_group(self.group)
            self.group = None


def flat_state(module: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the tensors of both by name, each process with the shards that it holds."""
    from torch.distributed.checkpoint.state_dict import get_state_dict

    gathered: Any = get_state_dict(module, optimizer)
    weights, state = gathered
    moments = {
        f"{OPTIMIZER}{name}{SEPARATOR}{key}": torch.as_tensor(value)
        for name, values in state.get("state", {}).items()
        for key, value in values.items()
    }
    return {**{f"{MODEL}{name}": value for name, value in weights.items()}, **moments}


def load_shards(folder: Path, module: nn.Module, optimizer: Optimizer) -> None:
    """Read the shards of a checkpoint into a module and its optimiser, over any processes.

    A weight that no step had used has no state of the optimiser, and stays without. Raises
    CorruptionError when a weight is missing, or is one that the network does not have.
    """
    from torch.distributed import checkpoint as of_torch
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_state_dict,
    )

    dcp: Any = of_torch
    is_alone = not torch.distributed.is_initialized()
    there = set(dcp.HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata)
    state = flat_state(module, optimizer)
    differing = {n for n in there ^ set(state) if n.startswith(MODEL)}
    if differing:
        raise CorruptionError(
            f"{folder}: the weights {', '.join(sorted(differing))} are in the checkpoint or in the "
            "network alone. To fix: delete it to begin again."
        )
    wanted = {name: value for name, value in state.items() if name in there}
    _be_quiet()
    reader = dcp.HuggingFaceStorageReader(str(folder))
    dcp.load(wanted, storage_reader=reader, no_dist=is_alone)
    weights = {name.removeprefix(MODEL): v for name, v in wanted.items() if name.startswith(MODEL)}
    groups: dict[str, Any] = dict(get_optimizer_state_dict(module, optimizer))
    set_state_dict(
        module,
        optimizer,
        model_state_dict=dict(weights),
        optim_state_dict=groups | {"state": _nested(wanted)},
        options=StateDictOptions(strict=False),
    )


def _nested(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    nested: dict[str, dict[str, Tensor]] = {}
    for joined, value in state.items():
        if joined.startswith(OPTIMIZER):
            name, _, key = joined.removeprefix(OPTIMIZER).rpartition(SEPARATOR)
            nested.setdefault(name, {})[key] = value
    return nested


def _be_quiet() -> None:
    """Ignore torch's warning that one process saves alone, which threads of its own give too."""
    warnings.filterwarnings("ignore", message="torch.distributed is disabled.*")
