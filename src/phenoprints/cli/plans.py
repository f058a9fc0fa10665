"""The stages of a plan with what each would take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from phenoprints.cli.estimates import (
    CORE_GFLOP_PER_SECOND,
    GFLOP_PER_SECOND,
    Cost,
    Size,
    blocks_cost,
    crops_cost,
    embedding_cost,
    network_of,
    processor_hours,
    training_cost,
)
from phenoprints.cli.screen_summary import ScreenSummary
from phenoprints.cli.terminal import bytes_text, count, hours_text, table
from phenoprints.configuration import Plan, base_encoder, plan


def plan_lines(config: Mapping[str, Any], facts: Mapping[str, ScreenSummary]) -> Iterator[str]:
    """Yield a table of stages with jobs' items, GPU hours and disk, and sums with their
    assumptions.
    """
    planned = plan(config)
    sizes = {name: of.size for name, of in facts.items()}
    costs = _costs(config, planned, sizes)
    rows = [("stage", "items", "GPU hours", "disk")]
    for stage, items in _items(planned).items():
        cost = costs.get(stage, Cost())
        gpu = count(cost.gpu_hours) if cost.gpu_hours >= 1 else "<1" if cost.gpu_hours else ""
        rows.append((stage, items, gpu, bytes_text(cost.stored_bytes) if cost.stored_bytes else ""))
    yield table(rows)
    yield ""
    yield from _sums(config, planned, sizes, costs)


def _items(planned: Plan) -> dict[str, str]:
    def number(things: Any, word: str) -> str:
        return f"{len(things)} {word}{'' if len(things) == 1 else 's'}" if things else "–"

    return {
        "screens": number(planned.screens, "screen"),
        "quality": number(planned.screens, "screen"),
        "embeddings": number(planned.pairs, "pair"),
        "alignment": number(planned.aligned_pairs, "pair"),
        "consistency": number(planned.judged_pairs, "pair"),
        "curation": number(planned.manifests, "manifest"),
        "training": number(planned.trained_encoders, "encoder"),
        "probes": number(planned.probed_encoders, "encoder"),
        "maps": number(planned.evaluated_pairs, "map"),
        "benchmarks": number(planned.evaluated_pairs, "map"),
    }


def _costs(config: Mapping[str, Any], planned: Plan, sizes: Mapping[str, Size]) -> dict[str, Cost]:
    encoders, stored_as = config["encoders"], config["inference"]["stored_as"]

    def total(pairs: Any, cost: Any) -> Cost:
        known = [(sizes[s], encoders[base_encoder(e)]) for s, e in pairs if s in sizes]
        return sum((cost(encoder, size, stored_as) for size, encoder in known), Cost())

    training = [
        training_cost(encoders[name], _learned(config, encoders[name], sizes))
        for name in planned.trained_encoders
    ]
    packed = [sizes[name].image_bytes for name in sizes if config["screens"][name]["pack"]]
    wanted = {"keep_crops": crops_cost, "keep_blocks": blocks_cost}
    kinds = [cost for name, cost in wanted.items() if config["inference"][name]]
    kept = sum(total(planned.computed_pairs, cost).stored_bytes for cost in kinds)
    return {
        "screens": Cost(stored_bytes=sum(packed)),
        "embeddings": total(planned.computed_pairs, embedding_cost) + Cost(stored_bytes=kept),
        "probes": total(planned.block_pairs, blocks_cost),
        "training": sum(training, Cost()),
    }


def _learned(
    config: Mapping[str, Any], encoder: Mapping[str, Any], sizes: Mapping[str, Size]
) -> list[Size]:
    """Return the screens that an encoder learns from, as far as their size is known."""
    screen, manifest = encoder.get("screen"), encoder.get("manifest")
    names = [screen] if screen else config["manifests"][manifest]["screens"]
    return [sizes[name] for name in names if name in sizes]


def _sums(
    config: Mapping[str, Any], planned: Plan, sizes: Mapping[str, Size], costs: Mapping[str, Cost]
) -> Iterator[str]:
    whole = sum(costs.values(), Cost())
    hours = 0.0
    for name, size in sizes.items():
        judges = [encoder for screen, encoder in planned.judged_pairs if screen == name]
        encoders = [base_encoder(e) for s, e in planned.pairs if s == name]
        features = sum(_features(config["encoders"][encoder]) for encoder in encoders)
        hours += processor_hours(size, features, len(judges))
    disk = bytes_text(whole.stored_bytes)
    yield f"Expected: {hours_text(hours)} of one processor core and {disk} of disk for all but"
    if not whole.gpu_hours:
        yield "networks, of which there are none."
        return
    instead = hours_text(whole.gpu_hours * GFLOP_PER_SECOND / CORE_GFLOP_PER_SECOND)
    on_gpu = hours_text(whole.gpu_hours)
    yield f"networks; for these at most {on_gpu} of a GPU, or {instead} of a core."
    yield "A GPU is an H100 at 40 % of its peak (published runs reached 4 to 15 %); training counts"
    yield "every well of its screens, before curation takes some away."


def _features(encoder: Mapping[str, Any]) -> int:
    if encoder["kind"] == "random":
        return int(encoder["num_features"])
    return 500 if encoder["kind"] == "precomputed" else network_of(encoder).features
