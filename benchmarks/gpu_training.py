"""Training on one card from a packed store, by the recipe that a user names.

Part of `python benchmarks/gpu.py`. The trainer is that of the library, with the recipe's loss,
stochastic depth, precision, compiled blocks and reading threads; its batch is the recipe's share of
a card, so that every pass ends with a step of the optimiser, as on the paper's number of cards.
Crops are read from the store, whose files fit into the computer's memory, and copied to the card.
"""

from __future__ import annotations

import gc
import math
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
MFU_GOALS = {"vit-s16": 0.2, "ca-vit-s16": 0.2, "vit-l8": 0.4, "vit-g8": 0.4}
"""Share of the card's stated peak that training should reach on an H100 or H200."""
RATE_GOALS = {"vit-s16": (2200, 4000), "ca-vit-s16": (2200, 4000)}
"""Crops per second there from packed images: the goal, and how far it may stretch."""


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
    from phenoprints.screens.images import ScreenImages
    from phenoprints.training import EncoderPlan
    from phenoprints.training.devices import launch
    from phenoprints.training.loading import Place
    from phenoprints.training.loop import Trainer
    from phenoprints.training.progress import SPEEDS
    from phenoprints.training.sources import StoredImages
    from phenoprints.training.train import build_run
    from training import corpus

    size_px = SIZE_PX if name in RECIPES_OF else SMOKE_SIZE_PX
    settings = settings_of(recipe_of(name), batch, device.type, steps)
    wells = corpus(NUM_SITES, size_px, num_wells=NUM_WELLS)
    work = folder / f"{name}-{batch}.training"
    fabric = launch(settings)
    run = build_run(
        wells,
        StoredImages(wells, {"s": ScreenImages(str(folder))}),
        work,
        plan=EncoderPlan("mae", name),
        settings=settings,
        seed=0,
        place=Place(device=fabric.device),
    )
    Trainer(run, fabric).fit()
    run.progress.close()
    return pd.read_csv(work / SPEEDS), run.num_steps


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


def tell(found: FromStore) -> None:
    """Print one network's figures, and what is aimed at."""
    mfu = "" if found.mfu is None else f", MFU {100 * found.mfu:.1f} %"
    aims = []
    if found.network in RATE_GOALS:
        goal, stretch = RATE_GOALS[found.network]
        aims.append(f"{goal:,} crops/s (stretch {stretch:,})")
    if found.network in MFU_GOALS:
        aims.append(f"{MFU_GOALS[found.network]:.0%} MFU")
    aim = f"; goal {' and '.join(aims)}" if aims else ""
    print(
        f"{found.network} train from packed images ({found.recipe}): {found.crops_per_s:,.1f} "
        f"crops/s{mfu}, {found.ratio:.3f} of the bare step, at most {100 * found.waiting:.1f} % "
        f"waiting for crops, batch {found.batch}, {found.peak_memory_gb:.1f} GB{aim}",
        flush=True,
    )
