"""Read any configured screen into validated tables."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from phenoprints.foundations.errors import ConfigurationError
from phenoprints.screens.assembly import assemble
from phenoprints.screens.declared import with_declared_size
from phenoprints.screens.images.packing import with_packed_locators
from phenoprints.screens.listing import Screen
from phenoprints.screens.preparing import needs_store

SOURCE_NAMES = (
    "profiles-table", "simulated", "rxrx1", "rxrx3", "rxrx3-core", "jump-cp", "harmony", "yokogawa",
    "imagexpress", "ome-zarr", "files", "planned",
)  # fmt: skip
SOURCES = {name: f"phenoprints.screens.sources.{name.replace('-', '_')}" for name in SOURCE_NAMES}
"""The module of each source; its `read_listing` takes the settings that its `SETTINGS` name."""

ASSEMBLY_SETTINGS = ("plate_format", "modality", "include_experiments", "max_perturbations")
"""Settings of any screen that concern its assembly."""

OTHER_SETTINGS = (
    "source", "name", "preset", "limits", "crop_px", "exclude_border_crops", "overlap_px",
    "height_px", "width_px", "channel_names", "window_percentiles", "pack", "pack_compression",
    "pack_chunk_px", "max_failed_fraction", "quality", "alignment", "consistency", "maps",
    "benchmarks",
)  # fmt: skip
"""Settings of any screen that later stages read."""


def read(config: Mapping[str, Any], name: str | None = None, *, seed: int = 0) -> Screen:
    """Return the screen that a section of the configuration describes.

    Parameters
    ----------
    config
        The screen's section: `source` and that source's settings; absent ones take their default.
    name
        The screen's name; by default `config["name"]`, else the name of its source.
    seed
        The run's seed; only simulated screens depend on it.

    Raises
    ------
    ConfigurationError
        An unknown source or setting.
    MissingInputError, TableError
        A file is not there, or its content breaks the contract; all problems in one message.
    """
    source = source_module(str(config.get("source", "")))
    settings, called = own_settings(config), name or str(config.get("name", config["source"]))
    _refuse_unknown(config["source"], settings, source.SETTINGS)
    given = {"screen": called, "seed": seed, **config}
    wanted = {key: given[key] for key in source.SETTINGS if key in given}
    shape = {key: config[key] for key in ASSEMBLY_SETTINGS if key in config}
    screen = assemble(called, source.read_listing(**wanted), **shape)
    screen.notes["geometry"] = _geometry(screen, config)
    screen = with_declared_size(screen, config)
    return with_packed_locators(screen) if needs_store(config) else screen


def own_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a screen that belong to its source alone."""
    general = {*ASSEMBLY_SETTINGS, *OTHER_SETTINGS}
    return {key: value for key, value in config.items() if key not in general}


def _refuse_unknown(source: str, settings: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in settings:
        if key not in {*known, "root"}:
            near = get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"screens: source {source} has no setting {key!r}.{hint}")


def _geometry(screen: Screen, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the declared height, width and channels: as configured, else the most
    frequent ones.
    """
    sites = screen.sites
    geometry: dict[str, Any] = {"height_px": None, "width_px": None, "channels": []}
    if len(sites):
        sizes = sites[["height", "width"]].value_counts().reset_index()
        geometry["height_px"] = int(sizes["height"].iloc[0])
        geometry["width_px"] = int(sizes["width"].iloc[0])
        geometry["channels"] = list(sites["channels"].map(tuple).value_counts().index[0])
    named = {"height_px": "height_px", "width_px": "width_px", "channel_names": "channels"}
    for key, name in named.items():
        if config.get(key):
            geometry[name] = config[key]
    return geometry


def source_module(source: str) -> Any:
    """Return the module of a source: its `SETTINGS` and `read_listing`. It is imported only now."""
    if source not in SOURCES:
        raise ConfigurationError(
            f"screens: unknown source {source!r}. Expected one of {', '.join(sorted(SOURCES))}."
        )
    return importlib.import_module(SOURCES[source])
