"""Read YAML files as plain data, together with the line of every key."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from phenoprints.foundations.errors import (
    ConfigurationError,
    MissingInputError,
    PhenoprintsError,
    Problem,
    UnsafeInputError,
    raise_problems,
)

KeyPath = tuple[str | int, ...]

MAX_BYTES = 4_000_000
MAX_NODES = 200_000
MAX_DEPTH = 40

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML 1.1 reads 1e-4 as text, since it has no point.
_NUMBER_AS_TEXT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


@dataclass(frozen=True)
class Source:
    """A configuration as plain data, and where each of its keys was written."""

    content: dict[str, Any]
    places: dict[KeyPath, tuple[str, int]] = field(default_factory=dict)
    origin: str = "configuration"

    def where(self, path: KeyPath, *, missing: bool = False) -> str:
        """`file, line N` of a key, or of its nearest parent where the key is `missing`."""
        while path not in self.places and path and missing:
            path = path[:-1]
        if path in self.places:
            file, line = self.places[path]
            return f"{file}, line {line}"
        return self.origin


def read(path: str | Path) -> Source:
    """Read one YAML file with its lines; tags, bombs and duplicate keys are refused."""
    name = str(path)
    text = _text(Path(path))
    try:
        _check_events(text, name)
        return _parsed(text, name)
    except PhenoprintsError:
        raise
    except yaml.constructor.ConstructorError as error:
        raise UnsafeInputError(_marked(name, error)) from error
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError(_marked(name, error)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name}: not readable as YAML ({error}).") from error


def _check_events(text: str, name: str) -> None:
    """Refuse what would exhaust the memory or the stack, before anything is built of it."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or number > MAX_NODES:
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise UnsafeInputError(
                f"{name}, line {line}: nested more than {MAX_DEPTH} levels deep, or more than "
                f"{MAX_NODES:,} keys and items; expected a configuration."
            )


def _parsed(text: str, name: str) -> Source:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Source({}, {}, name)
        places = _places(node, name)
        content = loader.construct_document(node)
    finally:
        loader.dispose()
    if not isinstance(content, dict):
        raise ConfigurationError(f"{name}: expected keys with values, found {_kind(content)}.")
    return Source(plain(content, name, places), places, name)


def merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """`first` with `second` laid over it, mapping by mapping; other values are replaced."""
    merged = dict(first)
    for key, value in second.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def plain(
    content: Mapping[Any, Any], origin: str, places: Mapping[KeyPath, tuple[str, int]]
) -> dict[str, Any]:
    """Return the content with text keys and numbers like 1e-4; refuse what JSON cannot hold."""
    problems: list[Problem] = []
    source = Source({}, dict(places), origin)
    result = _plain(content, (), source, problems)
    raise_problems(problems, ConfigurationError)
    return result  # type: ignore[no-any-return]


def key_text(key: Any) -> str:
    """Return a key as text: YAML reads the bare words null, true and 12 as something else."""
    if key is None:
        return "null"
    return str(key).lower() if isinstance(key, bool) else str(key)


def _plain(value: Any, path: KeyPath, source: Source, problems: list[Problem]) -> Any:
    if len(path) > MAX_DEPTH:
        raise UnsafeInputError(f"{source.origin}: nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, Mapping):
        items = ((key_text(key), item) for key, item in value.items())
        return {key: _plain(item, (*path, key), source, problems) for key, item in items}
    if isinstance(value, list | tuple):
        return [_plain(item, (*path, i), source, problems) for i, item in enumerate(value)]
    if isinstance(value, str):
        return float(value) if _NUMBER_AS_TEXT.fullmatch(value) else value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    place = f"{source.where(path)}: {dotted(path)}"
    problems.append(Problem(place, f"{value!r} is {_kind(value)}; expected text, in quotes"))
    return None


def dotted(path: KeyPath) -> str:
    """Return a path of keys as users write it: `screens.demo.columns.role`, items as `[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the file"


def _text(path: Path) -> str:
    if not path.is_file():
        raise MissingInputError(f"{path}: this configuration file is not there.")
    if path.stat().st_size > MAX_BYTES:
        raise UnsafeInputError(f"{path}: larger than {MAX_BYTES:,} bytes, no configuration.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text ({error.reason}).") from error


def _places(root: yaml.Node, file: str) -> dict[KeyPath, tuple[str, int]]:
    places: dict[KeyPath, tuple[str, int]] = {}
    for path, key, line in _keys(root, (), file):
        here = (*path, key)
        if here in places and isinstance(key, str):
            first = places[here][1]
            raise ConfigurationError(
                f"{file}, line {line}: {dotted(here)}: duplicate key (first in line "
                f"{first}); expected it once."
            )
        places[here] = (file, line)
        if len(places) > MAX_NODES:
            raise UnsafeInputError(f"{file}: more than {MAX_NODES:,} keys and items.")
    return places


def _keys(node: yaml.Node, path: KeyPath, file: str) -> Iterator[tuple[KeyPath, str | int, int]]:
    if len(path) > MAX_DEPTH:
        raise UnsafeInputError(f"{file}: nested more than {MAX_DEPTH} levels deep.")
    children: list[tuple[str | int, int, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag != "tag:yaml.org,2002:merge":
                children.append((_key_of(key, file), key.start_mark.line + 1, value))
    elif isinstance(node, yaml.SequenceNode):
        children = [(i, item.start_mark.line + 1, item) for i, item in enumerate(node.value)]
    for name, line, value in children:
        yield path, name, line
        yield from _keys(value, (*path, name), file)


def _key_of(node: yaml.Node, file: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        line = node.start_mark.line + 1
        raise ConfigurationError(f"{file}, line {line}: a key must be text.")
    if node.tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool"):
        word = str(node.value).lower()
        words = {"": "null", "~": "null", "on": "true", "yes": "true", "off": "false"}
        return {**words, "no": "false"}.get(word, word)
    return str(node.value)


def _marked(name: str, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = f", line {mark.line + 1}" if mark else ""
    return f"{name}{line}: not readable as YAML: {error.problem or error.context}."


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "text", bool: "true or false", int: "a number", dict: "a mapping"}
    if isinstance(value, float):
        return "a number" if math.isfinite(value) else "no finite number"
    return kinds.get(type(value), f"a {type(value).__name__}")
