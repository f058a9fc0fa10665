"""Checkpoints: folders of safetensors and JSON, whole or absent, the newest few of them kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from phenoprints.foundations.errors import ConfigurationError, CorruptionError, Problem, describe
from phenoprints.foundations.fingerprints import file_sha256
from phenoprints.foundations.markers import publish_marker, read_marker
from phenoprints.foundations.publishing import abandoned, published_folder

MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """All that training needs to go on after `step` optimiser steps.

    `model` and `optimizer` are tensors by name, both empty where they are in `shards` instead, a
    folder; `identity` is what a resumed run must share; `history` the rows of the log so far. The
    rate, the order of the crops and torch's random state are functions of the step and need no
    state.
    """

    step: int
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    identity: Mapping[str, Any]
    history: list[dict[str, Any]]
    shards: Path | None = None


def write_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Publish a checkpoint as `folder/step-<number>`, then delete all but the newest `keep`."""
    from safetensors.torch import save_file

    with published_folder(_place(folder, checkpoint)) as partial:
        save_file(_own(checkpoint.model), partial / MODEL)
        save_file(_own(checkpoint.optimizer), partial / OPTIMIZER)
        _mark(partial, checkpoint, is_sharded=False)
    _forget(folder, keep)
    return _place(folder, checkpoint)


def publish_shards(folder: Path, shards: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Publish a folder of shards as `write_checkpoint` publishes whole tensors; it is moved."""
    with published_folder(_place(folder, checkpoint)) as partial:
        for shard in sorted(shards.iterdir()):
            shard.rename(partial / shard.name)
        _mark(partial, checkpoint, is_sharded=True)
    shards.rmdir()
    _forget(folder, keep)
    return _place(folder, checkpoint)


def _place(folder: Path, checkpoint: Checkpoint) -> Path:
    return folder / f"step-{checkpoint.step:09d}"


def _mark(partial: Path, checkpoint: Checkpoint, *, is_sharded: bool) -> None:
    files = sorted(path.name for path in partial.iterdir())
    state = {
        "step": checkpoint.step,
        "identity": dict(checkpoint.identity),
        "history": checkpoint.history,
        "sha256": {name: file_sha256(partial / name) for name in files},
        **({"is_sharded": True} if is_sharded else {}),
    }
    publish_marker(partial / STATE, state, is_placed=False)


def _forget(folder: Path, keep: int) -> None:
    for old in finished(folder)[:-keep]:
        shutil.rmtree(old)
    for left in abandoned(folder):
        shutil.rmtree(left, ignore_errors=True)


def _own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}


def finished(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, the oldest first; unfinished ones do not count."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE).exists())


def newest(folder: Path, identity: Mapping[str, Any]) -> Checkpoint | None:
    """Return the newest checkpoint, None when there is none.

    Raises ConfigurationError when it was made with other settings, a different training set or
    seed, naming every key that differs, and CorruptionError when it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = finished(folder)
    if not found:
        return None
    path = found[-1]
    try:
        state = read_marker(path / STATE, is_placed=False)
        if state is None or path.name != f"step-{state['step']:09d}":
            raise ValueError(f"{STATE} is not as it was written")
        check_identity(path, state["identity"], identity)
        for name, expected in state.get("sha256", {}).items():
            if file_sha256(path / name) != expected:
                raise ValueError(f"{name} is not as it was written")
        if state.get("is_sharded"):
            return Checkpoint(state["step"], {}, {}, state["identity"], state["history"], path)
        model, optimizer = load_file(path / MODEL), load_file(path / OPTIMIZER)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise CorruptionError(
            f"{path}: not a readable checkpoint ({error}). To fix: delete it; training goes on "
            "from the one before."
        ) from error
    return Checkpoint(state["step"], model, optimizer, state["identity"], state["history"])


def check_identity(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ConfigurationError naming every key whose value differs."""
    problems = [
        Problem(str(path), f"{key} was {saved.get(key)!r}, now it is {wanted.get(key)!r}")
        for key in sorted({*saved, *wanted})
        if saved.get(key) != wanted.get(key)
    ]
    if problems:
        raise ConfigurationError(
            f"Training cannot go on with other settings than it began with.\n{describe(problems)}\n"
            f"  To fix: restore them, or delete {path.parent} to begin again."
        )
