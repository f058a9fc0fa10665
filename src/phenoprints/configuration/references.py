"""Check references between screens, encoders and manifests, and find cycles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from phenoprints.configuration.reading import KeyPath, Source, dotted
from phenoprints.configuration.tasks import BUILT_IN_TASKS
from phenoprints.configuration.validation import nearest
from phenoprints.foundations.errors import Problem

TRIMMED = ".trimmed"
TRAINED_KINDS = ("mae", "weakly-supervised", "dino")
STATISTICS_KINDS = ("simple", "cell-count")
NETWORK_KINDS = (*TRAINED_KINDS, "untrained", *STATISTICS_KINDS, "openphenom", "timm")
BASELINE_KINDS = ("random", "untrained", *STATISTICS_KINDS)
"""Encoders that have learned nothing; a trained one must beat the strongest of them."""

Config = Mapping[str, Any]
_Fault = tuple[KeyPath, str]


CURATION_OPTIONS = ("duplicates", "balance", "confounders")
"""Options of a manifest that compare vectors of an encoder."""


def encoders_of_options(manifest: Config) -> dict[str, str]:
    """Return the encoder of each option that a manifest sets: its own, or the first judge.

    An option without both has "".
    """
    first = next(iter(manifest.get("judges", [])), "")
    return {
        option: (manifest[option].get("encoder") or first)
        for option in CURATION_OPTIONS
        if manifest.get(option) is not None
    }


def encoders_of_manifest(manifest: Config) -> list[str]:
    """Return the encoders that a manifest is made with: its judges, and those of its options."""
    options = [name for name in encoders_of_options(manifest).values() if name]
    return list(dict.fromkeys([*manifest.get("judges", []), *options]))


def base_encoder(name: str) -> str:
    """Return the encoder behind a derived one: `a` for `a.trimmed`, else the name itself."""
    return name.removesuffix(TRIMMED)


def has_images(screen: Config) -> bool:
    """Whether a screen, as configured, has pixels to look at."""
    if "profiles-table" in (screen["source"], screen.get("planned_source")):
        return False
    if screen["source"] == "jump-cp":
        return bool(screen.get("load_data"))
    return not screen["source"].startswith("rxrx3") or screen.get("images", True) is not None


def can_see(config: Config, encoder: str, screen: str) -> bool:
    """Whether there is anything of a screen for an encoder: vectors, images, or chance."""
    item = config["encoders"][base_encoder(encoder)]
    if item["kind"] == "precomputed":
        return screen in item["screens"]
    return item["kind"] == "random" or has_images(config["screens"][screen])


def wrong_references(config: Config, source: Source) -> list[Problem]:
    """List every reference to something that does not exist or cannot be used."""
    checks = (_screens, _encoders, _manifests, _evaluation, _probes, _paper, _match)
    found = (fault for check in checks for fault in check(config))
    return [
        Problem(f"{source.where(path, missing=True)}: {dotted(path)}", what) for path, what in found
    ]


def cycles(config: Config, source: Source) -> list[Problem]:
    """Describe the first cycle of encoders, manifests and judges as a → b → a."""
    graph = dependencies(config)
    loop = _first_cycle(graph)
    if not loop:
        return []
    section, name = loop[0]
    path = (section, name)
    chain = " → ".join(name for _, name in loop)
    what = f"{chain} is a cycle: each needs the one after it; expected a chain that begins"
    return [Problem(f"{source.where(path)}: {dotted(path)}", what)]


Node = tuple[str, str]


def dependencies(config: Config) -> dict[Node, list[Node]]:
    """Map each manifest and encoder to what it needs: its judges, or its manifest and its start.

    Nodes are ("manifests" | "encoders", name), sorted; a trimmed encoder counts as its base.
    """
    graph: dict[Node, list[Node]] = {}
    for name, manifest in sorted(config["manifests"].items()):
        judges = sorted({base_encoder(judge) for judge in encoders_of_manifest(manifest)})
        graph["manifests", name] = [("encoders", judge) for judge in judges]
    for name, encoder in sorted(config["encoders"].items()):
        needs = [("manifests", encoder.get("manifest")), ("encoders", encoder.get("start_from"))]
        graph["encoders", name] = [(section, need) for section, need in needs if need]
    return graph


def _first_cycle(graph: Mapping[Node, list[Node]]) -> list[Node]:
    done: set[Node] = set()

    def visit(node: Node, trail: list[Node]) -> list[Node]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return []
        for need in graph.get(node, []):
            if loop := visit(need, [*trail, node]):
                return loop
        done.add(node)
        return []

    return next((loop for node in graph if (loop := visit(node, []))), [])


def _missing(path: KeyPath, names: Iterable[str], known: Iterable[str], what: str) -> list[_Fault]:
    known = sorted(known)
    faults = []
    for index, name in enumerate(names):
        if name not in known:
            expected = f"expected one of {', '.join(known)}" if known else f"there is no {what}"
            hint = nearest(name, known) or f"; {expected}"
            faults.append(((*path, index), f'"{name}" is no {what} of this configuration{hint}'))
    return faults


def _one_missing(path: KeyPath, name: str | None, known: Iterable[str], what: str) -> list[_Fault]:
    if name is None:
        return []
    return [(path, text) for _, text in _missing(path, [name], known, what)]


def _screens(config: Config) -> Iterator[_Fault]:
    """Yield simulated screens with the seed of another one, which would have the same wells."""
    first: dict[int, str] = {}
    for name, screen in config["screens"].items():
        if screen["source"] == "simulated":
            seed = config["seed"] if screen["seed"] is None else screen["seed"]
            if first.setdefault(seed, name) != name:
                what = f"{seed} is the seed of screen {first[seed]} too, with the same wells"
                yield ("screens", name, "seed"), f"{what}; expected another"


def _encoders(config: Config) -> Iterator[_Fault]:
    for name, encoder in config["encoders"].items():
        path: KeyPath = ("encoders", name)
        screens, manifests = config["screens"], config["manifests"]
        homes = {"manifest": manifests, "screen": screens, "start_from": config["encoders"]}
        for key, known in homes.items():
            what = "encoder" if key == "start_from" else key
            yield from _one_missing((*path, key), encoder.get(key), known, what)
        if encoder["kind"] == "weakly-supervised":
            yield from _manifest_or_screen(path, encoder)
        if encoder["kind"] == "precomputed":
            yield from _precomputed(path, encoder, config)
        yield from _learns_from_images(path, encoder, config)


def _manifest_or_screen(path: KeyPath, encoder: Config) -> Iterator[_Fault]:
    given = [key for key in ("manifest", "screen") if encoder.get(key)]
    if len(given) != 1:
        yield path, f"{len(given)} of the keys manifest and screen are given; expected one of them"


def _precomputed(path: KeyPath, encoder: Config, config: Config) -> Iterator[_Fault]:
    yield from _missing((*path, "screens"), encoder["screens"], config["screens"], "screen")
    profiles = encoder.get("profiles")
    tables = profiles if isinstance(profiles, Mapping) else {}
    for screen in tables:
        yield from _one_missing((*path, "profiles", screen), screen, encoder["screens"], "screen")
    for index, screen in enumerate(encoder["screens"]):
        source = config["screens"].get(screen, {}).get("source", "profiles-table")
        if source != "profiles-table" and (tables.get(screen) or profiles) in (None, [], {}):
            what = f'the profiles of "{screen}" are not named; expected them under "profiles"'
            yield (*path, "screens", index), what


def _learns_from_images(path: KeyPath, encoder: Config, config: Config) -> Iterator[_Fault]:
    manifest = config["manifests"].get(encoder.get("manifest"), {})
    names = [encoder["screen"]] if encoder.get("screen") else manifest.get("screens", [])
    for name in names:
        screen = config["screens"].get(name)
        if screen and encoder["kind"] in TRAINED_KINDS and not has_images(screen):
            yield path, f'it would learn from the screen "{name}", which has no images'


def _manifests(config: Config) -> Iterator[_Fault]:
    for name, manifest in config["manifests"].items():
        path: KeyPath = ("manifests", name)
        yield from _missing((*path, "screens"), manifest["screens"], config["screens"], "screen")
        judges = manifest.get("judges", [])
        yield from _missing_encoders((*path, "judges"), judges, config)
        for index, judge in enumerate(judges):
            for screen in manifest["screens"]:
                where = (*path, "judges", index)
                yield from _cannot_see(where, judge, screen, config)
        yield from _options(path, manifest, config)


def _options(path: KeyPath, manifest: Config, config: Config) -> Iterator[_Fault]:
    for option, encoder in encoders_of_options(manifest).items():
        where = (*path, option)
        if not encoder:
            yield (
                where,
                "names no encoder, and there are no judges; expected encoder: <name>",
            )
        elif encoder not in manifest.get("judges", []):
            yield from _missing_encoders((*where, "encoder"), [encoder], config)
            for screen in manifest["screens"]:
                yield from _cannot_see((*where, "encoder"), encoder, screen, config)


def _cannot_see(path: KeyPath, judge: str, screen: str, config: Config) -> Iterator[_Fault]:
    encoder = config["encoders"].get(base_encoder(judge))
    if encoder is None or screen not in config["screens"]:
        return
    if encoder["kind"] == "precomputed" and screen not in encoder["screens"]:
        yield path, f'"{judge}" has no vectors of the screen "{screen}"; expected it in its screens'
    elif encoder["kind"] in NETWORK_KINDS and not has_images(config["screens"][screen]):
        yield path, f'"{judge}" needs images, and the screen "{screen}" has none'


def _missing_encoders(path: KeyPath, names: list[str], config: Config) -> Iterator[_Fault]:
    encoders = config["encoders"]
    for index, name in enumerate(names):
        base = base_encoder(name)
        yield from _one_missing((*path, index), base, encoders, "encoder")
        if base == name or base not in encoders:
            continue
        if encoders[base]["kind"] not in NETWORK_KINDS:
            what = f'"{name}" cannot be made: "{base}" has no blocks; expected a network'
            yield (*path, index), what
        if not config["evaluation"].get("probes"):
            what = f'"{name}" ends after the block that probes choose; expected evaluation.probes'
            yield (*path, index), what


def _evaluation(config: Config) -> Iterator[_Fault]:
    evaluation = config["evaluation"]
    screens, encoders = evaluation.get("screens", []), evaluation.get("encoders", [])
    yield from _missing(("evaluation", "screens"), screens, config["screens"], "screen")
    yield from _missing_encoders(("evaluation", "encoders"), encoders, config)
    for screen, names in evaluation.get("by_screen", {}).items():
        path: KeyPath = ("evaluation", "by_screen", screen)
        yield from _one_missing(path, screen, screens, "screen among evaluation.screens")
        yield from _missing_encoders(path, names, config)
        for index, name in enumerate(names):
            yield from _cannot_see((*path, index), name, screen, config)
    known = [screen for screen in screens if screen in config["screens"]]
    for index, name in enumerate(encoders):
        item = config["encoders"].get(base_encoder(name))
        is_probed = evaluation.get("probes") and item and item["kind"] in NETWORK_KINDS
        if item and not is_probed and not any(can_see(config, name, each) for each in known):
            what = f'"{name}" can see none of the screens in evaluation.screens'
            yield (
                ("evaluation", "encoders", index),
                f"{what}; expected one with its vectors or images",
            )


def _probes(config: Config) -> Iterator[_Fault]:
    own, chosen = config["probes"].get("tasks", {}), config["evaluation"].get("probes", [])
    known, screens = {**BUILT_IN_TASKS, **own}, config["screens"]
    yield from _missing(("evaluation", "probes"), chosen, known, "probe task")
    trim_tasks = config["probes"].get("trim_tasks", [])
    yield from _missing(("probes", "trim_tasks"), trim_tasks, chosen, "task in evaluation.probes")
    for name, task in own.items():
        path: KeyPath = ("probes", "tasks", name)
        yield from _missing((*path, "screens"), task.get("screens", []), screens, "screen")
        needs = {"annotation": "annotation", "groups": "groups"}.get(task["labels"])
        if needs and not task.get(needs):
            yield path, f'the labels are {task["labels"]}, so the key "{needs}" is expected'


def matched_screens(config: Config) -> list[str]:
    """Return the screens that are placed on a reference; none in configurations before `match`."""
    return list(config.get("match", {}).get("screens", []))


def match_encoder(config: Config) -> str | None:
    """Return the encoder of matched screens: the one that is named, else the only one."""
    names = list(config["encoders"])
    named: str | None = config["match"]["encoder"]
    return named or (names[0] if len(names) == 1 else None)


def _match(config: Config) -> Iterator[_Fault]:
    """Yield what is missing to place screens on a reference."""
    section, encoder = config["match"], match_encoder(config)
    yield from _missing(("match", "screens"), section["screens"], config["screens"], "screen")
    known = [*config["encoders"], *(f"{name}{TRIMMED}" for name in config["encoders"])]
    yield from _one_missing(("match", "encoder"), section["encoder"], known, "encoder")
    if not section["screens"]:
        return
    if section["reference"] is None:
        yield ("match", "reference"), "is missing; expected the folder of a reference"
    if encoder is None:
        names = ", ".join(sorted(config["encoders"])) or "none"
        yield ("match", "encoder"), f"is missing; expected one of {names}"
    elif base_encoder(encoder) in config["encoders"]:
        for index, name in enumerate(section["screens"]):
            if name in config["screens"] and not can_see(config, encoder, name):
                what = f"encoder {encoder} has nothing of screen {name} to read"
                yield ("match", "screens", index), what


def _paper(config: Config) -> Iterator[_Fault]:
    """Yield unknown names among those that stand for rows of the paper."""
    chosen = config["reports"].get("paper") or {}
    known = {
        "encoders": config["encoders"],
        "screens": config["screens"],
        "tasks": config["evaluation"].get("probes", []),
    }
    for key, names in known.items():
        for published, own in chosen.get(key, {}).items():
            yield from _one_missing(("reports", "paper", key, published), own, names, key[:-1])
