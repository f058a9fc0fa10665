"""Training and inference on one card: crops per second and MFU, against the plain eager loop.

    python benchmarks/gpu.py                       # S/16, CA-S/16, L/8 and G/8
    python benchmarks/gpu.py vit-l8 --seconds 20
    python benchmarks/gpu.py --smoke               # tiny networks on a CPU: only that it runs

Ours: the recipe's settings (Fourier loss as published, stochastic depth, bfloat16, blocks compiled
one by one, Lion with foreach) and the recipe's crops of a card. Plain: the same network and loss,
bfloat16, eager, Lion in a loop. Inference is compiled in the same way, which the library itself
does not do. Crops are uint8 and on the card already: what is measured is the network.

Then the library's trainer trains each network from a packed store (gpu_training.py), and each
embeds packed images from end to end, against its bare forward pass (gpu_embeddings.py). As in the
library products in float32 stay float32 (no TF32): under bfloat16 there are hardly any.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

RESULTS = HERE.parent / "results" / "bench" / "gpu.json"
BATCHES = {"vit-s16": 512, "ca-vit-s16": 128, "vit-l8": 128, "vit-g8": 32}
"""Crops of a forward pass; a training step has the recipe's. Halved until they fit into the card's
memory."""
BASELINES = {
    "vit_small_patch14_reg4_dinov2.lvd142m": 512, "vit_large_patch14_reg4_dinov2.lvd142m": 128,
    "vit_giant_patch14_reg4_dinov2.lvd142m": 32, "vit_large_patch16_224.augreg_in21k": 128,
    "vit_large_patch16_224.mae": 128,
}  # fmt: skip
"""The natural-image encoders of the paper's Table 4, which embed and are not trained."""
SMOKE = {"vit-tiny": 4, "ca-vit-tiny": 2}


@dataclass(frozen=True)
class Speed:
    """One network, one task, one way: crops per second, MFU (None without a known peak)."""

    network: str
    task: str
    way: str
    batch: int
    crops_per_s: float
    mfu: float | None
    peak_memory_gb: float


