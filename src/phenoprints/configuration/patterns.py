"""Regular expressions that a configuration holds: each compiles and has the groups it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from phenoprints.configuration.reading import KeyPath, Source, dotted
from phenoprints.foundations.errors import Problem

ID_GROUPS = ("plate", "well")


def wrong_patterns(config: Mapping[str, Any], source: Source) -> list[Problem]:
    """Every `extract` and `id_pattern` that cannot do its work."""
    found = [*_extracts(config), *_ids(config)]
    return [Problem(f"{source.where(path)}: {dotted(path)}", what) for path, what in found if what]


def _extracts(config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for section in ("screens", "encoders"):
        for name, item in config[section].items():
            columns = item.get("columns", {})
            if isinstance(columns, Mapping):  # simulated screens have a number of columns
                yield from _of_columns((section, name, "columns"), columns)


def _of_columns(path: KeyPath, columns: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for key, column in columns.items():
        if key == "annotations":
            yield from _of_columns((*path, key), column)
        elif isinstance(column, Mapping):
            if "extract" in column:
                yield (*path, key, "extract"), _fault(column["extract"], 1, ())
            given = [word for word in ("column", "value") if word in column]
            if len(given) != 1:
                yield (
                    (*path, key),
                    f"{len(given)} of the keys column and value are given; expected one of them",
                )


def _ids(config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for name, encoder in config["encoders"].items():
        if "id_pattern" in encoder:
            yield ("encoders", name, "id_pattern"), _fault(encoder["id_pattern"], 0, ID_GROUPS)


def _fault(pattern: str, num_groups: int, names: tuple[str, ...]) -> str:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f'"{pattern}" is no regular expression ({error})'
    if compiled.groups < num_groups:
        return f'"{pattern}" has no group; expected one in parentheses, such as "^(Week[0-9]+)_"'
    absent = [name for name in names if name not in compiled.groupindex]
    return f'"{pattern}" lacks the groups {", ".join(absent)}; expected (?P<…>…)' if absent else ""
