"""Training, inference and reading on one card: crops per second, and the share of the card's peak.

    python benchmarks/gpu.py                       # all, within --minutes (10) of this script
    python benchmarks/gpu.py vit-l8 --seconds 20
    python benchmarks/gpu.py --smoke               # dry run: tiny networks on a CPU

Measures run in the order of their weight (`planned`). Each is written to results/bench/gpu.json
when it ends, with its share of the card's stated dense bfloat16 peak. One that fails, for want of a
package or of memory, is written with its error, and those for which no time is left as skipped.

Ways to train: `plain` is the eager network and Lion in a loop; `ours` the recipe (Fourier loss as
published, stochastic depth, bfloat16, blocks compiled one by one, Lion with foreach); `packed` adds
`pack_depth`, and `step` also `compile_step`. Ways to infer: `plain` is eager, `ours` compiled
(which the library itself does not do), `int8` and `fp8` compiled with the blocks' products in 8
bits. Crops are uint8 and on the card already. Then the library's trainer trains from a packed store
and the loader alone reads it (gpu_training.py), and each network embeds packed images from end to
end, against its bare forward pass (gpu_embeddings.py). As in the library products in float32 stay
float32.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
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
WAYS = {
    "train": {
        "ours": {}, "packed": {"pack_depth": True},
        "step": {"pack_depth": True, "compile": False, "compile_step": True}, "plain": None,
    },
    "infer": {"ours": {}, "int8": {}, "fp8": {}, "plain": None},
}  # fmt: skip
"""What each way changes of the recipe; the plain ones compile nothing."""
GOALS = {
    ("vit-l8", "train"): 0.45, ("vit-g8", "train"): 0.40, ("vit-s16", "train"): 0.23,
    ("vit-l8", "infer"): 0.55,
}  # fmt: skip
"""Share of the dense bfloat16 peak of an H100 or H200 that the best way should reach."""
EIGHT_BITS_GOAL, COSINE_GOAL, LOADER_GOAL = 1.4, 0.999, 4000
"""Speed against bfloat16, cosine of the features, and crops per second of the loader alone."""
START_S = 20.0
"""What a measure needs at least; with less time left it is skipped."""


@dataclass(frozen=True)
class Speed:
    """One network, one task, one way: crops per second, MFU (None without a known peak).

    MFU counts the operations that are done: those of left-out blocks are not among them.
    """

    network: str
    task: str
    way: str
    batch: int
    crops_per_s: float
    mfu: float | None
    peak_memory_gb: float


@dataclass(frozen=True)
class Measure:
    """One piece of work: where its result goes, what it is called, and how it is found."""

    group: str
    name: str
    run: Callable[[], dict[str, Any]]


class OutOfTimeError(Exception):
    """The minutes of the whole script are over."""


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure what was asked for, print it beside the goals and write results/bench/gpu.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="; ".join(BATCHES))
    parser.add_argument("--seconds", type=float, default=4.0, help="of every measurement")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the whole script")
    parser.add_argument("--smoke", action="store_true", help="tiny networks on a CPU")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    until = time.monotonic() + 60.0 * given.minutes
    import torch

    if not given.smoke and not torch.cuda.is_available():
        sys.exit("No card: torch.cuda.is_available() is false. `--smoke` runs on a CPU.")
    device = torch.device("cpu" if given.smoke else "cuda")
    batches = SMOKE if given.smoke else BATCHES
    chosen = {name: batches[name] for name in given.networks or batches}
    found: dict[str, Any] = {
        "card": "CPU (smoke test, no figure of any use)"
        if given.smoke
        else torch.cuda.get_device_name(),
        "date": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
        "speeds": [], "precision": [], "loader": [], "training": [], "embeddings": [],
        "failed": [], "skipped": [], "goals": [],
    }  # fmt: skip
    others = {} if given.networks or given.smoke else BASELINES
    print(f"{found['card']}, {found['date']}, torch {found['torch']}", flush=True)
    with TemporaryDirectory() as folder:
        plan = planned(chosen, others, device, given.seconds, found, Path(folder))
        for measure in plan:
            carry_out(measure, found, until)
            write(found, given.out)
    for goal in found["goals"]:
        print(goal_line(goal))
    print(f"{len(found['failed'])} failed, {len(found['skipped'])} skipped; {given.out}")
    return found


def planned(
    chosen: dict[str, int], others: dict[str, int], device: Any, seconds: float,
    found: dict[str, Any], folder: Path,
) -> Iterator[Measure]:  # fmt: skip
    """Every measure, those that the goals need first, those that compile longest last."""
    order = sorted(chosen, key=lambda name: -GOALS.get((name, "train"), 0.0))
    main, rest = order[:1], order[1:]
    aimed_at = [name for name in order if (name, "train") in GOALS] or main
    others_of = [name for name in order if name not in aimed_at]

    def bare(task: str, ways: tuple[str, ...], names: list[str]) -> Iterator[Measure]:
        for way in ways:
            for name in names:
                yield Measure(
                    "speeds",
                    f"{name} {task} {way}",
                    lambda name=name, way=way: asdict(
                        measured(name, task, way, chosen[name], device, seconds)
                    ),
                )

    def in_eight_bits(names: list[str]) -> Iterator[Measure]:
        for name in names:
            for kind in ("int8", "fp8"):
                yield Measure(
                    "precision",
                    f"{name} {kind}",
                    lambda name=name, kind=kind: precision(name, kind, device),
                )

    def stored(names: list[str]) -> Iterator[Measure]:
        for name in names:
            yield Measure(
                "training",
                f"{name} from a store",
                lambda name=name: from_store(name, found, device, folder, seconds),
            )

    eight = ("ours", "int8", "fp8")
    yield from bare("train", ("ours",), aimed_at)
    yield from bare("infer", eight, main)
    yield Measure("loader", "loader", lambda: loaded(order, device, folder, seconds))
    yield from in_eight_bits(main)
    yield from bare("train", ("packed",), aimed_at)
    yield from stored(main)
    yield from bare("infer", eight, rest)
    yield from in_eight_bits(rest)
    yield from bare("train", ("ours", "packed"), others_of)
    yield from stored(rest)
    yield from bare("infer", ("plain",), order)
    yield from bare("train", ("plain",), order)
    for name, batch in {**chosen, **others}.items():
        yield Measure(
            "embeddings",
            f"{name} embeds",
            lambda name=name, batch=batch: embedded(name, batch, device, seconds),
        )
    yield from bare("train", ("step",), list(chosen))


def carry_out(measure: Measure, found: dict[str, Any], until: float) -> None:
    """Run one measure in what is left of the time; note its result, its error or why not."""
    if until - time.monotonic() < START_S:
        found["skipped"].append(measure.name)
        return
    try:
        with limited(until):
            result = measure.run()
    except OutOfTimeError:
        found["skipped"].append(measure.name)
    except Exception as error:  # a benchmark of many parts goes on without one of them
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        found["failed"].append({"measure": measure.name, "error": text})
        print(f"{measure.name}: {text}", flush=True)
    else:
        found[measure.group].append(result)
        print(f"{measure.name}: {told(result)}", flush=True)
    finally:
        forget()


@contextlib.contextmanager
def limited(until: float) -> Iterator[None]:
    """Raise OutOfTimeError when the block runs longer than until then."""

    def stop(*_: Any) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(until - time.monotonic(), 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def told(result: dict[str, Any]) -> str:
    """The figures of a result in one line."""
    shown = {k: v for k, v in result.items() if isinstance(v, int | float) and v == v}
    return ", ".join(
        f"{k} {v:,.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in shown.items()
    )


def forget() -> None:
    """Give the card's memory back."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def write(found: dict[str, Any], out: Path) -> None:
    """Write what was found so far, with the goals that follow from it."""
    found["goals"] = list(goals(found))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    partial.replace(out)


