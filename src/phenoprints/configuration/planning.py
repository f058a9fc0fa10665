"""Which artefacts a configuration asks for: pairs of screen and encoder, tasks, manifests.

Everything here is sorted tuples of names, so that input functions of the workflow can use it
without any table being read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phenoprints.configuration.references import (
    NETWORK_KINDS,
    TRAINED_KINDS,
    TRIMMED,
    base_encoder,
    can_see,
    dependencies,
    encoders_of_manifest,
    has_images,
    match_encoder,
    matched_screens,
)

Pair = tuple[str, str]
Pairs = tuple[Pair, ...]
Names = tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What exists for one configuration.

    Attributes
    ----------
    screens, screens_without_images, planned_screens
        Names of screens, sorted.
    encoders
        Every name that an encoder can have in a path: all configured ones, each after what it
        learns from, and then the trimmed ones.
    trained_encoders, plain_encoders, trimmed_encoders
        Networks that are trained here, that are not, and `<encoder>.trimmed` where used.
    probed_encoders
        Networks whose blocks are probed.
    manifests
        Each after what its judges learn from.
    tasks, task_screens
        Probe tasks, and pairs (task, screen).
    pairs
        All pairs (screen, encoder) with embeddings. Each stands in exactly one of
        `computed_pairs` (a network looks at images), `precomputed_pairs` (read from tables) and
        `random_pairs`.
    judged_pairs
        Pairs (screen, encoder) with consistency tests.
    evaluated_pairs
        Pairs (screen, encoder) with maps and benchmarks.
    aligned_pairs
        Pairs (screen, encoder) with an alignment of their own: all but those only matched.
    matched_pairs
        Pairs (screen, encoder) that are placed on the reference of `match`.
    block_pairs
        Pairs (screen, encoder) with features of every block, for probes.
    """

    screens: Names
    screens_without_images: Names
    planned_screens: Names
    encoders: Names
    trained_encoders: Names
    plain_encoders: Names
    trimmed_encoders: Names
    probed_encoders: Names
    manifests: Names
    tasks: Names
    task_screens: Pairs
    pairs: Pairs
    computed_pairs: Pairs
    precomputed_pairs: Pairs
    random_pairs: Pairs
    judged_pairs: Pairs
    evaluated_pairs: Pairs
    aligned_pairs: Pairs
    matched_pairs: Pairs
    block_pairs: Pairs

    @property
    def screens_with_images(self) -> Names:
        """Screens that have pixels (planned ones too, in the plan), sorted."""
        return tuple(name for name in self.screens if name not in self.screens_without_images)

    @property
    def networks(self) -> Names:
        """Every encoder with weights, the trimmed ones included, sorted."""
        names = (*self.trained_encoders, *self.plain_encoders, *self.trimmed_encoders)
        return tuple(sorted(names))


def plan(config: Mapping[str, Any]) -> Plan:
    """Return the plan of a resolved configuration."""
    screens, order = config["screens"], learning_order(config)
    tasks = config["probes"]["tasks"]
    judged, evaluated = _judge_pairs(config), _evaluation_pairs(config)
    aligned = judged | evaluated | _option_pairs(config)
    matched = {(name, str(match_encoder(config))) for name in matched_screens(config)}
    pairs = aligned | matched
    probed = _probed(config)
    task_screens = {(name, screen) for name, task in tasks.items() for screen in task["screens"]}
    blocks = {(s, e) for e in probed for _, s in task_screens if can_see(config, e, s)}
    trimmed = _sorted(encoder for _, encoder in pairs if encoder.endswith(TRIMMED))
    return Plan(
        screens=tuple(sorted(screens)),
        screens_without_images=_sorted(n for n, s in screens.items() if not has_images(s)),
        planned_screens=_sorted(n for n, s in screens.items() if s["source"] == "planned"),
        encoders=(*(name for section, name in order if section == "encoders"), *trimmed),
        trained_encoders=_of_kinds(config, TRAINED_KINDS),
        plain_encoders=_of_kinds(config, set(NETWORK_KINDS) - set(TRAINED_KINDS)),
        trimmed_encoders=trimmed,
        probed_encoders=probed,
        manifests=tuple(name for section, name in order if section == "manifests"),
        tasks=tuple(sorted(tasks)),
        task_screens=_sorted(task_screens),
        pairs=_sorted(pairs),
        computed_pairs=_sorted(p for p in pairs if _kind(config, p[1]) in NETWORK_KINDS),
        precomputed_pairs=_sorted(p for p in pairs if _kind(config, p[1]) == "precomputed"),
        random_pairs=_sorted(p for p in pairs if _kind(config, p[1]) == "random"),
        judged_pairs=_sorted(judged),
        evaluated_pairs=_sorted(evaluated),
        aligned_pairs=_sorted(aligned),
        matched_pairs=_sorted(matched),
        block_pairs=_sorted(blocks),
    )


DEFAULT_THRESHOLD = 0.01
"""p-value that tests must be able to reach where no manifest judges by them."""


def thresholds_of(config: Mapping[str, Any], screen: str) -> list[float]:
    """Return the p_value of every manifest whose judges test a screen."""
    return [
        float(manifest["p_value"])
        for manifest in config["manifests"].values()
        if screen in manifest["screens"] and manifest["judges"]
    ]


def threshold_of(config: Mapping[str, Any], screen: str) -> float:
    """Return the largest p-value below which a manifest calls a condition of a screen."""
    return max(thresholds_of(config, screen), default=DEFAULT_THRESHOLD)


