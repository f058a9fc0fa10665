"""Training on one card from a packed store, by the recipe that a user names.

Part of `python benchmarks/gpu.py`. The trainer is that of the library, with the recipe's loss,
stochastic depth, precision, compiled blocks and reading threads; its batch is the recipe's share of
a card, so that every pass ends with a step of the optimiser, as on the paper's number of cards.
Crops are read from the store, whose files fit into the computer's memory, and copied to the card.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

RECIPES_OF = {
    "vit-s16": "paper-s16", "ca-vit-s16": "openphenom", "vit-l8": "paper-l8", "vit-g8": "paper-g8"
}  # fmt: skip
SMOKE = {"compile": False, "decoder_width": 32, "decoder_blocks": 1, "decoder_heads": 2}
"""What tiny networks on a CPU have instead; all else is the recipe of the smallest."""
NUM_SITES, SIZE_PX, SMOKE_SIZE_PX = 24, 2048, 64
NUM_WELLS = 20_000
"""Wells share the sites, so that the files stay in memory."""


@dataclass(frozen=True)
class FromStore:
    """One network trained from packed images.

    `waiting` is the share of the time in which the loop stood still for crops: an upper limit of
    what the card lost, which may have had work left meanwhile. `bare_crops_per_s` is the speed of
    the same step on crops that lie on the card.
    """

    network: str
    recipe: str
    batch: int
    num_steps: int
    crops_per_s: float
    bare_crops_per_s: float
    waiting: float
    mfu: float | None
    peak_memory_gb: float

    @property
    def ratio(self) -> float:
        """How much of the speed without reading is reached."""
        return self.crops_per_s / self.bare_crops_per_s


def recipe_of(name: str) -> dict[str, Any]:
    """The settings that a network is trained with."""
    from phenoprints.configuration.recipes import RECIPES

    if name in RECIPES_OF:
        return RECIPES[RECIPES_OF[name]]
    return {**RECIPES["paper-s16"], **SMOKE}


def pack(folder: Path, *, is_smoke: bool) -> None:
    """Write the store that all networks are trained from."""
    from training import write_store

    write_store(folder, NUM_SITES, SMOKE_SIZE_PX if is_smoke else SIZE_PX)


def measured(
    name: str, batch: int, device: Any, folder: Path, *, seconds: float, bare: float
) -> FromStore:
    """A network's training from the store in `folder`, for about `seconds` after it is compiled.

    `bare` are the crops per second of its bare step, from which the number of steps follows.
    """
    import torch

    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    rows, num_steps = _train(name, batch, device, folder, seconds * bare / batch)
    timed = rows.iloc[1:]  # the first row holds compiling
    spent = (batch * timed["step"].diff().fillna(rows["step"].iloc[0])) / timed["crops_per_s"]
    crops = batch * (rows["step"].iloc[-1] - rows["step"].iloc[0])
    mfu = None if timed["mfu"].isna().any() else float((timed["mfu"] * spent).sum() / spent.sum())
    return FromStore(
        network=name,
        recipe=RECIPES_OF.get(name, "smoke"),
        batch=batch,
        num_steps=num_steps,
        crops_per_s=float(crops / spent.sum()),
        bare_crops_per_s=bare,
        waiting=float((timed["waiting"] * spent).sum() / spent.sum()),
        mfu=mfu,
        peak_memory_gb=torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else 0.0,
    )


def _train(
    name: str, batch: int, device: Any, folder: Path, steps: float
) -> tuple[pd.DataFrame, int]:
    """Rows of speed.csv of a training of about so many steps, and one row of them before."""
    from phenoprints.training.devices import launch
    from phenoprints.training.loop import Trainer
    from phenoprints.training.progress import SPEEDS

    settings = settings_of(recipe_of(name), batch, device.type, steps)
    fabric = launch(settings)
    run = _run(name, settings, folder, fabric.device)
    Trainer(run, fabric).fit()
    run.progress.close()
    return pd.read_csv(run.folder.parent / SPEEDS), run.num_steps


def _run(name: str, settings: Any, folder: Path, device: Any) -> Any:
    from phenoprints.screens.images import ScreenImages
    from phenoprints.training import EncoderPlan
    from phenoprints.training.loading import Place
    from phenoprints.training.sources import StoredImages
    from phenoprints.training.train import build_run
    from training import corpus

    size_px = SIZE_PX if name in RECIPES_OF else SMOKE_SIZE_PX
    wells = corpus(NUM_SITES, size_px, num_wells=NUM_WELLS)
    return build_run(
        wells,
        StoredImages(wells, {"s": ScreenImages(str(folder))}),
        folder / f"{name}-{settings.batch_size}.training",
        plan=EncoderPlan("mae", name),
        settings=settings,
        seed=0,
        place=Place(device=device),
    )


def loader_rate(name: str, device: Any, folder: Path, *, seconds: float) -> dict[str, Any]:
    """Crops per second that the loader reads and copies to the device, with nothing to train."""
    import torch

    batch = recipe_of(name).get("micro_batch_size") or 8
    batch = min(batch, 8) if device.type == "cpu" else batch
    settings = settings_of(recipe_of(name), batch, device.type, 1e6)
    # The network is not run; a tiny one of the same crops is built in its place.
    run = _run("vit-t16" if name in RECIPES_OF else name, settings, folder, device)
    num_crops, start = 0, None
    for step in run.loader.batches(0, run.num_steps):
        step.on(device)
        if start is None:  # threads are reading ahead from here on
            start = time.perf_counter()
            continue
        num_crops += len(step)
        if time.perf_counter() - start > seconds:
            break
    if device.type == "cuda":
        torch.cuda.synchronize()
    spent = time.perf_counter() - (start or 0.0)
    run.progress.close()
    return {"batch": batch, "num_workers": settings.num_workers, "crops_per_s": num_crops / spent}


def settings_of(recipe: Mapping[str, Any], batch: int, device: str, steps: float) -> Any:
    """The recipe with one micro-batch as its batch, for two rows of the log or more."""
    from phenoprints.training import TrainingSettings

    every = 10 if device == "cuda" else 1
    num_steps = every * (1 + max(1, math.ceil(steps / every)))
    changes = {
        "batch_size": batch, "micro_batch_size": None, "cache_mb": 0, "device": device,
        "hours": 1e6, "checkpoint_minutes": 1e9, "log_steps": every, "panel_crops": 0,
        "validation_fraction": 0.0, "num_epochs": 1_000_000, "max_crops": batch * num_steps,
    }  # fmt: skip
    return TrainingSettings(**{**recipe, **changes})