def goals(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each goal with the best measured value beside it (None where not measured)."""
    speeds = found["speeds"]
    for (network, task), aim in GOALS.items():
        own = [s for s in speeds if (s["network"], s["task"]) == (network, task)]
        values = [s["mfu"] for s in own if s["mfu"] is not None and s["way"] not in ("int8", "fp8")]
        yield _goal(f"{network} {task}, share of the bfloat16 peak", aim, max(values, default=None))
    rates = {(s["network"], s["way"]): s["crops_per_s"] for s in speeds if s["task"] == "infer"}
    for network in dict.fromkeys(network for network, _ in rates):
        plain = rates.get((network, "ours"))
        faster = [rates[network, kind] for kind in ("int8", "fp8") if (network, kind) in rates]
        ratio = max(faster) / plain if plain and faster else None
        yield _goal(f"{network} in 8 bits, times bfloat16", EIGHT_BITS_GOAL, ratio)
    for each in found["precision"]:
        name = f"{each['network']} {each['kind']}, cosine with bfloat16"
        yield _goal(name, COSINE_GOAL, each["cosine"])
    rate = max((each["crops_per_s"] for each in found["loader"]), default=None)
    yield _goal("loader alone, crops per second", LOADER_GOAL, rate)


def _goal(name: str, aim: float, value: float | None) -> dict[str, Any]:
    return {
        "goal": name,
        "aim": aim,
        "value": value,
        "is_met": None if value is None else value >= aim,
    }


def goal_line(goal: dict[str, Any]) -> str:
    """A goal as a line: what, measured, aimed at, met or not."""
    words = {None: "not measured", True: "met", False: "not met"}
    value = "–" if goal["value"] is None else f"{goal['value']:,.3f}"
    return f"{goal['goal']}: {value}, goal {goal['aim']:,}: {words[goal['is_met']]}"


def measured(name: str, task: str, way: str, batch: int, device: Any, seconds: float) -> Speed:
    """The speed at the largest batch that fits into memory."""
    from gpu_training import recipe_of

    if task == "train" and name in BATCHES:
        batch = recipe_of(name)["micro_batch_size"]
    return fitting(lambda size: speed(name, task, way, size, device, seconds), batch)


def fitting(attempt: Callable[[int], Any], batch: int) -> Any:
    """What an attempt finds at the largest batch, halving from `batch`, that fits into memory."""
    while True:
        try:
            return attempt(batch)
        except Exception as error:
            if batch == 1 or not lacks_memory(error):
                raise
        # Only here has the error let go of the network that did not fit.
        batch //= 2
        forget()


def lacks_memory(error: Exception) -> bool:
    """Whether it is torch's error of a full card, or the library's that follows from it."""
    import torch

    return any(isinstance(e, torch.OutOfMemoryError) for e in (error, error.__cause__))


def speed(name: str, task: str, way: str, batch: int, device: Any, seconds: float) -> Speed:
    """Crops per second of one way of doing one task."""
    import torch
    from gpu_training import recipe_of

    from phenoprints.models.flops import encoder_flops
    from phenoprints.training import TrainingSettings
    from phenoprints.training.devices import prepare
    from phenoprints.training.progress import peak_flops

    # Else the shapes of an earlier network make later ones compile for any shape, which is slower.
    torch.compiler.reset()
    is_smoke = device.type == "cpu"
    changes = WAYS[task][way]
    if is_smoke and changes is not None:
        changes = {**changes, "compile_step": False}  # it takes minutes on a CPU
    settings = TrainingSettings(**{**recipe_of(name), **(changes or {})})
    objective = network(name, settings, device)
    encoder, size = objective.encoder, objective.encoder.crop_px
    crops = torch.randint(0, 256, (batch, 6, size, size), dtype=torch.uint8, device=device)
    with contextlib.ExitStack() as stack:
        if way in ("int8", "fp8"):
            from phenoprints.models.quantized import eight_bits

            stack.enter_context(eight_bits(encoder, way))
        if changes is not None:
            prepare(objective, settings)
        if task == "train":
            step = training_step(objective, crops, settings if changes is not None else None)
        else:
            step = inference_step(encoder, crops)
        rate = batch * steps_per_second(step, device, seconds)
    done = (
        training_operations(objective, settings) if task == "train" else encoder_flops(encoder, 6)
    )
    peak = None if is_smoke else peak_flops(torch.cuda.get_device_name())
    memory = 0.0 if is_smoke else torch.cuda.max_memory_allocated() / 1e9
    return Speed(name, task, way, batch, rate, peak and rate * done / peak, memory)


def network(name: str, settings: Any, device: Any) -> Any:
    """A masked autoencoder with random weights, made on the card."""
    import torch

    from phenoprints import models
    from phenoprints.training.objectives import build_objective

    torch.manual_seed(0)
    with device:
        encoder = models.build(
            name, channels=6, drop_path=settings.drop_path, layer_scale=settings.layer_scale
        )
        return build_objective("mae", encoder, settings, num_channels=6).to(device)


def training_operations(objective: Any, settings: Any) -> float:
    """Operations that a step does for a crop: without those of blocks that are left out."""
    from phenoprints.models.flops import BACKWARD_FACTOR, encoder_flops, training_flops

    whole = training_flops(objective.model, 6)
    if not settings.pack_depth:
        return whole
    encoder = objective.encoder
    kept = max(int(encoder.num_tokens(6) * (1.0 - settings.mask_fraction)), 1)
    left_out = settings.drop_path / 2  # it grows linearly from 0
    return whole - BACKWARD_FACTOR * left_out * encoder_flops(encoder, 6, kept)


def training_step(objective: Any, crops: Any, settings: Any) -> Callable[[], None]:
    """A step of the recipe, or the plain one where no settings are given."""
    import torch

    from phenoprints.training.optimizers import build_optimizer, parameter_groups

    objective.train()
    plain = settings is None
    optimizer = (
        LoopLion(parameter_groups(objective, 0.05), lr=1e-5)
        if plain
        else build_optimizer(objective, settings)
    )
    keys = torch.arange(len(crops), device=crops.device)

    def step() -> None:
        with torch.autocast(crops.device.type, dtype=torch.bfloat16):
            loss = objective(crops, keys, keys)["loss"]
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


def precision(name: str, kind: str, device: Any) -> dict[str, Any]:
    """Features in 8 bits against bfloat16, of random weights whose blocks count (layer scale 1)."""
    import torch
    from gpu_precision import compared

    from phenoprints import models

    torch.manual_seed(0)
    with device:
        encoder = models.build(name, channels=6, layer_scale=1.0).to(device)
    return {"network": name, "kind": kind, **compared(encoder, kind)}


def packed_store(folder: Path, device: Any) -> Path:
    """The store that is trained from; written once."""
    from gpu_training import pack

    store = folder / "store"
    if not store.exists():
        store.mkdir()
        pack(store, is_smoke=device.type == "cpu")
    return store


def loaded(names: list[str], device: Any, folder: Path, seconds: float) -> dict[str, Any]:
    """The loader alone, at the crops of the first network."""
    from gpu_training import loader_rate

    return loader_rate(names[0], device, packed_store(folder, device), seconds=max(seconds, 1.0))


def from_store(
    name: str, found: dict[str, Any], device: Any, folder: Path, seconds: float
) -> dict[str, Any]:
    """Training by the library from one packed store, at the batch at which the bare step fitted."""
    from gpu_training import measured as trained_at

    ways = {(s["network"], s["task"], s["way"]): s for s in found["speeds"]}
    bare = ways[name, "train", "ours"]
    store = packed_store(folder, device)
    trained = fitting(
        lambda batch: trained_at(
            name, batch, device, store, seconds=seconds, bare=bare["crops_per_s"]
        ),
        bare["batch"],
    )
    return {**asdict(trained), "ratio": trained.ratio}


def embedded(name: str, batch: int, device: Any, seconds: float) -> dict[str, Any]:
    """Embedding packed images with a network, from end to end."""
    from gpu_embeddings import measured as embedded_by

    end = embedded_by(name, batch, device, seconds)
    return {**asdict(end), "ratio": end.ratio}


if __name__ == "__main__":
    main()