LATER_SETTINGS = (
    "preset", "limits", "crop_px", "exclude_border_crops", "overlap_px", "window_percentiles",
    "pack_compression", "pack_chunk_px", "max_failed_fraction", "quality", "alignment",
    "consistency", "maps", "benchmarks",
)  # fmt: skip
"""Settings of a screen that do not change its tables."""


def screen_settings(config: Mapping[str, Any], screen: str) -> dict[str, Any]:
    """Return the settings that a screen's tables depend on, without its seed and later stages'.

    A rule that reads a screen takes these as its params, so that a changed threshold of alignment
    does not read the screen again.
    """
    settings = config["screens"][screen]
    return {key: settings[key] for key in sorted(settings) if key not in (*LATER_SETTINGS, "seed")}


def screen_seed(config: Mapping[str, Any], screen: str) -> int:
    """Return the seed of a screen: its own for a simulated one that has one, else the run's."""
    own = config["screens"][screen].get("seed")
    return int(config["seed"] if own is None else own)


IMAGE_SETTINGS = ("window_percentiles", "pack_compression", "pack_chunk_px", "max_failed_fraction")
"""Settings of a screen that change its image store or windows, and not its tables."""


def image_settings(config: Mapping[str, Any], screen: str) -> dict[str, Any]:
    """Return the settings that a screen's prepared images depend on."""
    settings = config["screens"][screen]
    chosen = {key: settings[key] for key in IMAGE_SETTINGS if key in settings}
    return dict(sorted({**screen_settings(config, screen), **chosen}.items()))


def learning_order(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return manifests and encoders, as (section, name), each after all that it needs."""
    graph = dependencies(config)
    order: list[tuple[str, str]] = []

    def visit(node: tuple[str, str]) -> None:
        if node not in order:
            for need in graph[node]:
                visit(need)
            order.append(node)

    for node in graph:
        visit(node)
    return order


def shared_jobs(config: Mapping[str, Any], planned: Plan) -> dict[Pair, Names]:
    """Return for each pair of screen and network the encoders that may share its jobs, sorted.

    Encoders are ready at the same time when the chains of manifests and judges that they need are
    equally long; none of them then needs what another one sees.
    """
    groups: dict[tuple[str, int], list[str]] = {}
    pairs = sorted({*planned.computed_pairs, *planned.block_pairs})
    depths = {encoder: _depth(config, encoder) for _, encoder in pairs}
    for screen, encoder in pairs:
        groups.setdefault((screen, depths[encoder]), []).append(encoder)
    return {(s, e): tuple(groups[s, depths[e]]) for s, e in pairs}


def _depth(config: Mapping[str, Any], encoder: str) -> int:
    """Count the encoders in the longest chain that an encoder depends on."""
    if encoder.endswith(TRIMMED):
        return 1 + _depth(config, base_encoder(encoder))
    item = config["encoders"][encoder]
    made_with = encoders_of_manifest(config["manifests"].get(item.get("manifest"), {}))
    needed = [*made_with, *([item["start_from"]] if item.get("start_from") else [])]
    return max((1 + _depth(config, name) for name in needed), default=0)


def screens_seen(config: Mapping[str, Any], encoder: str) -> tuple[str, ...]:
    """Return the screens whose images an encoder has learned from, also before it started."""
    seen: set[str] = set()
    name: str | None = base_encoder(encoder)
    while name:
        item = config["encoders"][name]
        seen.update([item["screen"]] if item.get("screen") else [])
        seen.update(config["manifests"].get(item.get("manifest"), {}).get("screens", []))
        name = item.get("start_from")
    return tuple(sorted(seen))


def _sorted(items: Any) -> tuple[Any, ...]:
    return tuple(sorted(set(items)))


def _kind(config: Mapping[str, Any], encoder: str) -> str:
    return str(config["encoders"][base_encoder(encoder)]["kind"])


def _of_kinds(config: Mapping[str, Any], kinds: Any) -> Names:
    return _sorted(name for name, item in config["encoders"].items() if item["kind"] in kinds)


def _judge_pairs(config: Mapping[str, Any]) -> set[Pair]:
    manifests = config["manifests"].values()
    return {(s, judge) for m in manifests for judge in m["judges"] for s in m["screens"]}


def _option_pairs(config: Mapping[str, Any]) -> set[Pair]:
    manifests = config["manifests"].values()
    return {(s, name) for m in manifests for name in encoders_of_manifest(m) for s in m["screens"]}


def _evaluation_pairs(config: Mapping[str, Any]) -> set[Pair]:
    evaluation = config["evaluation"]
    return {
        (screen, encoder)
        for screen in evaluation["screens"]
        for encoder in evaluation.get("by_screen", {}).get(screen, evaluation["encoders"])
        if can_see(config, encoder, screen)
    }


def _probed(config: Mapping[str, Any]) -> Names:
    """Networks whose blocks are probed: those evaluated, and those used trimmed."""
    if not config["evaluation"]["probes"]:
        return ()
    used = [name for m in config["manifests"].values() for name in encoders_of_manifest(m)]
    used += [name for names in config["evaluation"].get("by_screen", {}).values() for name in names]
    trimmed = [name for name in used if name.endswith(TRIMMED)]
    names = {base_encoder(name) for name in [*config["evaluation"]["encoders"], *trimmed]}
    return _sorted(name for name in names if _kind(config, name) in NETWORK_KINDS)