def main(arguments: list[str] | None = None) -> list[Speed]:
    """Measure what was asked for, print a table and write results/bench/gpu.json."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="; ".join(BATCHES))
    parser.add_argument("--seconds", type=float, default=10.0, help="of every measurement")
    parser.add_argument("--smoke", action="store_true", help="tiny networks on a CPU")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    if not given.smoke and not torch.cuda.is_available():
        sys.exit("No card: torch.cuda.is_available() is false. `--smoke` runs on a CPU.")
    device = torch.device("cpu" if given.smoke else "cuda")
    batches = SMOKE if given.smoke else BATCHES
    chosen = {name: batches[name] for name in given.networks or batches}
    speeds = []
    for name, batch in chosen.items():
        for task in ("train", "infer"):
            for way in ("plain", "ours"):
                speeds.append(measure(name, task, way, batch, device, given.seconds))
                show(speeds[-1])
    others = {} if given.networks or given.smoke else BASELINES
    more = {
        "training": from_store(speeds, device, given.seconds),
        "embeddings": embedded({**chosen, **others}, device, given.seconds),
    }
    card = "CPU (smoke test, no figure of any use)" if given.smoke else torch.cuda.get_device_name()
    report(speeds, card, given.out, more)
    return speeds


def from_store(speeds: list[Speed], device: Any, seconds: float) -> list[dict[str, Any]]:
    """Training by the library from one packed store, at the batch at which the bare step fitted."""
    from gpu_training import measured, pack, tell

    found = []
    with TemporaryDirectory() as folder:
        pack(Path(folder), is_smoke=device.type == "cpu")
        for bare in (s for s in speeds if (s.task, s.way) == ("train", "ours")):
            trained = fitting(
                lambda batch, bare=bare: measured(
                    bare.network, batch, device, Path(folder), seconds=seconds,
                    bare=bare.crops_per_s,
                ),
                bare.batch,
            )  # fmt: skip
            tell(trained)
            found.append({**asdict(trained), "ratio": trained.ratio})
    return found


def embedded(batches: dict[str, int], device: Any, seconds: float) -> list[dict[str, Any]]:
    """Embedding packed images with each network, from end to end."""
    from gpu_embeddings import measured, tell

    found = []
    for name, batch in batches.items():
        end = measured(name, batch, device, seconds)
        tell(end)
        found.append({**asdict(end), "ratio": end.ratio})
    return found


def measure(name: str, task: str, way: str, batch: int, device: Any, seconds: float) -> Speed:
    """The speed at the largest batch that fits into memory."""
    from gpu_training import recipe_of

    if task == "train" and name in BATCHES:
        batch = recipe_of(name)["micro_batch_size"]
    return fitting(lambda size: speed(name, task, way, size, device, seconds), batch)


def fitting(attempt: Callable[[int], Any], batch: int) -> Any:
    """What an attempt finds at the largest batch, halving from `batch`, that fits into memory."""
    import torch

    while True:
        try:
            return attempt(batch)
        except Exception as error:
            if batch == 1 or not lacks_memory(error):
                raise
        # Only here has the error let go of the network that did not fit.
        batch //= 2
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def lacks_memory(error: Exception) -> bool:
    """Whether it is torch's error of a full card, or the library's that follows from it."""
    import torch

    return any(isinstance(e, torch.OutOfMemoryError) for e in (error, error.__cause__))


def speed(name: str, task: str, way: str, batch: int, device: Any, seconds: float) -> Speed:
    """Crops per second of one way of doing one task."""
    import torch
    from gpu_training import recipe_of

    from phenoprints import models
    from phenoprints.models.flops import encoder_flops, training_flops
    from phenoprints.training import TrainingSettings
    from phenoprints.training.devices import prepare
    from phenoprints.training.objectives import build_objective
    from phenoprints.training.progress import peak_flops

    torch.manual_seed(0)
    # Else the shapes of an earlier network make later ones compile for any shape, which is slower.
    torch.compiler.reset()
    settings = TrainingSettings(**recipe_of(name))
    encoder = models.build(
        name, channels=6, drop_path=settings.drop_path, layer_scale=settings.layer_scale
    )
    objective = build_objective("mae", encoder, settings, num_channels=6).to(device)
    if way == "ours":
        prepare(objective, settings)
    model, size = objective.model, encoder.crop_px
    crops = torch.randint(0, 256, (batch, 6, size, size), dtype=torch.uint8, device=device)
    step = training_step(model, crops, way) if task == "train" else inference_step(encoder, crops)
    rate = batch * steps_per_second(step, device, seconds)
    operations = training_flops(model, 6) if task == "train" else encoder_flops(encoder, 6)
    peak = peak_flops(torch.cuda.get_device_name()) if device.type == "cuda" else None
    memory = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else 0.0
    return Speed(name, task, way, batch, rate, peak and rate * operations / peak, memory)


def training_step(model: Any, crops: Any, way: str) -> Callable[[], None]:
    import torch

    from phenoprints.training.optimizers import Lion, parameter_groups

    model.train()
    groups = parameter_groups(model, 0.05)
    optimizer = Lion(groups, lr=1e-5) if way == "ours" else LoopLion(groups, lr=1e-5)
    keys = torch.arange(len(crops), device=crops.device)

    def step() -> None:
        with torch.autocast(crops.device.type, dtype=torch.bfloat16):
            loss = model(crops, keys)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def inference_step(encoder: Any, crops: Any) -> Callable[[], None]:
    import torch

    encoder.eval()

    def step() -> None:
        with torch.autocast(crops.device.type, dtype=torch.bfloat16):
            encoder.features(crops)

    return step


def LoopLion(groups: list[dict[str, Any]], lr: float) -> Any:  # noqa: N802 - it makes an optimiser
    """Lion as its paper prints it: one parameter after the other."""
    import torch

    class Plain(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    average = state.setdefault("exp_avg", torch.zeros_like(p))
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_((0.9 * average + 0.1 * p.grad).sign_(), alpha=-group["lr"])
                    average.mul_(0.95).add_(p.grad, alpha=0.05)

    return Plain(groups, {"lr": lr, "weight_decay": 0.0})


def steps_per_second(step: Callable[[], None], device: Any, seconds: float) -> float:
    """Steps per second after three that compile and warm up; at least one is measured."""
    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(3 if device.type == "cuda" else 1):
        step()
    wait()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started, num_steps = time.perf_counter(), 0
    while num_steps == 0 or time.perf_counter() - started < seconds:
        step()
        num_steps += 1
        if num_steps % 5 == 0:
            wait()
    wait()
    return num_steps / (time.perf_counter() - started)


def show(speed: Speed) -> None:
    mfu = "" if speed.mfu is None else f", MFU {100 * speed.mfu:.1f} %"
    print(
        f"{speed.network} {speed.task} {speed.way}: {speed.crops_per_s:,.1f} crops/s{mfu}, batch "
        f"{speed.batch}, {speed.peak_memory_gb:.1f} GB",
        flush=True,
    )


def report(speeds: list[Speed], card: str, out: Path, more: dict[str, Any]) -> None:
    """Print card, date and the ratio to the plain loop; write everything as JSON."""
    import torch
    from gpu_training import MFU_GOALS

    date = datetime.now(UTC).date().isoformat()
    print(f"\n{card}, {date}, torch {torch.__version__}")
    by = {(s.network, s.task, s.way): s for s in speeds}
    for (network, task, way), ours in by.items():
        if way == "ours":
            ratio = ours.crops_per_s / by[network, task, "plain"].crops_per_s
            aim = MFU_GOALS.get(network) if task == "train" else None
            goal = f", goal {aim:.0%} MFU" if aim else ""
            print(f"{network} {task}: {ratio:.2f} times the plain loop{goal}")
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {"card": card, "date": date, "speeds": [asdict(s) for s in speeds], **more}
    out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
