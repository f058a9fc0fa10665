"""Resolve what a user wrote: defaults, presets, recipes, overrides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phenoprints.configuration.paths import wrong_paths
from phenoprints.configuration.patterns import wrong_patterns
from phenoprints.configuration.presets import KINDS, Limits, preset, preset_of_screen
from phenoprints.configuration.reading import Source, merge, plain, read
from phenoprints.configuration.recipes import RECIPES
from phenoprints.configuration.references import (
    NETWORK_KINDS,
    STATISTICS_KINDS,
    TRAINED_KINDS,
    cycles,
    wrong_references,
)
from phenoprints.configuration.renaming import SCREEN_SECTIONS, modernize, warn_renamed
from phenoprints.configuration.tasks import BUILT_IN_TASKS
from phenoprints.configuration.validation import faults, with_defaults
from phenoprints.foundations.errors import (
    ConfigurationError,
    Problem,
    UnsafeInputError,
    raise_problems,
)

TEMPLATE_SWITCH = "__use_yte__"
"""With this key Snakemake runs a configuration as a template, before any Snakefile is read."""


def load(
    configuration: str | Path | Sequence[str | Path] | Mapping[str, Any],
    files: Iterable[str | Path] = (),
    *,
    warn: Callable[[str], object] = warn_renamed,
) -> dict[str, Any]:
    """Return the resolved configuration: checked, with defaults, presets, recipes and overrides.

    Parameters
    ----------
    configuration
        A YAML file, several (later ones are laid over earlier ones, mapping by mapping), or a
        mapping that is merged already, as Snakemake holds it.
    files
        Where a mapping was read from, so that messages can name files and lines.
    warn
        Called with one line for each old name that is used.

    Returns
    -------
    dict
        Plain data with sorted keys. Beside what the schema says: every screen holds its whole
        sections `quality`, `alignment`, `consistency`, `maps` and `benchmarks` and its `limits` by
        kind of perturbation; every manifest its `limits`; every trained encoder its whole
        `training`, every network its `num_jobs`; every precomputed encoder its `profiles` as a
        mapping from screen to paths (below the screen's `root`); `probes.tasks` the tasks of
        `evaluation.probes` with their screens.

    Raises
    ------
    ConfigurationError
        With one line for each thing that is wrong, all at once.
    UnsafeInputError
        The file would build objects, run code or exhaust the memory.
    MissingInputError
        A file is not there.
    """
    source, warnings, conflicts = _source(configuration, files)
    raise_problems([*conflicts, *faults(source)], ConfigurationError)
    for warning in warnings:
        warn(warning)
    config = with_defaults(_overrides(source.content))
    problems = [*wrong_references(config, source), *cycles(config, source)]
    problems += [*wrong_patterns(config, source), *wrong_paths(config, source)]
    raise_problems(problems, ConfigurationError)
    return _resolved(config)


def _source(
    configuration: Any, files: Iterable[str | Path]
) -> tuple[Source, list[str], list[Problem]]:
    """Return one source under present names, with a warning for each old one, and conflicts."""
    if isinstance(configuration, Mapping):
        places = {}
        for file in files:
            places.update(_safe(read(file)).places)
        origin = "--config" if places else "configuration"
        return modernize(Source(plain(configuration, origin, places), places, origin))
    single = isinstance(configuration, str | Path)
    merged, warnings, conflicts = Source({}), [], []
    for path in [configuration] if single else configuration:
        source, found, wrong = modernize(_safe(read(path)))
        places = {**merged.places, **source.places}
        merged = Source(merge(merged.content, source.content), places, source.origin)
        warnings += found
        conflicts += wrong
    return merged, warnings, conflicts


def _safe(source: Source) -> Source:
    """Return the source, unless it asks Snakemake to run Python that it contains."""
    if TEMPLATE_SWITCH in source.content:
        where = source.where((TEMPLATE_SWITCH,))
        raise UnsafeInputError(
            f"{where}: {TEMPLATE_SWITCH}: this file would run code when Snakemake reads it; "
            "expected plain YAML."
        )
    return source


def _overrides(content: Mapping[str, Any]) -> dict[str, Any]:
    """Lay sections into screens and recipes into encoders, as far as the user gave them."""
    merged = merge({}, content)
    merged["screens"] = {
        name: {**screen, **{part: _over(content, part, screen) for part in SCREEN_SECTIONS}}
        for name, screen in content["screens"].items()
    }
    merged["encoders"] = {
        name: {**encoder, "training": _training(content, encoder)}
        if encoder["kind"] in TRAINED_KINDS
        else encoder
        for name, encoder in content.get("encoders", {}).items()
    }
    return merged


def _over(content: Mapping[str, Any], part: str, item: Mapping[str, Any]) -> dict[str, Any]:
    return merge(content.get(part, {}), item.get(part, {}))


def _training(content: Mapping[str, Any], encoder: Mapping[str, Any]) -> dict[str, Any]:
    return merge(RECIPES[encoder.get("recipe", "default")], _over(content, "training", encoder))


def _resolved(config: dict[str, Any]) -> dict[str, Any]:
    for screen in config["screens"].values():
        screen["limits"] = merge(preset(preset_of_screen(screen)), screen["limits"])
    for manifest in config["manifests"].values():
        limits = [config["screens"][name]["limits"] for name in manifest["screens"]]
        manifest["limits"] = _manifest_limits(manifest, limits)
    for encoder in config["encoders"].values():
        if encoder["kind"] == "precomputed":
            encoder["profiles"] = _profiles(encoder, config["screens"])
            given = encoder["row_tables"]
            encoder["row_tables"] = {
                name: _listed(given.get(name, []) if isinstance(given, Mapping) else given)
                for name in encoder["profiles"]
            }
        if encoder["kind"] in NETWORK_KINDS:
            encoder["num_jobs"] = encoder["num_jobs"] or config["inference"]["num_jobs"]
        if encoder["kind"] in STATISTICS_KINDS:
            encoder["crop_px"] = encoder["crop_px"] or _evaluated_crop(config)
    config["probes"]["tasks"] = _tasks(config)
    return config


def _evaluated_crop(config: Mapping[str, Any]) -> int:
    """Return the smallest crop of the evaluated screens, which statistics of crops fit to."""
    screens = config["screens"]
    crops = [screens[name]["crop_px"] for name in config["evaluation"]["screens"]]
    return int(min(crops or [screen["crop_px"] for screen in screens.values()]))


def _manifest_limits(manifest: Mapping[str, Any], limits: list[Limits]) -> Limits:
    given = {key: manifest[key] for key in ("min_experiments", "min_wells") if manifest[key]}
    return {
        kind: {
            **{
                key: min(of[kind][key] for of in limits) for key in ("min_experiments", "min_wells")
            },
            **given,
            **manifest["limits"].get(kind, {}),
        }
        for kind in KINDS
    }


def _profiles(encoder: Mapping[str, Any], screens: Mapping[str, Any]) -> dict[str, list[str]]:
    given = encoder["profiles"]
    return {
        name: _listed((given.get(name) if isinstance(given, Mapping) else given) or _wells(screen))
        for name, screen in sorted(screens.items())
        if name in encoder["screens"]
    }


def _wells(screen: Mapping[str, Any]) -> Any:
    return screen.get("wells") or []


def _listed(paths: Any) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)


def _tasks(config: Mapping[str, Any]) -> dict[str, Any]:
    known = {**BUILT_IN_TASKS, **config["probes"]["tasks"]}
    empty: dict[str, Any] = {
        "across_cell_types": False,
        "annotation": None,
        "controls": [],
        "groups": None,
        "screens": [],
        "sources": [],
    }
    return {
        name: {**empty, **known[name], "screens": _task_screens({**empty, **known[name]}, config)}
        for name in sorted(config["evaluation"]["probes"])
    }


def _task_screens(task: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    if task["screens"]:
        return sorted(task["screens"])
    return sorted(
        name
        for name, screen in config["screens"].items()
        if not task["sources"] or screen.get("planned_source", screen["source"]) in task["sources"]
    )
