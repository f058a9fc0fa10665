"""Read any configured screen into validated tables."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from phenoprints.foundations.errors import ConfigurationError
from phenoprints.screens.assembly import assemble
from phenoprints.screens.listing import Listing, Screen

SOURCES = {
    "profiles-table": "phenoprints.screens.sources.profiles_table",
}
"""The module of each source; its function `read_listing` takes the source's settings."""

ASSEMBLY_SETTINGS = ("plate_format", "modality", "include_experiments", "max_perturbations")
"""Settings of any screen that concern its assembly."""

OTHER_SETTINGS = (
    "source", "name", "preset", "limits", "crop_px", "drop_ring", "height_px", "width_px",
    "channel_names", "window_percentiles", "pack", "pack_compression", "pack_chunk_px",
    "max_failed_fraction", "quality", "alignment", "consistency", "maps", "benchmarks",
)  # fmt: skip
"""Settings of any screen that later stages read."""


def read(config: Mapping[str, Any], name: str | None = None) -> Screen:
    """The screen that a section of the configuration describes.

    Parameters
    ----------
    config
        The screen's section: `source` and that source's settings; absent ones take their default.
    name
        The screen's name; by default `config["name"]`, else the name of its source.

    Raises
    ------
    ConfigurationError
        An unknown source or setting.
    MissingInputError, TableError
        A file is not there, or its content breaks the contract; all problems in one message.
    """
    source = str(config.get("source", ""))
    read_listing = source_reader(source)
    own = inspect.signature(read_listing).parameters
    known = {*own, *ASSEMBLY_SETTINGS, *OTHER_SETTINGS}
    for key in config:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"screens: source {source} has no setting {key!r}.{hint}")
    listing = read_listing(**{key: value for key, value in config.items() if key in own})
    shape = {key: config[key] for key in ASSEMBLY_SETTINGS if key in config}
    return assemble(name or str(config.get("name", source)), listing, **shape)


def source_reader(source: str) -> Callable[..., Listing]:
    """The function that reads a source's listing; its module is imported only now."""
    if source not in SOURCES:
        raise ConfigurationError(
            f"screens: unknown source {source!r}. Expected one of {', '.join(sorted(SOURCES))}."
        )
    reader: Callable[..., Listing] = importlib.import_module(SOURCES[source]).read_listing
    return reader
