"""Old names of settings, which are still read, with a warning that gives the new name.

To rename a setting, change its name everywhere and add one line to `RENAMED`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from phenoprints.configuration.reading import KeyPath, Source, dotted
from phenoprints.foundations.errors import Problem

SCREEN_SECTIONS = ("quality", "alignment", "consistency", "maps", "benchmarks")
"""Sections that a screen may replace in part; after resolution each screen holds them whole."""


class RenamedSettingWarning(FutureWarning):
    """A configuration uses a name or a value of an earlier version."""


@dataclass(frozen=True)
class Renamed:
    """One setting with a new name, or with new words for its values.

    Attributes
    ----------
    section
        Dotted path of the mapping that holds the setting; `*` stands for any name. Sections of
        screens and `training` are also found inside screens and encoders.
    old, new
        Name of the setting before and now.
    values
        Word before to word now, for values that are text.
    """

    section: str
    old: str
    new: str
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def spellings(self) -> tuple[str, ...]:
        """The old name, and `None` for a YAML null that was turned into text by Python."""
        return (self.old, "None") if self.old == "null" else (self.old,)

    def sections(self) -> Iterator[tuple[str, ...]]:
        """Yield the path of every mapping that can hold the setting."""
        path = tuple(self.section.split("."))
        yield path
        if path[0] in SCREEN_SECTIONS:
            yield ("screens", "*", *path)
        if path[0] == "training":
            yield ("encoders", "*", *path)


RENAMED = (
    Renamed("alignment", "form", "tvn_variant"),
    Renamed("screens.*", "drop_ring", "exclude_border_crops"),
    Renamed("screens.*", "stands_for", "planned_source"),
    Renamed("encoders.*", "input_px", "crop_px"),
    Renamed("manifests.*", "rare", "rare_condition_rule"),
    Renamed("manifests.*", "keep", "sampling_fractions"),
    Renamed("consistency", "null", "null_model", {"distinct-conditions": "experiment"}),
    Renamed("consistency", "p_form", "p_value_formula"),
    Renamed("consistency", "upper_clip", "p_value_clip"),
    Renamed("consistency", "layout_guard", "control_guard"),
    Renamed("benchmarks.relationships", "null", "null_model"),
    Renamed("inference", "together", "share_image_reads"),
    Renamed("probes", "trim_by", "trim_tasks"),
    Renamed("probes", "choose", "block_selection"),
    Renamed("probes", "second_tol", "sensitivity_tol"),
    Renamed("maps", "origin", "centre_on"),
)


def modernize(source: Source) -> tuple[Source, list[str], list[Problem]]:
    """Return a configuration under its present names, one warning per old name, and conflicts.

    A conflict is a setting that is given under its old and its new name at once.
    """
    state = _State(replace(source, content=copy.deepcopy(source.content)))
    for entry in RENAMED:
        for pattern in entry.sections():
            for path, mapping in _mappings(state.source.content, pattern, ()):
                _rename(entry, path, mapping, state)
    return state.source, state.warnings, state.conflicts


def present_names(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that an artefact of an earlier version was stored with, as of now.

    >>> present_names("maps", {"origin": "none"})
    {'centre_on': 'none'}
    """
    source, _, _ = modernize(Source({section: dict(values)}))
    settings: dict[str, Any] = source.content[section]
    return settings


def warn_renamed(message: str) -> None:
    """Issue a `RenamedSettingWarning`."""
    warnings.warn(message, RenamedSettingWarning, stacklevel=3)


@dataclass
class _State:
    source: Source
    warnings: list[str] = field(default_factory=list)
    conflicts: list[Problem] = field(default_factory=list)


def _rename(entry: Renamed, path: KeyPath, mapping: dict[str, Any], state: _State) -> None:
    for old in (name for name in entry.spellings if name in mapping):
        place = f"{state.source.where((*path, old))}: {dotted((*path, old))}"
        if old != entry.new and entry.new in mapping:
            what = f'"{old}" is the old name of "{entry.new}", which is given too'
            state.conflicts.append(Problem(place, f"{what}; expected one of them"))
            continue
        value = mapping.pop(old)
        mapping[entry.new] = _translated(entry, value)
        state.source = _moved(state.source, (*path, old), (*path, entry.new))
        state.warnings.append(f"{place}: {_advice(entry, old, value)}")
    value = mapping.get(entry.new)
    if isinstance(value, str) and value in entry.values:
        where = (*path, entry.new)
        mapping[entry.new] = entry.values[value]
        advice = f"the value {value} has a new name; write {entry.values[value]}"
        state.warnings.append(f"{state.source.where(where)}: {dotted(where)}: {advice}")


def _translated(entry: Renamed, value: Any) -> Any:
    return entry.values.get(value, value) if isinstance(value, str) else value


def _advice(entry: Renamed, old: str, value: Any) -> str:
    new = _translated(entry, value)
    if new != value:
        return f"{old}: {value} has a new name; write {entry.new}: {new}"
    return f"{old} has a new name; write {entry.new}"


def _moved(source: Source, old: KeyPath, new: KeyPath) -> Source:
    depth = len(old)
    places = {
        (*new, *path[depth:]) if path[:depth] == old else path: place
        for path, place in source.places.items()
    }
    return replace(source, places=places)


def _mappings(
    value: Any, pattern: tuple[str, ...], path: KeyPath
) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Every mapping at a path, in which `*` stands for any key."""
    if not isinstance(value, dict):
        return
    if not pattern:
        yield path, value
        return
    keys = sorted(value) if pattern[0] == "*" else [pattern[0]]
    for key in keys:
        yield from _mappings(value.get(key), pattern[1:], (*path, key))
