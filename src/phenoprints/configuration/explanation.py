"""Turn the errors of pydantic into one line each: the place, the value and what is expected.

Imported only where something is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from phenoprints.configuration.json_schema import alternatives, node_of, resolved_node, schema
from phenoprints.configuration.models.base import Section
from phenoprints.configuration.reading import KeyPath, Source, dotted
from phenoprints.configuration.validation import nearest, quoted
from phenoprints.foundations.errors import ConfigurationError, Problem, describe

MAX_WORDS = 16
_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_PHRASES = {
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "greater_than": "more than {gt}",
    "less_than": "less than {lt}",
    "string_too_short": "text that is not empty",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
}
"""What is expected, by pydantic's type of error."""

Detail = Mapping[str, Any]


def problems(error: ValidationError, source: Source) -> list[Problem]:
    """Return one problem for each mistake in a configuration, in the order of its lines."""
    found = {_placed(detail, source) for detail in error.errors()}
    return [problem for _, problem in sorted(found)]


def error_of_section(
    model: type[Section], error: ValidationError, values: Mapping[str, Any]
) -> ConfigurationError:
    """Return the error for settings that were given in Python, one line for each wrong value."""
    problems = []
    for detail in error.errors():
        path, node = _followed(detail, node_of(model), values)
        problems.append(Problem(dotted((_called(model), *path)), _what(detail, node)))
    raised = ConfigurationError(describe(problems))
    raised.problems = tuple(problems)
    return raised


def _called(model: type[Section]) -> str:
    """Return the name of the section that a stage's class extends, else that of the class."""
    sections = {
        part.get("$ref", "").rpartition("/")[2]: name
        for name, part in schema()["properties"].items()
    }
    names = (sections.get(cls.__name__) for cls in model.__mro__)
    return next((name for name in names if name), model.__name__)


def _placed(detail: Detail, source: Source) -> tuple[tuple[int, str], Problem]:
    path, node = _followed(detail, schema(), source.content)
    where = source.where(path, missing="is missing" in (what := _what(detail, node)))
    line = source.places[path][1] if path in source.places else 0
    return (line, dotted(path)), Problem(f"{where}: {dotted(path)}", what)


def _followed(
    detail: Detail, node: Mapping[str, Any], value: Any
) -> tuple[KeyPath, Mapping[str, Any]]:
    """Return the path of keys to a mistake, without pydantic's tags, and its node of the schema.

    An unknown or missing key has the node of the mapping that it is not in.
    """
    path: list[str | int] = []
    above = node
    for part in detail["loc"]:
        if part == "[key]":
            node = {"propertyNames": above["propertyNames"]}
        elif part in alternatives(node):
            node = alternatives(node)[str(part)]
        elif "oneOf" in node and not alternatives(node):
            node = _alternative(node, str(part))
        elif isinstance(part, int) or part in value:
            path.append(part)
            value, above, node = value[part], node, _child(node, part)
    if detail["type"] == "union_tag_invalid" and alternatives(node):
        path.append(_discriminator(detail))
    return tuple(path), node


def _child(node: Mapping[str, Any], key: str | int) -> Mapping[str, Any]:
    found = node.get("items") if isinstance(key, int) else node.get("properties", {}).get(key)
    other = node.get("additionalProperties")
    found = found or (other if isinstance(other, Mapping) else None)
    return resolved_node(found) if found else node


def _alternative(node: Mapping[str, Any], tag: str) -> Mapping[str, Any]:
    kinds = {"<text>": "string", "<list>": "array", "<mapping>": "object", "<whole>": "integer"}
    parts = [resolved_node(part) for part in node["oneOf"]]
    wanted = kinds.get(tag, "number")
    return next(part for part in parts if part.get("type", "string") == wanted)


def _discriminator(detail: Detail) -> str:
    return str(detail["ctx"]["discriminator"]).strip("'")


def _what(detail: Detail, node: Mapping[str, Any]) -> str:
    kind, key, value = detail["type"], detail["loc"][-1:], detail["input"]
    if kind == "extra_forbidden":
        return _unknown(str(key[0]), list(node["properties"]))
    if kind == "missing":
        expected = _expected(resolved_node(node["properties"][key[0]]))
        return f'the key "{key[0]}" is missing; expected {expected}'
    if kind == "union_tag_not_found" and isinstance(value, Mapping) and alternatives(node):
        words = _one_of(list(alternatives(node)))
        return f'the key "{_discriminator(detail)}" is missing; expected {words}'
    if kind == "union_tag_invalid" and alternatives(node):
        known, value = list(alternatives(node)), value.get(_discriminator(detail))
        return f"{quoted(value)} is not allowed; expected {_one_of(known)}{_near(value, known)}"
    if "propertyNames" in node and key == ("[key]",):
        expected = _phrase(detail, node["propertyNames"])
        return f'"{value}" cannot be a name; expected {expected}'
    near = _near(value, [word for word in node.get("enum", []) if isinstance(word, str)])
    return f"{quoted(value)} is not allowed; expected {_phrase(detail, node)}{near}"


def _near(value: Any, words: list[str]) -> str:
    return nearest(value, words) if isinstance(value, str) else ""


def _unknown(key: str, known: list[str]) -> str:
    hint = nearest(key, known)
    if not hint:
        homes = [
            name
            for name, part in schema()["properties"].items()
            if key in resolved_node(part).get("properties", {})
        ]
        hint = f'; it belongs into "{homes[0]}"' if homes else ""
    expected = "" if hint else f"; expected one of {', '.join(known)}" if known else ""
    return f'unknown key "{key}"{hint}{expected}'


def _phrase(detail: Detail, node: Mapping[str, Any]) -> str:
    kind = detail["type"]
    if kind == "expected":
        return str(detail["msg"])
    if kind in _PHRASES and not (kind == "string_pattern_mismatch" and "title" in node):
        phrase = _PHRASES[kind].format(**detail.get("ctx", {}))
        return phrase.replace("at least 1 items", "at least one entry")
    return _expected(node)


def _expected(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return _one_of([json.dumps(word).strip('"') for word in node["enum"]])
    return str(node.get("title") or _types(node.get("type", "object")))


def _one_of(words: list[str]) -> str:
    more = f", … ({len(words)} in all)" if len(words) > MAX_WORDS else ""
    return f"one of {', '.join(words[:MAX_WORDS])}{more}"


def _types(types: Any) -> str:
    names = [types] if isinstance(types, str) else list(types)
    return " or ".join(_WORDS.get(name, name) for name in names)
